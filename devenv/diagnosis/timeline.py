"""How it came about: everything in the facts that has a time, in its order. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from devenv.diagnosis.containers import main_containers_of
from devenv.diagnosis.log_lines import AccessEntry, access_log
from devenv.diagnosis.manifests import changed_at, conditions
from devenv.diagnosis.model import Diagnosis
from devenv.facts.collect import component_pods
from devenv.facts.model import Facts
from devenv.facts.objects import full_name, name_of

_CONDITIONED = (
    "Gateway",
    "HTTPRoute",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
)


class Sort(StrEnum):
    """What kind of thing happened."""

    EVIDENCE = "evidence"
    START = "start"
    CONDITION = "condition"
    REQUEST = "request"
    LOOK = "look"


@dataclass(frozen=True, order=True)
class Moment:
    """Something that happened. `time` is in seconds since 1970, 0 if it is not known."""

    time: float
    sort: Sort
    source: str
    text: str


def timeline(facts: Facts, diagnosis: Diagnosis) -> list[Moment]:
    """Return what is known of the time before the look, and the look itself.

    Of one source at one time, only the evidence is shown, since the rest says the same.
    """
    evidence = set(_evidence(diagnosis))
    moments = {*evidence, Moment(facts.now, Sort.LOOK, "devenv doctor", "this look")}
    shown = {(moment.time, moment.source) for moment in evidence}
    for moment in (*_starts(facts), *_conditions(facts), *_requests(facts)):
        if moment.time and (moment.time, moment.source) not in shown:
            moments.add(moment)
    return sorted(moments)


def _evidence(diagnosis: Diagnosis) -> Iterator[Moment]:
    for cause in (*diagnosis.causes, *diagnosis.progress):
        for evidence in cause.timeline:
            yield Moment(evidence.time, Sort.EVIDENCE, evidence.source, evidence.text)


def _starts(facts: Facts) -> Iterator[Moment]:
    """Yield when nodes and the containers of components last started or ended."""
    for node in facts.nodes:
        source = f"node {node.name}"
        yield Moment(node.started, Sort.START, source, "started")
        if node.ended and node.status != "running":
            yield Moment(node.ended, Sort.START, source, "ended")
    for component, pod in component_pods(facts.profile, dict(facts.objects)):
        for container in main_containers_of(facts, pod):
            text = f"{component.name}: container {container.name} started"
            if container.restarts:
                text += f", restart {container.restarts}"
            yield Moment(container.running_since, Sort.START, f"pod {name_of(pod)}", text)


def _conditions(facts: Facts) -> Iterator[Moment]:
    """Yield when each condition last changed."""
    for kind in _CONDITIONED:
        for obj in facts.of(kind):
            source = f"{kind} {full_name(obj)}"
            for condition in conditions(obj):
                verdict = f"{condition['type']}={condition['status']}"
                text = f"{verdict} {condition.get('reason', '')}".strip()
                yield Moment(changed_at(condition), Sort.CONDITION, source, text)


def _requests(facts: Facts) -> Iterator[Moment]:
    """Yield the first failed request on each route of Envoy's, with how many followed."""
    for route, failures in _failures_by_route(facts).items():
        first_failure = failures[0]
        answer = f"{first_failure.status} {first_failure.text('response_flags')}".strip()
        text = f"the first failed request: {answer}"
        if len(failures) > 1:
            text += f", and {len(failures) - 1} more by this route"
        yield Moment(first_failure.time, Sort.REQUEST, f"access log, {route}", text)


def _failures_by_route(facts: Facts) -> dict[str, list[AccessEntry]]:
    failures: dict[str, list[AccessEntry]] = {}
    for entry in access_log(facts):
        if entry.has_failed:
            route = entry.text("route_name") or "no route"
            failures.setdefault(route, []).append(entry)
    return failures
