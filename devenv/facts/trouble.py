"""What a workload that does not get ready has to say.

That is: its newest pods' states, their warnings, and the line of a log that tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.errors import DevenvError, NotReachableError
from devenv.facts.revisions import KEEPERS, containers_of, is_lasting, newest_pods
from devenv.facts.telling import telling_line
from devenv.facts.times import seconds
from devenv.ports import Kube, Manifest

# The last ones.
_EVENTS = 4
# Lines from a log's end among which the one that tells is looked for: a panic prints all stacks.
_LINES = 2000
_HOUR = 3600
_APPS = "apps/v1"


@dataclass(frozen=True)
class Trouble:
    """Reads what an error message can show of one workload."""

    kube: Kube

    def lines(self, workload: Manifest, since: float = 0.0) -> list[str]:
        """Return lines to show; none where nothing can be read, for an error must not hide the one it explains.

        Only pods of the newest revision tell, and of events those since then, in seconds since 1970.
        """
        try:
            pods = self._pods(workload)
            shown = [*pod_states(pods), *self._events(workload, pods, since)]
            for pod in pods:
                shown += self._log(pod)
        except DevenvError:
            return []
        return shown

    def _pods(self, workload: Manifest) -> list[Manifest]:
        """Return the newest revision's pods; where it has none, all that are to run on."""
        namespace = workload["metadata"]["namespace"]
        labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
        selector = ",".join(f"{k}={v}" for k, v in labels.items())
        if not selector:
            return []
        pods = self.kube.select("v1", "Pod", namespace, selector)
        kind = _kind(pods)
        keepers: list[Manifest] = []
        if kind in KEEPERS:
            keepers = self.kube.select(_APPS, KEEPERS[kind], namespace, selector)
        return newest_pods(kind, workload, keepers, pods) or [p for p in pods if is_lasting(p)]

    def _events(self, workload: Manifest, pods: Sequence[Manifest], since: float) -> list[str]:
        """Return the last warnings about these pods, and about the workload since they were made."""
        workload_name = workload["metadata"]["name"]
        names = {workload_name, *(p["metadata"]["name"] for p in pods)}
        created = min((seconds(p["metadata"].get("creationTimestamp")) for p in pods), default=0.0)
        events = self.kube.select("v1", "Event", workload["metadata"]["namespace"])
        warnings = [
            e for e in events if e.get("type") == "Warning" and e["involvedObject"]["name"] in names
        ]
        # Kubernetes' times have whole seconds.
        recent = [e for e in warnings if _time(e) >= int(since)]
        recent = [
            e for e in recent if e["involvedObject"]["name"] != workload_name or _time(e) >= created
        ]
        recent.sort(key=_time)
        return [
            f"event {e['involvedObject']['name']}: {e['reason']}: {e['message'].strip()}"
            for e in recent[-_EVENTS:]
        ]

    def _log(self, pod: Manifest) -> list[str]:
        meta, shown = pod["metadata"], []
        for status in containers_of(pod):
            is_running, has_restarted = "running" in status["state"], bool(status["restartCount"])
            if status["ready"] or _finished(status) or not (is_running or has_restarted):
                continue
            lines = (
                self._lines(meta, status["name"], previous=True)
                if is_running and has_restarted
                else []
            )
            line = telling_line(lines or self._lines(meta, status["name"]))
            if line:
                shown.append(f"log {meta['name']}/{status['name']}: {line}")
        return shown

    def _lines(
        self, meta: Mapping[str, Any], container: str, *, previous: bool = False
    ) -> list[str]:
        """Return the end of a log; nothing of a run before that is gone."""
        try:
            log = self.kube.logs(
                meta["namespace"], meta["name"], container, _HOUR, _LINES, previous=previous
            )
        except NotReachableError:
            raise
        except DevenvError:
            if previous:
                return []
            raise
        return log.splitlines()


def pod_states(pods: Iterable[Manifest]) -> Iterator[str]:
    """Yield a line for each pod that is not ready: why it waits, or why it ended."""
    for pod in pods:
        name = pod["metadata"]["name"]
        for condition in pod["status"].get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                yield f"pod {name}: {condition.get('reason', '')}: {condition.get('message', '')}"
        for status in containers_of(pod):
            if status["ready"] or _finished(status):
                continue
            for how in ("waiting", "terminated"):
                if state := status["state"].get(how):
                    description = f"{state.get('reason', how)}: {state.get('message', '')}".rstrip(
                        ": "
                    )
                    yield f"pod {name}, container {status['name']}: {description}, {status['restartCount']} restarts"


def _kind(pods: Sequence[Manifest]) -> str:
    """Return the kind of the workload that made the pods: what a list gives does not say its own."""
    owners = [o.get("kind") for p in pods for o in p["metadata"].get("ownerReferences") or ()]
    return "Deployment" if "ReplicaSet" in owners else str(next(iter(owners), ""))


def _time(event: Manifest) -> float:
    """Return when an event was seen last, in seconds since 1970; 0 where it does not say."""
    series = event.get("series") or {}
    return seconds(
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    )


def _finished(status: dict[str, Any]) -> bool:
    """Whether this is an init container that did its work."""
    return bool((status["state"].get("terminated") or {}).get("exitCode") == 0)
