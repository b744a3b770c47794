"""Pods that a node evicted: one beside a healthy replacement is harmless, many are not."""

import re
from collections.abc import Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.loose_pods import LoosePods, loose_pods
from devenv.diagnosis.manifests import changed_at, conditions_of_type, created_at
from devenv.diagnosis.model import Evidence, Finding, Fix, Subject, Verdict
from devenv.diagnosis.roles import effects_of_failure, place_of
from devenv.diagnosis.story.events import ClusterEvent, events_with_reason
from devenv.diagnosis.story.fixes import show
from devenv.diagnosis.story.reader import maker_of, makers_of
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.labels import is_ready
from devenv.facts.model import Facts
from devenv.facts.objects import full_name, name_of, status_of
from devenv.facts.revisions import pod_hash
from devenv.ports.kube import Manifest

_EVICTED = "Evicted"
# How the kubelet names a limit of ephemeral storage that a container or a pod has exceeded.
_LIMIT = re.compile(
    r"(?:total limit of containers|storage limit) \W?(?P<number>\d+)(?P<unit>[kKMGTPE]i?)?"
)
# By how much the printed command raises a limit.
_RAISE = 10
# Seconds in which evictions belong together.
_RECENT = 600.0
# Evictions in that time that are no accident, if the workload is ready now, and if it is not.
_MANY, _SEVERAL = 3, 2


@check
def find_evictions(facts: Facts) -> Iterator[Finding]:
    """DE315: a workload's pods were evicted: again and again, or once, which is harmless."""
    events = events_with_reason(facts, _EVICTED)
    for workload in (*all_workloads(facts), *loose_pods(facts)):
        evictions = _evictions_of(workload, events)
        if evictions and not workload.is_scaled_to_zero:
            yield _evicted(workload, evictions)


def _evictions_of(workload: Workload, events: list[ClusterEvent]) -> list[Evidence]:
    """Return the evictions of a workload's newest pods, the oldest first, each pod once.

    Pods of an earlier revision tell nothing about what runs now. A StatefulSet deletes a pod that
    was evicted, so that only its event is left.
    """
    by_pod: dict[str, Evidence] = {}
    for pod in workload.facts.of("Pod"):
        if status_of(pod).get("reason") == _EVICTED and _is_own(workload, pod):
            by_pod[_pod_key(pod)] = _eviction_of(pod)
    makers = _newest_makers(workload)
    for event in events:
        is_own = event.namespace == workload.namespace and maker_of(event.name) in makers
        if event.kind == "Pod" and is_own:
            by_pod.setdefault(_event_key(event), event.evidence())
    return sorted(by_pod.values(), key=lambda evidence: evidence.time)


def _is_own(workload: Workload, pod: Manifest) -> bool:
    """Whether a workload made a pod of its newest revision."""
    revision = pod_hash(workload.kind, workload.manifest, pod)
    return workload.owns(pod) and not workload.is_outdated(revision)


def _newest_makers(workload: Workload) -> set[str]:
    """Return the names with which the names of a workload's newest pods begin."""
    makers = makers_of(workload)
    if workload.kind != "Deployment":
        return makers
    prefix = f"{workload.name}-"
    return {name for name in makers if not workload.is_outdated(name.removeprefix(prefix))}


def _pod_key(pod: Manifest) -> str:
    return str(pod["metadata"].get("uid") or name_of(pod))


def _event_key(event: ClusterEvent) -> str:
    return event.uid or event.name


def _eviction_of(pod: Manifest) -> Evidence:
    message = str(status_of(pod).get("message") or "").strip()
    ended = [changed_at(c) for c in conditions_of_type(pod, "DisruptionTarget", "Ready")]
    time = max(ended, default=created_at(pod))
    return Evidence(f"pod {full_name(pod)}", f"{_EVICTED}: {message}", time)


def _evicted(workload: Workload, evictions: list[Evidence]) -> Finding:
    earliest = workload.facts.now - _RECENT
    recent = [evidence for evidence in evictions if evidence.time >= earliest]
    is_running = bool(workload.newest_pods) and all(map(is_ready, workload.newest_pods))
    is_fault = len(recent) >= (_MANY if is_running else _SEVERAL)
    reason = evictions[-1].text.removeprefix(f"{_EVICTED}: ").rstrip(".")
    sentence = f"A pod of {workload.full_name} was evicted, and others run instead: {reason}."
    if is_fault:
        times = len(recent)
        sentence = (
            f"Pods of {workload.full_name} are evicted again and again, {times} times: {reason}."
        )
    about = _keys_of(workload)
    return Finding(
        code="DE315",
        subject=_subject(workload),
        says=sentence,
        evidence=tuple(recent or evictions[-1:]),
        fix=_fixes(workload, reason),
        verdict=Verdict.FAILED if is_fault else Verdict.HARMLESS,
        about=frozenset(about),
        affects=frozenset(about | effects_of_failure(workload)),
        place=place_of(workload),
        names=frozenset(_nodes_of(workload)),
        reason=_EVICTED,
    )


def _keys_of(workload: Workload) -> set[Key]:
    own_keys = {
        keys.workload(workload.kind, workload.full_name),
        # So that it may explain what else is said of the workload.
        keys.evictions(workload.full_name),
    }
    if component := workload.component:
        own_keys.add(keys.component(component.name))
    return own_keys


def _subject(workload: Workload) -> Subject:
    if component := workload.component:
        return Subject.component(component.name)
    if isinstance(workload, LoosePods):
        return Subject(workload.kind, workload.full_name)
    return Subject("workload", workload.full_name, named_alone=True)


def _nodes_of(workload: Workload) -> Iterator[Key]:
    """Yield the keys of the nodes that evicted: a node's own condition may tell why."""
    for pod in workload.facts.of("Pod"):
        message = str(status_of(pod).get("message") or "")
        if workload.owns(pod) and message.startswith("The node was low"):
            yield keys.node(str(pod["spec"].get("nodeName")))


def _fixes(workload: Workload, message: str) -> tuple[Fix, ...]:
    """Return how a workload's pods come to stay: a higher limit, if they exceeded their own."""
    fixes: tuple[Fix, ...] = (show(workload),)
    limit = _LIMIT.search(message)
    if limit and not isinstance(workload, LoosePods):
        raised = f"{int(limit['number']) * _RAISE}{limit['unit'] or ''}"
        words = ("set", "resources", workload.target, f"--limits=ephemeral-storage={raised}")
        fixes = (workload.kubectl(*words), *fixes)
    if workload.is_of_profile:
        fixes = (*fixes, *recover(workload.facts))
    return fixes
