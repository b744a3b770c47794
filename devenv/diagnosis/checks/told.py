"""What Kubernetes itself tells: an object that keeps workloads from what they should be."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import kubectl_command
from devenv.diagnosis.keys import Key
from devenv.diagnosis.loose_pods import LoosePods, loose_pods
from devenv.diagnosis.manifests import (
    Condition,
    changed_at,
    conditions_of_type,
    spell_condition,
)
from devenv.diagnosis.model import Evidence, Finding, Fix, Place, Subject
from devenv.diagnosis.roles import effects_of_failure, place_of
from devenv.diagnosis.story.culprits import Culprit
from devenv.diagnosis.story.fixes import heal, show
from devenv.diagnosis.story.reader import Blockage, blockage_of
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.model import Facts
from devenv.facts.objects import name_of

# Conditions of a node that are bad if they are True.
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
# Names in a sentence.
_SHOWN = 3


@dataclass(frozen=True)
class _Blocked:
    """A workload, and the object that it waits for."""

    workload: Workload
    blockage: Blockage
    culprit: Culprit


@check
def find_told_objects(facts: Facts) -> Iterator[Finding]:
    """DE313: workloads wait for an object that is missing, refuses them or is not as it should be.

    A workload that Kubernetes blames nothing else for is a finding of its own, in workload.py.
    """
    by_culprit: dict[Key, list[_Blocked]] = {}
    for blocked in _blocked_workloads(facts):
        by_culprit.setdefault(blocked.culprit.key, []).append(blocked)
    yield from map(_told_object, by_culprit.values())


def _blocked_workloads(facts: Facts) -> Iterator[_Blocked]:
    for workload in (*all_workloads(facts), *loose_pods(facts)):
        if workload.is_scaled_to_zero:
            continue
        blockage = blockage_of(workload)
        if blockage and blockage.culprit and _is_told(blockage, blockage.culprit):
            yield _Blocked(workload, blockage, blockage.culprit)


def _is_told(blockage: Blockage, culprit: Culprit) -> bool:
    """Whether it is a finding of this check: what is wrong with a node is found by others."""
    return blockage.is_lasting and (culprit.kind != "Node" or culprit.is_missing)


def _told_object(all_blocked: list[_Blocked]) -> Finding:
    culprit = all_blocked[0].culprit
    about, affects = {culprit.key}, {culprit.key}
    evidence: list[Evidence] = []
    for blocked in all_blocked:
        workload = blocked.workload
        evidence += blocked.blockage.evidence
        affects |= _own_keys(workload) | effects_of_failure(workload)
        if workload.is_of_profile:
            # `recover` restores the workload if it is what was changed.
            about |= _own_keys(workload)
    verb = "waits" if len(all_blocked) == 1 else "wait"
    return Finding(
        code="DE313",
        subject=culprit.subject,
        says=f"{_names(all_blocked)} {verb} because {culprit.subject} {culprit.trouble}.",
        evidence=tuple(dict.fromkeys(evidence)),
        fix=_fixes(all_blocked),
        about=frozenset(about),
        affects=frozenset(affects),
        place=_first_place(all_blocked),
        reason=all_blocked[0].blockage.reason,
    )


def _names(all_blocked: list[_Blocked]) -> str:
    names = [_name_of(blocked.workload) for blocked in all_blocked]
    if len(names) > _SHOWN:
        names[_SHOWN:] = ["…"]
    return ", ".join(names)


def _own_keys(workload: Workload) -> set[Key]:
    own_keys = {keys.workload(workload.kind, workload.full_name)}
    if component := workload.component:
        own_keys.add(keys.component(component.name))
    return own_keys


def _name_of(workload: Workload) -> str:
    if isinstance(workload, LoosePods):
        return f"{workload.kind} {workload.full_name}"
    return workload.full_name


def _fixes(all_blocked: list[_Blocked]) -> tuple[Fix, ...]:
    fixes: list[Fix] = []
    for blocked in all_blocked:
        fixes += heal(blocked.workload, blocked.blockage)
    return tuple(dict.fromkeys([*fixes, show(all_blocked[0].workload)]))


def _first_place(all_blocked: list[_Blocked]) -> Place | None:
    places = [place_of(blocked.workload) for blocked in all_blocked]
    return next(filter(None, places), None)


@check
def find_pressed_nodes(facts: Facts) -> Iterator[Finding]:
    """DE313: a node itself reports that it lacks memory, disk, processes or a network."""
    for node in facts.of("Node"):
        for condition in conditions_of_type(node, *_PRESSURES):
            if condition["status"] == "True":
                yield _pressed_node(facts, name_of(node), condition)


def _pressed_node(facts: Facts, node: str, condition: Condition) -> Finding:
    about = {keys.node(node)}
    return Finding(
        code="DE313",
        subject=Subject("node", node),
        says=f"The node {node} reports {condition['type']}: {_message_of(condition)}.",
        evidence=(Evidence(f"node {node}", spell_condition(condition), changed_at(condition)),),
        fix=(kubectl_command(facts, "", "describe", "node", node),),
        about=frozenset(about),
        affects=frozenset(about),
        reason=str(condition["type"]),
    )


def _message_of(condition: Condition) -> str:
    return str(condition.get("message") or condition.get("reason") or "").rstrip(".")
