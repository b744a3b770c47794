"""Finds the first thing that keeps a workload from what it should be, as Kubernetes tells it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from devenv.diagnosis.containers import Container, init_containers_of, main_containers_of
from devenv.diagnosis.manifests import (
    changed_at,
    conditions_of_type,
    created_at,
)
from devenv.diagnosis.model import Evidence
from devenv.diagnosis.story.culprits import Culprit, culprit_in, missing
from devenv.diagnosis.story.events import (
    ClusterEvent,
    events_with_reason,
    merged,
    source_of,
    warnings_about,
)
from devenv.diagnosis.story.scheduling import (
    CORDONED,
    can_never_fit,
    cordoned_nodes,
    lacking_resources,
)
from devenv.diagnosis.workloads import Workload
from devenv.facts.labels import is_ready
from devenv.facts.model import Facts
from devenv.facts.objects import (
    annotations_of,
    items_of,
    name_of,
    namespace_of,
    owners_of,
    status_of,
)
from devenv.facts.references import CLAIM, PULL, SECRET
from devenv.facts.revisions import REVISION
from devenv.ports.kube import Manifest

# Seconds for which something may be wrong at a start: objects that belong together come one by one.
PATIENCE = 20.0
# Seconds for which a pod may have no node: at a start a node gets ready, or an old pod ends.
SCHEDULING_PATIENCE = 10.0
# The same as PATIENCE while a command changes the cluster: it may be about to create what is
# missing.
_PATIENCE_DURING_COMMAND = 90.0
# Warnings that say nothing about why a pod does not start. Probes fail and containers back off at
# many a healthy start, and have codes of their own. DNSConfigForming only shortens a list.
_SILENT_REASONS = {
    "BackOff",
    "DNSConfigForming",
    "Failed",
    "FailedScheduling",
    "FailedToRetrieveImagePullSecret",
    "InspectFailed",
    "NodeNotReady",
    "ProbeWarning",
    "Unhealthy",
}
_NO_PULL_SECRET = "FailedToRetrieveImagePullSecret"  # noqa: S105 - an event's reason
# What a registry says to those whom it does not know.
_REFUSALS = ("unauthorized", "denied", "401", "403", "authentication", "insufficient_scope")
_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff"}
# What follows the message of a refusal whose cause is gone. Controllers double their pause after
# each refusal, up to 1000 s (kubernetes/client-go, DefaultTypedControllerRateLimiter).
_PAUSING = "That is over, but Kubernetes pauses before it tries again, for up to 17 min"
# A container in one of these states is being made.
_BEING_MADE = {"", "ContainerCreating", "PodInitializing"}
_CONFIG_ERROR = "CreateContainerConfigError"
# Why the scheduler does not even try.
_GATED = "SchedulingGated"
# Conditions of a node that keep pods away or end them.
_PRESSURES = ("memory-pressure", "disk-pressure", "pid-pressure", "network-unavailable")


@dataclass(frozen=True)
class Blockage:
    """What keeps a workload from being as wanted, in Kubernetes' words."""

    # Kubernetes' own word for it, such as FailedMount.
    reason: str
    message: str
    # The object that is at fault, None if it is the workload itself or nothing names one.
    culprit: Culprit | None = None
    evidence: tuple[Evidence, ...] = ()
    # False if it may pass by itself, as at a healthy start.
    is_lasting: bool = True
    # Whether its cause is gone, and only Kubernetes' next try is missing.
    is_over: bool = False

    @property
    def words(self) -> str:
        """REASON: MESSAGE, whole."""
        return f"{self.reason}: {self.message}".strip(": ").rstrip(".")


def blockage_of(workload: Workload) -> Blockage | None:
    """Return the first thing on a workload's way that is wrong, None if nothing tells."""
    candidates = filter(None, _blockages(workload))
    current = [b for b in candidates if _is_current(workload.facts, b)]
    # What names an object tells more than what does not.
    current.sort(key=lambda b: (b.culprit is None, not b.is_lasting))
    return current[0] if current else None


def _is_current(facts: Facts, blockage: Blockage) -> bool:
    """Whether the facts do not show that its cause is gone: then the next try succeeds."""
    return blockage.culprit is None or blockage.culprit.is_still_wrong(facts)


def _blockages(workload: Workload) -> Iterator[Blockage | None]:
    yield _refused_creation(workload)
    for pod in workload.newest_pods:
        if not is_ready(pod):
            yield from _blockages_of_pod(workload, pod)


def patience(facts: Facts) -> float:
    """Return for how many seconds something may be wrong before it counts."""
    return _PATIENCE_DURING_COMMAND if facts.changing else PATIENCE


def has_lasted(facts: Facts, since: float) -> bool:
    """Whether something has been wrong for longer than at a healthy start."""
    return not since or facts.now - since >= patience(facts)


# Pods that are never created


def _refused_creation(workload: Workload) -> Blockage | None:
    """Return why a workload's pods can't be created: a quota, admission, PodSecurity."""
    refusal = _refusal_in_conditions(workload) or _refusal_in_events(workload)
    if refusal is None:
        return None
    culprit = culprit_in(workload.facts, refusal.text, workload.namespace)
    reason, _, message = refusal.text.partition(": ")
    is_over = culprit is not None and not culprit.is_still_wrong(workload.facts)
    if is_over:
        message = f"{message.rstrip('.')}. {_PAUSING}"
        culprit = None
    return Blockage(
        reason=reason,
        message=message,
        culprit=culprit,
        evidence=(refusal,),
        is_lasting=has_lasted(workload.facts, refusal.time),
        is_over=is_over,
    )


def _refusal_in_conditions(workload: Workload) -> Evidence | None:
    for kind, obj in _creators(workload):
        for condition in conditions_of_type(obj, "ReplicaFailure"):
            if condition["status"] == "True":
                text = (
                    f"{condition.get('reason') or 'FailedCreate'}: {condition.get('message', '')}"
                )
                return Evidence(source_of(kind, obj), text, changed_at(condition))
    return None


def _refusal_in_events(workload: Workload) -> Evidence | None:
    """Return the last refusal that is newer than the newest pod."""
    begin = max([*map(created_at, workload.newest_pods)], default=0.0)
    if not _lacks_pods(workload):
        return None
    for kind, obj in _creators(workload):
        warnings = warnings_about(workload.facts, kind, obj, begin)
        refusals = [event for event in warnings if event.reason == "FailedCreate"]
        if refusals:
            return merged(refusals).evidence(begin)
    return None


def _lacks_pods(workload: Workload) -> bool:
    status, spec = status_of(workload.manifest), workload.manifest["spec"]
    desired = spec.get("replicas", status.get("desiredNumberScheduled", 1))
    return len(workload.newest_pods) < int(desired or 0)


def _creators(workload: Workload) -> Iterator[tuple[str, Manifest]]:
    """Yield the objects that create a workload's newest pods, with their kinds."""
    if workload.kind != "Deployment":
        yield workload.kind, workload.manifest
        return
    number = annotations_of(workload.manifest).get(REVISION)
    for replica_set in _replica_sets(workload):
        if number and annotations_of(replica_set).get(REVISION) == number:
            yield "ReplicaSet", replica_set
    yield workload.kind, workload.manifest


def _replica_sets(workload: Workload) -> list[Manifest]:
    replica_sets = []
    for replica_set in workload.facts.of("ReplicaSet"):
        owner_names = [owner.get("name") for owner in owners_of(replica_set)]
        if namespace_of(replica_set) == workload.namespace and workload.name in owner_names:
            replica_sets.append(replica_set)
    return replica_sets


# Pods that can't start


def _blockages_of_pod(workload: Workload, pod: Manifest) -> Iterator[Blockage | None]:
    facts = workload.facts
    yield _unscheduled(workload, pod)
    yield _placed_on_no_node(facts, pod)
    for container in (*init_containers_of(facts, pod), *main_containers_of(facts, pod)):
        if not container.is_well:
            yield _unconfigured(facts, pod, container)
            yield _without_pull_secret(facts, pod, container)
    if _is_being_made(facts, pod):
        yield from _warned(facts, pod)
        yield from _missing_references(facts, pod)


def _unscheduled(workload: Workload, pod: Manifest) -> Blockage | None:
    """Return why a pod has no node."""
    for condition in conditions_of_type(pod, "PodScheduled"):
        if condition["status"] == "False":
            reason, message = condition.get("reason", ""), condition.get("message", "")
            since = changed_at(condition)
            evidence = Evidence(source_of("pod", pod), f"{reason}: {message}", since)
            blockage = Blockage(
                reason=str(reason),
                message=str(message),
                evidence=(evidence,),
                is_lasting=workload.facts.now - since >= SCHEDULING_PATIENCE,
            )
            return _with_scheduling_culprit(workload, pod, blockage)
    return None


def _with_scheduling_culprit(workload: Workload, pod: Manifest, blockage: Blockage) -> Blockage:
    facts, message = workload.facts, blockage.message
    if CORDONED in message:
        for node in cordoned_nodes(facts):
            culprit = Culprit("Node", "", name_of(node), "is cordoned")
            return replace(blockage, culprit=culprit)
    for pressure in _PRESSURES:
        nodes = _nodes_under(facts, pressure) if _may_be_kept_out(message, pressure) else ()
        for node in nodes:
            culprit = Culprit("Node", "", name_of(node), f"reports {pressure}")
            return replace(blockage, culprit=culprit)
    if "unbound" in message or "persistentvolumeclaim" in message.lower():
        for claim in _unbound_claims(facts, pod):
            return _with_claim(facts, claim, blockage)
    preemption = preemption_of(workload)
    # What fits no node even if that is empty would not have its place either.
    if preemption and _lacks_room(message) and not can_never_fit(facts, pod, message):
        return _with_preemptor(preemption, blockage)
    return replace(blockage, culprit=culprit_in(facts, message, namespace_of(pod)))


def _may_be_kept_out(message: str, pressure: str) -> bool:
    """Whether the scheduler blames the taint of a pressure. From Kubernetes 1.34 it names none."""
    return f"node.kubernetes.io/{pressure}" in message or "untolerated taint(s)" in message


def _lacks_room(message: str) -> bool:
    return bool(lacking_resources(message)) or "Too many pods" in message


def _nodes_under(facts: Facts, pressure: str) -> list[Manifest]:
    """Return the nodes with the taint that stands for a pressure."""
    nodes = []
    for node in facts.of("Node"):
        taints = items_of(node.get("spec"), "taints")
        if any(taint.get("key") == f"node.kubernetes.io/{pressure}" for taint in taints):
            nodes.append(node)
    return nodes


def _placed_on_no_node(facts: Facts, pod: Manifest) -> Blockage | None:
    """Return that a pod names a node that does not exist: no program looks after such a pod."""
    node = pod["spec"].get("nodeName")
    if not node or not facts.of("Node") or facts.one("Node", "", node):
        return None
    message = f'nodeName is "{node}", but no node has that name'
    since = created_at(pod)
    return Blockage(
        reason="NodeName",
        message=message,
        culprit=missing("Node", "", str(node)),
        evidence=(Evidence(source_of("pod", pod), message, since),),
        is_lasting=has_lasted(facts, since),
    )


def _unconfigured(facts: Facts, pod: Manifest, container: Container) -> Blockage | None:
    """Return which Secret, ConfigMap or key a container takes variables from and can't."""
    if container.waiting_reason != _CONFIG_ERROR:
        return None
    culprit = culprit_in(facts, container.waiting_message, namespace_of(pod))
    since = created_at(pod)
    text = f"{_CONFIG_ERROR}: {container.waiting_message}"
    return Blockage(
        reason=_CONFIG_ERROR,
        message=container.waiting_message,
        culprit=culprit,
        evidence=(Evidence(source_of("pod", pod), text, since),),
        is_lasting=has_lasted(facts, since),
    )


def _without_pull_secret(facts: Facts, pod: Manifest, container: Container) -> Blockage | None:
    """Return the missing Secret of a pod whose image can't be pulled.

    A pod whose images are in the node starts without it. If a container always pulls an image that
    is there, no registry answers, and the Secret changes nothing.
    """
    if container.waiting_reason not in _PULL_REASONS or not _may_need_secret(facts, container):
        return None
    for event in reversed(_pod_warnings(facts, pod)):
        if event.reason == _NO_PULL_SECRET:
            name = _first_absent_pull_secret(facts, pod)
            return Blockage(
                reason=event.reason,
                message=event.message,
                culprit=missing(SECRET, namespace_of(pod), name) if name else None,
                evidence=(event.evidence(created_at(pod)),),
            )
    return None


def _may_need_secret(facts: Facts, container: Container) -> bool:
    is_refused = any(word in container.waiting_message.lower() for word in _REFUSALS)
    is_in_nodes = any(container.image in (node.images or ()) for node in facts.nodes)
    return is_refused or not is_in_nodes


def _first_absent_pull_secret(facts: Facts, pod: Manifest) -> str:
    for reference in _references(pod):
        if reference.get("by") == PULL:
            name = str(reference["name"])
            if missing(SECRET, namespace_of(pod), name).is_still_wrong(facts):
                return name
    return ""


def _pod_warnings(facts: Facts, pod: Manifest) -> list[ClusterEvent]:
    """Return the warnings about a pod since it last made progress, the oldest first."""
    return warnings_about(facts, "Pod", pod, created_at(pod))


def _is_being_made(facts: Facts, pod: Manifest) -> bool:
    """Whether a pod has a node, and none of its containers has run yet."""
    if not pod["spec"].get("nodeName"):
        return False
    containers = [*init_containers_of(facts, pod), *main_containers_of(facts, pod)]
    return all(c.waiting_reason in _BEING_MADE and not _has_run(c) for c in containers)


def _has_run(container: Container) -> bool:
    return bool(container.running_since or container.ending.is_known or container.restarts)


def _warned(facts: Facts, pod: Manifest) -> Iterator[Blockage]:
    """Yield what the last warnings about a pod tell, the newest of each reason."""
    by_reason: dict[str, list[ClusterEvent]] = {}
    for event in _pod_warnings(facts, pod):
        if event.reason not in _SILENT_REASONS:
            by_reason.setdefault(event.reason, []).append(event)
    for events in reversed(by_reason.values()):
        event = merged(events)
        culprit = culprit_in(facts, event.message, namespace_of(pod))
        yield Blockage(
            reason=event.reason,
            message=event.message,
            culprit=culprit or _culprit_with_key(pod, event.message),
            evidence=(event.evidence(created_at(pod)),),
            is_lasting=has_lasted(facts, event.onset),
        )


def _culprit_with_key(pod: Manifest, message: str) -> Culprit | None:
    """Return the Secret or ConfigMap of a volume that lacks a key: the message names no object."""
    if "references non-existent" not in message:
        return None
    for reference in _references(pod):
        key, volume = reference.get("key"), str(reference.get("by")).removeprefix("volume ")
        if key and f'"{volume}"' in message and message.rstrip(". ").endswith(key):
            name = str(reference["name"])
            trouble = f"has no key {key}"
            return Culprit(str(reference["kind"]), namespace_of(pod), name, trouble, lacks=key)
    return None


def _missing_references(facts: Facts, pod: Manifest) -> Iterator[Blockage]:
    """Yield what a pod needs and what does not exist, even if no event tells."""
    since = created_at(pod)
    for reference in _references(pod):
        kind, name = str(reference["kind"]), str(reference["name"])
        is_readable = kind in facts.objects and facts.knows(kind)
        is_needed = not reference.get("optional") and reference.get("by") != PULL
        culprit = missing(kind, namespace_of(pod), name)
        if is_readable and is_needed and culprit.is_still_wrong(facts):
            yield Blockage(
                reason="Missing",
                message=f"no {kind} {culprit.full_name}",
                culprit=culprit,
                evidence=(Evidence("API server", f"no {kind} {culprit.full_name}", since),),
                is_lasting=has_lasted(facts, since),
            )


def _references(pod: Manifest) -> list[Manifest]:
    return items_of(pod["spec"], "references")


# Claims


def _unbound_claims(facts: Facts, pod: Manifest) -> Iterator[Manifest]:
    for reference in _references(pod):
        if reference["kind"] == CLAIM:
            claim = facts.one(CLAIM, namespace_of(pod), str(reference["name"]))
            if claim and status_of(claim).get("phase") != "Bound":
                yield claim


def _with_claim(facts: Facts, claim: Manifest, blockage: Blockage) -> Blockage:
    """Return the blockage with the claim that the pod waits for, and why that is not bound."""
    trouble, evidence = "is not bound", list(blockage.evidence)
    for event in warnings_about(facts, CLAIM, claim, created_at(claim))[-1:]:
        trouble = f"is not bound: {event.words.rstrip('.')}"
        evidence.insert(0, event.evidence(created_at(claim)))
        blockage = replace(blockage, reason=event.reason)
    culprit = Culprit(CLAIM, namespace_of(claim), name_of(claim), trouble)
    return replace(blockage, culprit=culprit, evidence=tuple(evidence))


# Preemption


@dataclass(frozen=True)
class Preemption:
    """A pod that took the place of a workload's pod, and the event that tells it."""

    pod: Manifest
    event: ClusterEvent

    @property
    def priority_class(self) -> str:
        """The PriorityClass of the pod that came instead."""
        return str(self.pod["spec"].get("priorityClassName") or "")


def preemption_of(workload: Workload) -> Preemption | None:
    """Return who preempted one of a workload's pods, None if no pod did, or it is gone."""
    makers = makers_of(workload)
    for event in reversed(events_with_reason(workload.facts, "Preempted")):
        is_own = event.namespace == workload.namespace and maker_of(event.name) in makers
        if event.kind != "Pod" or not is_own:
            continue
        for pod in workload.facts.of("Pod"):
            uid = str(pod["metadata"].get("uid") or "")
            if uid and uid in event.message:
                return Preemption(pod, event)
    return None


def makers_of(workload: Workload) -> set[str]:
    """Return the names of what creates a workload's pods: each pod's name begins with one."""
    return {workload.name, *map(name_of, _replica_sets(workload))}


def maker_of(pod_name: str) -> str:
    """Return the name of the ReplicaSet or StatefulSet that a pod's name begins with."""
    return pod_name.rpartition("-")[0]


def _with_preemptor(preemption: Preemption, blockage: Blockage) -> Blockage:
    pod, event = preemption.pod, preemption.event
    place = f"{namespace_of(pod)}/{name_of(pod)}"
    trouble = f"gives the pod {place} precedence, which took its place"
    name = preemption.priority_class
    culprit = Culprit("PriorityClass", "", name, trouble)
    if not name:
        culprit = Culprit("Pod", namespace_of(pod), name_of(pod), "took its place")
    evidence = (event.evidence(), *blockage.evidence)
    return replace(blockage, reason=event.reason, culprit=culprit, evidence=evidence)


# The last warnings on the whole way


def last_warnings(workload: Workload, begin: float, count: int = 4) -> list[Evidence]:
    """Return the last warnings about a workload, what creates its pods, and its newest pods.

    Only what came after `begin`, the last progress, counts.
    """
    facts, warnings = workload.facts, []
    for kind, obj in _creators(workload):
        warnings += warnings_about(facts, kind, obj, begin)
    for pod in workload.newest_pods:
        if not is_ready(pod):
            warnings += warnings_about(facts, "Pod", pod, max(begin, created_at(pod)))
    warnings.sort(key=lambda event: event.latest)
    return list(_evidence_of(warnings[-count:], begin))


def _evidence_of(events: Iterable[ClusterEvent], begin: float) -> Iterator[Evidence]:
    for event in events:
        yield event.evidence(begin)
