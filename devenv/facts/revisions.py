"""Tells which pods are of a workload's newest revision: only those show what was just rolled out.

The Deployment controller gives its newest ReplicaSet the Deployment's own revision number, and the
pods the ReplicaSet's `pod-template-hash`. Pods of a StatefulSet or DaemonSet have the label
`controller-revision-hash`. A StatefulSet's status names the newest revision; a DaemonSet's newest
one is the ControllerRevision with the highest number.
"""

from collections.abc import Iterable, Sequence

from devenv.facts.model import owns
from devenv.facts.objects import (
    Fields,
    annotations_of,
    items_of,
    labels_of,
    name_of,
    owners_of,
    status_of,
)
from devenv.ports.kube import Manifest

REVISION = "deployment.kubernetes.io/revision"
# The kind of the objects that keep a workload's revisions.
KEEPERS = {
    "Deployment": "ReplicaSet",
    "DaemonSet": "ControllerRevision",
}
_TEMPLATE_HASH, _REVISION_HASH = "pod-template-hash", "controller-revision-hash"
_ENDED = {"Failed", "Succeeded"}
_UNFROZEN = "unable to freeze"


def newest_hash(kind: str, workload: Manifest, keepers: Iterable[Manifest]) -> str:
    """Return the hash that labels the pods of the newest revision.

    `kind` is the workload's, which the API server leaves out in lists. `keepers` are the
    namespace's ReplicaSets for a Deployment, and its ControllerRevisions for a DaemonSet. Returns
    "" while the workload's controller has not seen the newest change, and if the revisions could
    not be read.
    """
    status = status_of(workload)
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return ""
    if kind == "StatefulSet":
        return str(status.get("updateRevision") or "").removeprefix(f"{name_of(workload)}-")
    owned_keepers = [keeper for keeper in keepers if _is_owned(keeper, kind, workload)]
    if kind == "DaemonSet":
        return _newest_daemon_hash(owned_keepers)
    return _newest_replica_hash(workload, owned_keepers)


def _newest_daemon_hash(revisions: Iterable[Manifest]) -> str:
    newest = max(revisions, key=lambda r: int(r.get("revision") or 0), default=None)
    return _label(newest, _REVISION_HASH) if newest else ""


def _newest_replica_hash(deployment: Manifest, replica_sets: Iterable[Manifest]) -> str:
    number = annotations_of(deployment).get(REVISION)
    for replica_set in replica_sets:
        if number and annotations_of(replica_set).get(REVISION) == number:
            return _label(replica_set, _TEMPLATE_HASH)
    return ""


def newest_pods(
    kind: str, workload: Manifest, keepers: Iterable[Manifest], pods: Iterable[Manifest]
) -> list[Manifest]:
    """Return the workload's pods of its newest revision that are neither ending nor ended.

    `keepers`: see `newest_hash`. While that hash is unknown, no pod counts.
    """
    revision = newest_hash(kind, workload, keepers)
    if not revision:
        return []
    lasting = lasting_pods(workload, pods)
    return [pod for pod in lasting if pod_hash(kind, workload, pod) == revision]


def lasting_pods(workload: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the workload's pods that are to run on.

    A pod that failed or was evicted is replaced, but stays in the list.
    """
    return [pod for pod in pods if owns(workload, pod) and is_lasting(pod)]


def is_lasting(pod: Manifest) -> bool:
    """Whether the pod is to run on: it is neither ending nor has it ended."""
    return not is_ending(pod) and status_of(pod).get("phase") not in _ENDED


def is_ending(pod: Manifest) -> bool:
    """Whether the pod was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def pod_hash(kind: str, workload: Manifest, pod: Manifest) -> str:
    """Return the hash of the revision that the pod was made from."""
    label = _TEMPLATE_HASH if kind == "Deployment" else _REVISION_HASH
    return _label(pod, label).removeprefix(f"{name_of(workload)}-")


def containers_of(pod: Manifest) -> Sequence[Manifest]:
    """Return the statuses of a pod's containers, init containers first.

    There are none until the kubelet has written them.
    """
    status = status_of(pod)
    return [*items_of(status, "initContainerStatuses"), *items_of(status, "containerStatuses")]


def _label(obj: Manifest, name: str) -> str:
    return str(labels_of(obj).get(name) or "")


def _is_owned(keeper: Manifest, kind: str, workload: Manifest) -> bool:
    name = name_of(workload)
    # An owner without a UID counts by its name alone.
    uids = {workload["metadata"].get("uid"), None}
    for owner in owners_of(keeper):
        is_named = (owner.get("kind"), owner.get("name")) == (kind, name)
        if is_named and owner.get("uid") in uids:
            return True
    return False


def could_not_be_frozen(terminated: Fields) -> bool:
    """Whether a container ended because runc could not freeze it when it started it.

    Under cgroup v1 this may happen to anything that starts (kubernetes/kubernetes#131087).
    """
    message = str(terminated.get("message"))
    return terminated.get("reason") == "StartError" and _UNFROZEN in message
