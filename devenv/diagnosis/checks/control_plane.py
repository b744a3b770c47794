"""The programs beneath Kubernetes: the control plane's parts, the kubelet, containerd.

They can't speak for themselves when they are down. So their node is looked at from outside, and
what they leave undone in the cluster.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, kubectl_command, recover
from devenv.diagnosis.control_plane import (
    API_SERVER,
    ETCD,
    MANAGER,
    SCHEDULER,
    START_SECONDS,
    StaticPod,
    expired_leases,
    ignored_objects,
    lease_evidence,
    mirror_evidence,
    static_pods,
    waiting_keys,
)
from devenv.diagnosis.keys import Key
from devenv.diagnosis.log_lines import line_time
from devenv.diagnosis.model import (
    EVERYTHING,
    Command,
    Confidence,
    Evidence,
    Finding,
    Fix,
    Subject,
    Verdict,
)
from devenv.facts.collect import API
from devenv.facts.leases import LEADERS, lease_of
from devenv.facts.model import Facts, NodeFacts, UnitFacts
from devenv.facts.node_programs import rewriting_command
from devenv.facts.nodes import is_failing
from devenv.facts.telling import telling_line
from devenv.ports.kube import Manifest

# Seconds in which a leader looks at a new object.
_PATIENCE = 30.0
# Lines of a journal's end that are shown.
_JOURNAL_LINES = 3
_UNIT_CODES = {"kubelet": "DE208", "containerd": "DE209"}
_UNIT_WORDS = {"kubelet": "The kubelet", "containerd": "containerd"}


# Static pods


@check
def find_stopped_parts(facts: Facts) -> Iterator[Finding]:
    """DE207: etcd, the API server, kube-controller-manager or kube-scheduler does not run."""
    stopped = list(filter(_is_stopped, static_pods(facts)))
    names = {pod.name for pod in stopped}
    for pod in stopped:
        if not _is_effect(facts, pod, names):
            yield _stopped_part(facts, pod)
    for name, lease in expired_leases(facts).items():
        if name not in names:
            yield _silent_leader(facts, name, lease)


def _is_stopped(pod: StaticPod) -> bool:
    return bool(pod.why_down) or pod.hangs


def _is_effect(facts: Facts, pod: StaticPod, stopped: set[str]) -> bool:
    """Whether a part has ended because another one has: all need the API server, which needs etcd.

    A part without a manifest is a fault of its own.
    """
    if not pod.pod.manifest:
        return False
    if pod.name == API_SERVER:
        return ETCD in stopped
    return pod.name in LEADERS and not facts.knows(API)


def _stopped_part(facts: Facts, pod: StaticPod) -> Finding:
    lease = expired_leases(facts).get(pod.name)
    evidence = [*pod.evidence(), *mirror_evidence(facts, pod.name)]
    if lease:
        evidence.append(lease_evidence(facts, lease))
    is_new = pod.is_starting and pod.pod.manifest and not pod.pod.exit_code
    return Finding(
        code="DE207",
        subject=_subject(pod.name),
        says=f"{_trouble(pod)} {_LOSSES[pod.name]}",
        evidence=tuple(evidence),
        fix=_part_fix(facts, pod),
        verdict=Verdict.PROGRESS if is_new else Verdict.FAILED,
        about=frozenset(_part_keys(pod) | _reached_by(pod.name)),
        affects=_affected_by(facts, pod.name),
    )


def _trouble(pod: StaticPod) -> str:
    if pod.hangs:
        return f"{pod.name} hangs in {pod.node.name}: it runs, and does not answer."
    return f"{pod.name} does not run in {pod.node.name}: {pod.why_down}."


_LOSSES = {
    ETCD: "Without it the API server can't answer.",
    API_SERVER: "Without it nothing in the cluster can be asked or changed.",
    MANAGER: "Without it no rollout begins, no pod is replaced, and no status is written.",
    SCHEDULER: "Without it new pods wait for a node.",
}


def _subject(name: str) -> Subject:
    return Subject("static pod", name, named_alone=True)


def _part_keys(pod: StaticPod) -> set[Key]:
    """Return the keys of the part, which only a missing or edited manifest makes repairable."""
    if pod.is_repairable and not pod.hangs:
        return {keys.static_pod(pod.node.name, pod.name)}
    return {keys.control_plane(pod.name)}


def _reached_by(name: str) -> set[Key]:
    return {keys.API} if name in {ETCD, API_SERVER} else set()


def _affected_by(facts: Facts, name: str) -> frozenset[Key]:
    if name in {ETCD, API_SERVER}:
        return EVERYTHING
    return frozenset(waiting_keys(facts, name))


def _part_fix(facts: Facts, pod: StaticPod) -> tuple[Fix, ...]:
    """Return the commands that write the manifest again, or that show why the container ends."""
    node = pod.node.name
    if pod.hangs:
        return (_kill_command(node, pod.name),)
    if pod.is_repairable:
        rewriting = Command(("docker", "exec", node, *rewriting_command(pod.name)))
        return (*recover(facts), rewriting)
    journal = ("journalctl", "--unit=kubelet", "--no-pager", "--lines=50")
    return (Command(("docker", "exec", node, *journal)),)


# Leaders that are silent


def _silent_leader(facts: Facts, name: str, lease: Manifest) -> Finding:
    """Return what a lease alone tells: its holder hangs, or can't be looked at."""
    pods = [pod for pod in static_pods(facts) if pod.name == name]
    last_words = chain.from_iterable(pod.last_words() for pod in pods)
    # Written before it fell silent, so it says nothing of when the fault began.
    undated_words = (replace(evidence, time=0.0) for evidence in last_words)
    is_starting = any(pod.is_starting for pod in pods)
    return Finding(
        code="DE207",
        subject=_subject(name),
        says=f"{name} does not lead: it has stopped renewing its lease. {_LOSSES[name]}",
        evidence=(lease_evidence(facts, lease), *mirror_evidence(facts, name), *undated_words),
        fix=_leader_fix(facts, name),
        verdict=Verdict.PROGRESS if is_starting else Verdict.FAILED,
        about=frozenset({keys.control_plane(name)}),
        affects=_affected_by(facts, name),
    )


def _leader_fix(facts: Facts, name: str) -> tuple[Fix, ...]:
    """Return the commands that end a hanging leader, or that show where its pods are."""
    nodes = [pod.node.name for pod in static_pods(facts) if pod.name == name]
    if not nodes:
        return (kubectl_command(facts, "kube-system", "get", "pods", "--output=wide"),)
    return tuple(_kill_command(node, name) for node in nodes)


def _kill_command(node: str, name: str) -> Command:
    """Return the command that ends a program that hangs: its kubelet starts it again."""
    kill = ("pkill", "--signal=KILL", "--full", f"^{name}")
    return Command(("docker", "exec", node, *kill))


@check
def find_ignored_objects(facts: Facts) -> Iterator[Finding]:
    """DE207, likely: no leader looks at new objects, and its lease could not be read."""
    for name in LEADERS:
        if lease_of(facts.of("Lease"), name) or not facts.knows(API):
            continue
        evidence = ignored_objects(facts, name)
        if not evidence or facts.now - evidence[0].time < _PATIENCE:
            continue
        if any(pod.name == name and pod.why_down for pod in static_pods(facts)):
            continue
        yield Finding(
            code="DE207",
            subject=_subject(name),
            says=f"{name} does not seem to run: it leaves new objects alone. {_LOSSES[name]}",
            evidence=tuple(evidence[:3]),
            fix=_leader_fix(facts, name),
            confidence=Confidence.LIKELY,
            about=frozenset({keys.control_plane(name)}),
            affects=_affected_by(facts, name),
        )


# Units


@check
def find_stopped_units(facts: Facts) -> Iterator[Finding]:
    """DE208, DE209: the kubelet or containerd does not run in a node."""
    for node in facts.nodes:
        now = facts.taken + (node.clock_lead or 0)
        for unit in node.units:
            if node.status == "running" and is_failing(unit, now):
                yield _stopped_unit(facts, node, unit)


def _stopped_unit(facts: Facts, node: NodeFacts, unit: UnitFacts) -> Finding:
    is_starting = facts.now - node.started < START_SECONDS
    state = f"{unit.state} ({unit.detail})" if unit.detail else unit.state
    result = (
        "" if unit.result in {"", "success"} else f", {unit.result}, exit code {unit.exit_code}"
    )
    return Finding(
        code=_UNIT_CODES[unit.name],
        subject=Subject("unit", f"{unit.name} in {node.name}", named_alone=True),
        says=f"{_UNIT_WORDS[unit.name]} does not run in {node.name}: its unit is {unit.state}.",
        evidence=(
            Evidence(f"systemd in {node.name}", f"{unit.name}: {state}{result}", unit.since),
            *_journal_end(node, unit),
        ),
        fix=(*recover(facts), devenv_command(facts, "up"), _start_command(node, unit)),
        verdict=Verdict.PROGRESS if is_starting else Verdict.FAILED,
        about=frozenset({keys.unit(node.name, unit.name), keys.node(node.name)}),
        affects=EVERYTHING,
    )


def _start_command(node: NodeFacts, unit: UnitFacts) -> Command:
    return Command(("docker", "exec", node.name, "systemctl", "start", unit.name))


def _journal_end(node: NodeFacts, unit: UnitFacts) -> Iterator[Evidence]:
    """Yield the last lines of a unit's journal, after the one that tells why it failed."""
    last_lines = list(unit.lines[-_JOURNAL_LINES:])
    if unit.result not in {"", "success"}:
        telling = telling_line(_message(line) for line in unit.lines)
        last_lines = [line for line in unit.lines if telling and telling in line][-1:] + last_lines
    for line in dict.fromkeys(last_lines):
        yield Evidence(f"journal of {unit.name} in {node.name}", _message(line), line_time(line))


def _message(line: str) -> str:
    """Return a line of a journal without time, host and program."""
    return line.partition("]: ")[2] or line
