"""What has a kubelet look at a pod at once: any change of the pod does, so an annotation is enough."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from devenv.errors import NotFoundError
from devenv.facts.labels import is_ready
from devenv.facts.revisions import containers_of
from devenv.facts.times import seconds
from devenv.gates.rollout import live
from devenv.ports import Kube, Manifest

SECRET_SEEN = "devenv/secret-seen"  # noqa: S105 - an annotation's name
SANDBOX_RETRIED = "devenv/sandbox-retried"
_NO_SANDBOX = "FailedCreatePodSandBox"
_UNFROZEN = "unable to freeze"
# Owners to whom one of their pods is as good as another.
_MAKERS = {"DaemonSet", "ReplicaSet"}
# second.
_GRACE = 1


def sync_secrets(kube: Kube, workload: Manifest, pods: Iterable[Manifest]) -> None:
    """Annotate each pod that waits with an old Secret, once for each change of the Secret.

    The kubelet brings a changed Secret into a running pod at its next periodic sync, which took up
    to 111 s (docs/facts/aibrix.md).
    """
    names = mounted_secrets((workload["spec"].get("template") or {}).get("spec") or {})
    if not names:
        return
    namespace = workload["metadata"].get("namespace", "")
    secrets = [s for name in names if (s := kube.get("v1", "Secret", namespace, name))]
    for pod in pods:
        _annotate(kube, pod, SECRET_SEEN, changed_since_start(pod, secrets))


def retry_sandboxes(kube: Kube, pods: Iterable[Manifest]) -> None:
    """Annotate each pod that has no sandbox, once for each time that making one failed.

    The kubelet tries again after 10 to 15 s (workerBackOffPeriod, kubernetes/kubernetes).
    """
    waiting = [p for p in live(pods) if not is_ready(p)]
    namespaces = {pod["metadata"]["namespace"] for pod in waiting}
    failures: list[Manifest] = []
    for namespace in sorted(namespaces):
        failures += [
            e for e in kube.select("v1", "Event", namespace) if e.get("reason") == _NO_SANDBOX
        ]
    for pod in waiting:
        uid = pod["metadata"].get("uid")
        pod_failures = [e for e in failures if (e.get("involvedObject") or {}).get("uid") == uid]
        _annotate(kube, pod, SANDBOX_RETRIED, max(map(_last_time, pod_failures), default=""))


def replace_unstarted(kube: Kube, pods: Iterable[Manifest]) -> None:
    """Delete each pod in which runc could not freeze a container that it started; its owner makes a new one.

    Under cgroup v1 that may happen to anything that starts (kubernetes/kubernetes#131087). The kubelet
    tries again after 15 s, and doubles that each time; a new pod is tried at once.
    """
    for pod in live(pods):
        meta = pod["metadata"]
        if _owner(pod) in _MAKERS and any(_is_unstarted(s) for s in containers_of(pod)):
            kube.delete("v1", "Pod", meta["namespace"], meta["name"], grace=_GRACE)


def _owner(pod: Manifest) -> str:
    return next(
        (o["kind"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), ""
    )


def _is_unstarted(status: Mapping[str, Any]) -> bool:
    """Whether a container waits for its next start since runc could not freeze it."""
    is_waiting = "waiting" in (status.get("state") or {})
    ended = (status.get("lastState") or {}).get("terminated") or {}
    return (
        is_waiting
        and ended.get("reason") == "StartError"
        and _UNFROZEN in str(ended.get("message"))
    )


def _last_time(event: Manifest) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _annotate(kube: Kube, pod: Manifest, key: str, value: str) -> None:
    """Annotate a pod, unless it is annotated so already, or with nothing to say."""
    meta = pod["metadata"]
    if not value or (meta.get("annotations") or {}).get(key) == value:
        return
    changed = {"namespace": meta["namespace"], "name": meta["name"], "annotations": {key: value}}
    with suppress(NotFoundError):
        kube.merge({"apiVersion": "v1", "kind": "Pod", "metadata": changed})


def mounted_secrets(spec: Manifest) -> list[str]:
    """Return the names of the Secrets that a pod's spec mounts, projected ones too."""
    names: set[str] = set()
    for volume in spec.get("volumes") or ():
        names.update(_secret_names(volume))
    return sorted(names)


def _secret_names(volume: Manifest) -> Iterator[str]:
    if name := (volume.get("secret") or {}).get("secretName"):
        yield str(name)
    for source in (volume.get("projected") or {}).get("sources") or ():
        if name := (source.get("secret") or {}).get("name"):
            yield str(name)


def changed_since_start(pod: Manifest, secrets: Sequence[Manifest]) -> str:
    """Return the versions of the Secrets that changed since a waiting pod started, else ""."""
    started = seconds((pod.get("status") or {}).get("startTime"))
    if not started or is_ready(pod) or not live([pod]):
        return ""
    changed = [s for s in secrets if s.get("data") and _last_change(s) >= started]
    return ".".join(str(s["metadata"].get("resourceVersion")) for s in changed)


def _last_change(secret: Manifest) -> float:
    """When it was last written, in whole seconds since 1970. Each writer has a time of its own."""
    meta = secret["metadata"]
    writers = meta.get("managedFields") or ()
    times = [meta.get("creationTimestamp"), *(w.get("time") for w in writers)]
    return max(seconds(t) for t in times)
