"""What a wait for a workload does beside waiting.

It has the kubelet bring changed Secrets to the pods at once, and it gives up on a rollout that can't
end well.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from devenv.errors import DevenvError, NotFoundError
from devenv.facts.labels import is_ready
from devenv.facts.model import owns
from devenv.gates.outlook import Outlook
from devenv.gates.rollout import live
from devenv.ports import Clock, Kube, Manifest

SECRET_SEEN = "devenv/secret-seen"  # noqa: S105 - an annotation's name
_PAUSE = 1.0  # seconds between two looks at the same workload


class Watch:
    """Looks at workloads that are waited for, at most once a second each.

    Begin once everything that a workload waits for is ready: its crashes count from then on.
    """

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._next_looks: dict[tuple[str, str], float] = {}
        self._outlooks: dict[tuple[str, str], Outlook] = {}

    def look(self, kind: str, workload: Manifest) -> None:
        """Look once, if it is time, at a workload that is not ready yet.

        `kind` is told, since objects of a list lack it. Raises DevenvError where the rollout can't end
        well.
        """
        key = (workload["metadata"].get("namespace", ""), workload["metadata"]["name"])
        now = self._clock.monotonic()
        if now < self._next_looks.get(key, 0.0):
            return
        self._next_looks[key] = now + _PAUSE
        self._sync_secrets(workload, pods_of(self._kube, workload))
        outlook = self._outlooks.setdefault(key, Outlook(self._kube, self._clock))
        if verdict := outlook.verdict(kind, workload):
            what = f"{'/'.join(key)} can't become ready."
            raise DevenvError(what, verdict, "`devenv doctor` has the cause.")

    def _sync_secrets(self, workload: Manifest, pods: Sequence[Manifest]) -> None:
        """Annotate each pod that waits with an old Secret, once for each change of the Secret.

        The kubelet brings a changed Secret into a running pod at its next periodic sync, which took up
        to 111 s; any change of the pod makes it sync at once (facts/aibrix.md).
        """
        names = mounted_secrets((workload["spec"].get("template") or {}).get("spec") or {})
        if not names:
            return
        namespace = workload["metadata"].get("namespace", "")
        secrets = [s for name in names if (s := self._kube.get("v1", "Secret", namespace, name))]
        for pod in pods:
            note = changed_since_start(pod, secrets)
            if note and (pod["metadata"].get("annotations") or {}).get(SECRET_SEEN) != note:
                meta = {"namespace": namespace, "name": pod["metadata"]["name"]}
                meta |= {"annotations": {SECRET_SEEN: note}}
                with suppress(NotFoundError):
                    self._kube.merge({"apiVersion": "v1", "kind": "Pod", "metadata": meta})


def pods_of(kube: Kube, workload: Manifest) -> list[Manifest]:
    """Return the pods that a workload made, those that are leaving too."""
    labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{k}={v}" for k, v in labels.items())
    pods = kube.select("v1", "Pod", workload["metadata"]["namespace"], selector)
    return [p for p in pods if owns(workload, p)]


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
    started = _seconds((pod.get("status") or {}).get("startTime"))
    if not started or is_ready(pod) or not live([pod]):
        return ""
    changed = [s for s in secrets if s.get("data") and _last_change(s) >= started]
    return ".".join(str(s["metadata"].get("resourceVersion")) for s in changed)


def _last_change(secret: Manifest) -> float:
    """When it was last written, in whole seconds since 1970. Each writer has a time of its own."""
    meta = secret["metadata"]
    writers = meta.get("managedFields") or ()
    times = [meta.get("creationTimestamp"), *(w.get("time") for w in writers)]
    return max(_seconds(t) for t in times)


def _seconds(text: Any) -> float:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
