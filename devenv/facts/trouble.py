"""Reads what explains a workload that does not become ready.

That is: the states of its newest pods, their warnings, and the telling line of each log.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.base.errors import DevenvError, NotReachableError
from devenv.facts.objects import (
    Fields,
    conditions_of,
    fields_of,
    name_of,
    namespace_of,
    owners_of,
)
from devenv.facts.revisions import KEEPERS, containers_of, is_lasting, newest_pods
from devenv.facts.telling import telling_line
from devenv.facts.times import seconds
from devenv.ports.kube import Kube, Manifest

# Events that are shown, the last ones.
_EVENTS = 4
# Lines from a log's end among which the telling one is looked for: a panic prints all stacks.
_LINES = 2000
_HOUR = 3600
_APPS = "apps/v1"


@dataclass(frozen=True)
class Trouble:
    """Reads what an error message can show of one workload."""

    kube: Kube

    def lines(self, workload: Manifest, since: float = 0.0) -> list[str]:
        """Return lines to show about pods of the newest revision.

        Events from before `since`, in seconds since 1970, are left out. If something can't be read,
        this returns no lines: a second error must not hide the one that the lines explain.
        """
        try:
            pods = self._pods(workload)
            shown = [*pod_states(pods), *self._events(workload, pods, since)]
            for pod in pods:
                shown += self._log_lines(pod)
        except DevenvError:
            return []
        return shown

    def _pods(self, workload: Manifest) -> list[Manifest]:
        """Return the newest revision's pods; if it has none, all that are to run on."""
        namespace = workload["metadata"]["namespace"]
        labels = fields_of(workload["spec"].get("selector"), "matchLabels")
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        if not selector:
            return []
        pods = self.kube.select("v1", "Pod", namespace, selector)
        kind = _kind(pods)
        keepers: list[Manifest] = []
        if kind in KEEPERS:
            keepers = self.kube.select(_APPS, KEEPERS[kind], namespace, selector)
        newest = newest_pods(kind, workload, keepers, pods)
        return newest or list(filter(is_lasting, pods))

    def _events(self, workload: Manifest, pods: Sequence[Manifest], since: float) -> list[str]:
        """Return the last warnings about the pods, and about the workload since they were made."""
        workload_name = name_of(workload)
        names = {workload_name, *map(name_of, pods)}
        created = min(map(_created, pods), default=0.0)
        warnings: list[Manifest] = []
        for event in self.kube.select("v1", "Event", workload["metadata"]["namespace"]):
            if event.get("type") != "Warning" or _subject(event) not in names:
                continue
            # Kubernetes' times have whole seconds.
            earliest = float(int(since))
            if _subject(event) == workload_name:
                earliest = max(earliest, created)
            if _time(event) >= earliest:
                warnings.append(event)
        last_warnings = sorted(warnings, key=_time)[-_EVENTS:]
        return list(map(_in_words, last_warnings))

    def _log_lines(self, pod: Manifest) -> list[str]:
        """Return the telling line of each container that has run and is not ready."""
        shown: list[str] = []
        for status in containers_of(pod):
            has_run = "running" in status["state"] or bool(status["restartCount"])
            if status["ready"] or _has_finished(status) or not has_run:
                continue
            line = telling_line(self._last_run(pod, status))
            if line:
                shown.append(f"log {name_of(pod)}/{status['name']}: {line}")
        return shown

    def _last_run(self, pod: Manifest, status: Fields) -> list[str]:
        """Return the end of the log of the run that failed last.

        If the container runs again, that is the run before, as long as its log is still there.
        """
        if "running" in status["state"] and status["restartCount"]:
            lines = self._lines_before_restart(pod, status["name"])
            if lines:
                return lines
        return self._lines(pod, status["name"])

    def _lines(self, pod: Manifest, container: str, *, previous: bool = False) -> list[str]:
        log = self.kube.logs(
            namespace_of(pod), name_of(pod), container, _HOUR, _LINES, previous=previous
        )
        return log.splitlines()

    def _lines_before_restart(self, pod: Manifest, container: str) -> list[str]:
        try:
            return self._lines(pod, container, previous=True)
        except NotReachableError:
            raise
        except DevenvError:
            # The log of that run is gone.
            return []


def pod_states(pods: Iterable[Manifest]) -> Iterator[str]:
    """Yield a line for each pod and container that is not ready: why it waits, or why it ended."""
    for pod in pods:
        for condition in conditions_of(pod):
            if condition["type"] == "PodScheduled" and condition["status"] != "True":
                reason = condition.get("reason", "")
                message = condition.get("message", "")
                yield f"pod {name_of(pod)}: {reason}: {message}"
        for status in containers_of(pod):
            container = status["name"]
            for state in _unready_states(status):
                yield f"pod {name_of(pod)}, container {container}: {state}"


def _unready_states(status: Fields) -> Iterator[str]:
    if status["ready"] or _has_finished(status):
        return
    for kind in ("waiting", "terminated"):
        if state := status["state"].get(kind):
            reason = state.get("reason", kind)
            message = state.get("message", "")
            description = f"{reason}: {message}".rstrip(": ")
            restarts = status["restartCount"]
            yield f"{description}, {counted(restarts, 'restart')}"


def _kind(pods: Sequence[Manifest]) -> str:
    """Return the kind of the workload that made the pods, which a list leaves out."""
    owner_kinds: list[str] = []
    for pod in pods:
        owner_kinds += [str(owner.get("kind")) for owner in owners_of(pod)]
    if "ReplicaSet" in owner_kinds:
        return "Deployment"
    return next(iter(owner_kinds), "")


def _created(pod: Manifest) -> float:
    return seconds(pod["metadata"].get("creationTimestamp"))


def _subject(event: Manifest) -> str:
    """Return the name of the object that an event is about."""
    return str(event["involvedObject"]["name"])


def _time(event: Manifest) -> float:
    """Return when an event was last seen, in seconds since 1970; 0 if it does not say."""
    last_observed = fields_of(event, "series").get("lastObservedTime")
    return seconds(last_observed or event.get("lastTimestamp") or event.get("eventTime"))


def _in_words(event: Manifest) -> str:
    reason, message = event["reason"], event["message"].strip()
    return f"event {_subject(event)}: {reason}: {message}"


def _has_finished(status: Fields) -> bool:
    """Whether this is an init container that has done its work."""
    terminated = fields_of(status["state"], "terminated")
    return bool(terminated.get("exitCode") == 0)
