"""Make a kubelet look at a pod at once. Any change of the pod does that, even an annotation."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from devenv.base.errors import NotFoundError
from devenv.facts.labels import is_ready
from devenv.facts.objects import Fields, fields_of, items_of, name_of, namespace_of
from devenv.facts.revisions import containers_of, could_not_be_frozen
from devenv.facts.times import seconds
from devenv.gates.rollout import live
from devenv.install.objects import unready_pods
from devenv.ports.kube import Kube, Manifest

SECRET_SEEN = "devenv/secret-seen"  # noqa: S105 - an annotation's name
SANDBOX_RETRIED = "devenv/sandbox-retried"
_NO_SANDBOX = "FailedCreatePodSandBox"
# Owners that replace a deleted pod by an equal one.
_REPLACING_OWNERS = {"DaemonSet", "ReplicaSet"}
_GRACE_SECONDS = 1


def sync_secrets(kube: Kube, workload: Manifest, pods: Iterable[Manifest]) -> None:
    """Annotate each pod that waits with an outdated Secret, once for each change of the Secret.

    By itself, the kubelet brings a changed Secret into a running pod at its next periodic sync,
    which took up to 111 s (docs/facts/aibrix.md).
    """
    template = fields_of(workload["spec"], "template")
    names = mounted_secrets(fields_of(template, "spec"))
    if not names:
        return
    secrets: list[Manifest] = []
    for name in names:
        secret = kube.get("v1", "Secret", namespace_of(workload), name)
        # A Secret that does not exist is the workload's own trouble.
        if secret:
            secrets.append(secret)
    for pod in pods:
        _annotate(kube, pod, SECRET_SEEN, changed_since_start(pod, secrets))


def retry_sandboxes(kube: Kube, pods: Iterable[Manifest]) -> None:
    """Annotate each pod whose sandbox could not be made, once for each time that it failed.

    By itself, the kubelet tries again after 10 to 15 s (kubernetes/kubernetes,
    workerBackOffPeriod).
    """
    waiting_pods = unready_pods(live(pods))
    namespaces = set(map(namespace_of, waiting_pods))
    failure_times = _sandbox_failure_times(kube, sorted(namespaces))
    for pod in waiting_pods:
        last_failure = failure_times.get(pod["metadata"].get("uid"), "")
        _annotate(kube, pod, SANDBOX_RETRIED, last_failure)


def _sandbox_failure_times(kube: Kube, namespaces: Iterable[str]) -> dict[Any, str]:
    """Return when making a pod's sandbox failed last, in RFC 3339, by the pod's UID."""
    failure_times: dict[Any, str] = {}
    for namespace in namespaces:
        for event in kube.select("v1", "Event", namespace):
            if event.get("reason") == _NO_SANDBOX:
                uid = fields_of(event, "involvedObject").get("uid")
                previous_time = failure_times.get(uid, "")
                failure_times[uid] = max(previous_time, _last_time(event))
    return failure_times


def replace_unstarted(kube: Kube, pods: Iterable[Manifest]) -> None:
    """Delete each pod with a container that runc started but could not freeze.

    The pod's owner makes a new one. The kubelet tries the same pod again after 15 s, and doubles
    that each time; it tries a new pod at once.
    """
    for pod in live(pods):
        is_replaced = _owner_kind(pod) in _REPLACING_OWNERS
        if is_replaced and any(map(_waits_unfrozen, containers_of(pod))):
            kube.delete("v1", "Pod", namespace_of(pod), name_of(pod), grace=_GRACE_SECONDS)


def _owner_kind(pod: Manifest) -> str:
    for owner in items_of(pod["metadata"], "ownerReferences"):
        if owner.get("controller"):
            return str(owner["kind"])
    return ""


def _waits_unfrozen(status: Fields) -> bool:
    """Whether a container waits for its next start because runc could not freeze it."""
    if "waiting" not in fields_of(status, "state"):
        return False
    return could_not_be_frozen(fields_of(fields_of(status, "lastState"), "terminated"))


def _last_time(event: Manifest) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _annotate(kube: Kube, pod: Manifest, key: str, value: str) -> None:
    """Annotate a pod, unless the value is empty or the pod has it already."""
    annotations = fields_of(pod["metadata"], "annotations")
    if not value or annotations.get(key) == value:
        return
    meta = {
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "annotations": {key: value},
    }
    with suppress(NotFoundError):
        kube.merge({"apiVersion": "v1", "kind": "Pod", "metadata": meta})


def mounted_secrets(spec: Fields) -> list[str]:
    """Return the names of the Secrets that a pod's spec mounts, projected ones too."""
    names: set[str] = set()
    for volume in items_of(spec, "volumes"):
        names.update(_secret_names(volume))
    return sorted(names)


def _secret_names(volume: Fields) -> Iterator[str]:
    if name := fields_of(volume, "secret").get("secretName"):
        yield str(name)
    for source in items_of(fields_of(volume, "projected"), "sources"):
        if name := fields_of(source, "secret").get("name"):
            yield str(name)


def changed_since_start(pod: Manifest, secrets: Sequence[Manifest]) -> str:
    """Return the versions of the Secrets that changed since the pod started, joined by dots.

    "" if none changed, or if the pod does not wait.
    """
    status = fields_of(pod, "status")
    start_time = seconds(status.get("startTime"))
    if not start_time or is_ready(pod) or not live([pod]):
        return ""
    changed_secrets = [s for s in secrets if s.get("data") and _last_change(s) >= start_time]
    return ".".join(map(_resource_version, changed_secrets))


def _resource_version(secret: Manifest) -> str:
    return str(secret["metadata"].get("resourceVersion"))


def _last_change(secret: Manifest) -> float:
    """Return when it was last written, in whole seconds since 1970.

    Each program that wrote it has a time of its own in managedFields.
    """
    meta = secret["metadata"]
    last_change = seconds(meta.get("creationTimestamp"))
    for writer in items_of(meta, "managedFields"):
        last_change = max(last_change, seconds(writer.get("time")))
    return last_change
