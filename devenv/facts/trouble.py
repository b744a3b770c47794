"""What a workload that does not get ready has to say: its pods' states, its warnings, the end of its log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devenv.errors import DevenvError
from devenv.facts.revisions import KEEPERS, lasting_pods, newest_pods
from devenv.ports import Kube, Manifest

_EVENTS = 4  # the last ones
_LINES = 6  # of a log
_HOUR = 3600


@dataclass(frozen=True)
class Trouble:
    """Reads what an error message can show of one workload."""

    kube: Kube

    def lines(self, workload: Manifest, kind: str = "Deployment", since: float = 0.0) -> list[str]:
        """Return lines to show; none where nothing can be read, for an error must not hide the one it explains.

        Only the pods of the newest revision tell, and of events those since then, in seconds since 1970.
        """
        try:
            keepers = self._keepers(workload, kind)
            pods = self._pods(workload, kind, keepers)
            shown = [*pod_states(pods), *self._events(workload, [*keepers, *pods], since)]
            for pod in pods:
                shown += self._log(pod)
        except DevenvError:
            return []
        return shown

    def _keepers(self, workload: Manifest, kind: str) -> list[Manifest]:
        namespace = workload["metadata"]["namespace"]
        return self.kube.select("apps/v1", KEEPERS[kind], namespace) if kind in KEEPERS else []

    def _pods(self, workload: Manifest, kind: str, keepers: Iterable[Manifest]) -> list[Manifest]:
        every = self.kube.select("v1", "Pod", workload["metadata"]["namespace"])
        current = self.kube.get("apps/v1", kind, workload["metadata"]["namespace"], workload["metadata"]["name"])
        return newest_pods(kind, current or workload, keepers, every) or lasting_pods(workload, every)

    def _events(self, workload: Manifest, others: Iterable[Manifest], since: float) -> list[str]:
        """Return the last warnings about the workload and these objects. Their times have whole seconds."""
        uids = {obj["metadata"].get("uid") for obj in (workload, *others)}
        events = self.kube.select("v1", "Event", workload["metadata"]["namespace"])
        own = [e for e in events if e.get("type") == "Warning" and e["involvedObject"].get("uid") in uids]
        warnings = [e for e in own if _time(e) >= int(since)]
        warnings.sort(key=_time)
        return [f"event {e['involvedObject']['name']}: {e['reason']}: {e['message'].strip()}" for e in warnings[-_EVENTS:]]

    def _log(self, pod: Manifest) -> list[str]:
        meta, shown = pod["metadata"], []
        for status in _containers(pod):
            if not status["ready"] and not _finished(status) and (status["state"].get("running") or status["restartCount"]):
                log = self.kube.logs(meta["namespace"], meta["name"], status["name"], _HOUR, _LINES)
                shown += [f"log {meta['name']}/{status['name']}: {line}" for line in log.splitlines()]
        return shown


def pod_states(pods: Iterable[Manifest]) -> Iterator[str]:
    """Yield a line for each pod that is not ready: why it waits, or why it ended."""
    for pod in pods:
        name = pod["metadata"]["name"]
        for condition in pod["status"].get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                yield f"pod {name}: {condition.get('reason', '')}: {condition.get('message', '')}"
        for status in _containers(pod):
            if status["ready"] or _finished(status):
                continue
            for how in ("waiting", "terminated"):
                if state := status["state"].get(how):
                    told = f"{state.get('reason', how)}: {state.get('message', '')}".rstrip(": ")
                    yield f"pod {name}, container {status['name']}: {told}, {status['restartCount']} restarts"


def _time(event: Manifest) -> float:
    """Return when an event was seen last, in seconds since 1970; 0 where it does not say."""
    series = event.get("series") or {}
    told = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    try:
        return datetime.fromisoformat(str(told)).timestamp()
    except ValueError:
        return 0.0


def _containers(pod: Manifest) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _finished(status: dict[str, Any]) -> bool:
    """Whether this is an init container that did its work."""
    return bool((status["state"].get("terminated") or {}).get("exitCode") == 0)
