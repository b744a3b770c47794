"""What `status` shows of a workload: replicas, images, restarts, and why its pods are not ready."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devenv.facts.objects import Fields, fields_of, items_of, status_of
from devenv.facts.revisions import containers_of, lasting_pods
from devenv.facts.times import seconds
from devenv.facts.trouble import pod_states
from devenv.ports.kube import Manifest

# How a kubelet names the end of containers that a restarted node took with it.
_UNTOLD_ENDS = {"", "Completed", "Unknown", "ContainerStatusUnknown"}


@dataclass(frozen=True)
class WorkloadState:
    """The pods of a component's workloads, added up."""

    ready: int
    desired: int
    # References of its containers' images, as its pods name them.
    images: tuple[str, ...] = ()
    restarts: int = 0
    # Why a pod is not ready, or how the last restart came about, in Kubernetes' own words.
    reason: str = ""


def read_workloads(workloads: Sequence[Manifest], pods: Iterable[Manifest]) -> WorkloadState:
    """Return the state of a component's workloads. `pods`: those of the whole cluster."""
    own_pods = _pods_of(workloads, list(pods))
    specs = [fields_of(pod, "spec") for pod in own_pods]
    templates = [fields_of(workload["spec"], "template") for workload in workloads]
    statuses = [status for pod in own_pods for status in containers_of(pod)]
    return WorkloadState(
        ready=sum(status_of(workload).get("readyReplicas") or 0 for workload in workloads),
        desired=sum(map(_replicas, workloads)),
        images=_images(specs or [fields_of(template, "spec") for template in templates]),
        restarts=sum(int(status.get("restartCount") or 0) for status in statuses),
        reason=next(pod_states(own_pods), "") or next(_restart_reasons(statuses), ""),
    )


def created(workloads: Sequence[Manifest], pods: Iterable[Manifest]) -> float:
    """Return when the newest pod was created, or else the newest object, in seconds since 1970.

    Returns 0 if that is unknown.
    """
    objects = _pods_of(workloads, list(pods)) or workloads
    times = [seconds(obj["metadata"].get("creationTimestamp")) for obj in objects]
    return max(times, default=0.0)


def _pods_of(workloads: Iterable[Manifest], pods: Sequence[Manifest]) -> list[Manifest]:
    own_pods: list[Manifest] = []
    for workload in workloads:
        own_pods += lasting_pods(workload, pods)
    return own_pods


def _replicas(workload: Manifest) -> int:
    replicas = workload["spec"].get("replicas")
    # Kubernetes' default is 1.
    return 1 if replicas is None else int(replicas)


def _images(pod_specs: Iterable[Fields]) -> tuple[str, ...]:
    references: dict[str, None] = {}
    for spec in pod_specs:
        for container in items_of(spec, "containers"):
            references[str(container.get("image"))] = None
    return tuple(references)


def _restart_reasons(statuses: Iterable[Fields]) -> Iterator[str]:
    """Yield how containers ended before their last restart, if that was no ordinary end."""
    for status in statuses:
        ending = fields_of(fields_of(status, "lastState"), "terminated")
        reason = str(ending.get("reason") or "")
        if reason not in _UNTOLD_ENDS:
            yield f"last restart after {reason}, exit code {ending.get('exitCode')}"
