"""Which pods are of a workload's newest revision: those before them say nothing of what was just rolled out.

The Deployment controller gives its newest ReplicaSet the Deployment's own revision number, and its pods the ReplicaSet's
`pod-template-hash`. Pods of a StatefulSet or DaemonSet carry `controller-revision-hash`; a StatefulSet's status names the
newest, of a DaemonSet it is the ControllerRevision with the highest number.
"""

from collections.abc import Iterable, Sequence

from devenv.facts.model import owns
from devenv.ports import Manifest

REVISION = "deployment.kubernetes.io/revision"
# Who keeps a workload's revisions.
KEEPERS = {
    "Deployment": "ReplicaSet",
    "DaemonSet": "ControllerRevision",
}
_POD_HASHES = {"Deployment": "pod-template-hash"}
_ENDED = {"Failed", "Succeeded"}


def newest_hash(kind: str, workload: Manifest, keepers: Iterable[Manifest]) -> str:
    """Return the hash that labels the pods of the newest revision.

    `kind`: the workload's, which the API server leaves out in lists.
    `keepers`: the namespace's ReplicaSets for a Deployment, its ControllerRevisions for a DaemonSet. "" while the
    workload's controller has not seen the newest change, and where its revisions could not be read.
    """
    meta, status = workload["metadata"], workload.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        return ""
    if kind == "StatefulSet":
        return str(status.get("updateRevision") or "").removeprefix(f"{meta['name']}-")
    owned_keepers = [k for k in keepers if _is_owned(k, kind, workload)]
    if kind == "DaemonSet":
        newest = max(owned_keepers, key=lambda k: int(k.get("revision") or 0), default=None)
        return _label(newest, "controller-revision-hash") if newest else ""
    number = (meta.get("annotations") or {}).get(REVISION)
    of_number = (
        k for k in owned_keepers if (k["metadata"].get("annotations") or {}).get(REVISION) == number
    )
    newest = next(of_number, None) if number else None
    return _label(newest, "pod-template-hash") if newest else ""


def newest_pods(
    kind: str, workload: Manifest, keepers: Iterable[Manifest], pods: Iterable[Manifest]
) -> list[Manifest]:
    """Return the workload's pods of its newest revision that are to run on: neither ending nor ended.

    `keepers`: see `newest_hash`; while that is unknown there are none.
    """
    revision = newest_hash(kind, workload, keepers)
    lasting = lasting_pods(workload, pods)
    return [p for p in lasting if revision and pod_hash(kind, workload, p) == revision]


def lasting_pods(workload: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the workload's pods that are to run on. One that failed or was evicted is replaced, and stays in the list."""
    return [p for p in pods if owns(workload, p) and is_lasting(p)]


def is_lasting(pod: Manifest) -> bool:
    """Whether the pod is to run on: it is neither ending nor has it ended."""
    return not is_ending(pod) and (pod.get("status") or {}).get("phase") not in _ENDED


def is_ending(pod: Manifest) -> bool:
    """Whether the pod was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def pod_hash(kind: str, workload: Manifest, pod: Manifest) -> str:
    """Return the hash of the revision that the pod was made from."""
    label = _label(pod, _POD_HASHES.get(kind, "controller-revision-hash"))
    return label.removeprefix(f"{workload['metadata']['name']}-")


def containers_of(pod: Manifest) -> Sequence[Manifest]:
    """Return the statuses of a pod's containers, init containers first; none before the kubelet has written any."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _label(obj: Manifest, name: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(name) or "")


def _is_owned(keeper: Manifest, kind: str, workload: Manifest) -> bool:
    owners = keeper["metadata"].get("ownerReferences") or ()
    name = workload["metadata"]["name"]
    uid = workload["metadata"].get("uid")
    return any(
        (o.get("kind"), o.get("name")) == (kind, name) and o.get("uid") in {uid, None}
        for o in owners
    )
