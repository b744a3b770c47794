"""What a workload that does not get ready has to say: its pods' states, its warnings, the end of its log."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from devenv.errors import DevenvError
from devenv.ports import Kube, Manifest

_EVENTS = 4  # the last ones
_LINES = 6  # of a log
_HOUR = 3600


@dataclass(frozen=True)
class Trouble:
    """Reads what an error message can show of one workload."""

    kube: Kube

    def lines(self, workload: Manifest) -> list[str]:
        """Return lines to show; none where nothing can be read, for an error must not hide the one it explains."""
        try:
            pods = self._pods(workload)
            shown = [*pod_states(pods), *self._events(workload, pods)]
            for pod in pods:
                shown += self._log(pod)
        except DevenvError:
            return []
        return shown

    def _pods(self, workload: Manifest) -> list[Manifest]:
        labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{k}={v}" for k, v in labels.items())
        return self.kube.select("v1", "Pod", workload["metadata"]["namespace"], selector) if selector else []

    def _events(self, workload: Manifest, pods: Iterable[Manifest]) -> list[str]:
        names = {workload["metadata"]["name"], *(p["metadata"]["name"] for p in pods)}
        events = self.kube.select("v1", "Event", workload["metadata"]["namespace"])
        warnings = [e for e in events if e.get("type") == "Warning" and e["involvedObject"]["name"] in names]
        warnings.sort(key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
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


def _containers(pod: Manifest) -> list[dict[str, Any]]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _finished(status: dict[str, Any]) -> bool:
    """Whether this is an init container that did its work."""
    return bool((status["state"].get("terminated") or {}).get("exitCode") == 0)
