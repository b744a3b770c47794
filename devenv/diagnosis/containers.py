"""One container of a pod: what its status and its log say about why it does not run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis.log_lines import line_text
from devenv.diagnosis.model import Evidence
from devenv.diagnosis.times import parse_time
from devenv.facts.collect import containers_in
from devenv.facts.model import ContainerLog, Facts
from devenv.facts.objects import name_of, status_of
from devenv.facts.telling import telling_line
from devenv.ports.kube import Manifest

# One end is no finding if the container runs again: it may have been a race at the start.
_CRASHES = 2
# Characters of a log line that are kept.
_LONGEST_LINE = 200
# How a kubelet names an end of which it knows nothing: the node was restarted, the pod evicted.
_UNKNOWN_ENDS = {"Unknown", "ContainerStatusUnknown"}


@dataclass(frozen=True)
class Ending:
    """How a container ended. `time` is in seconds since 1970."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    time: float = 0.0
    # False, with all else empty, if the container has not ended or the kubelet did not see how.
    is_known: bool = False


@dataclass(frozen=True)
class Container:
    """One container, by its pod and its status there."""

    facts: Facts
    pod: Manifest
    status: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.status["name"])

    @property
    def restarts(self) -> int:
        """How often the kubelet has started it again."""
        return int(self.status.get("restartCount") or 0)

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its part of the pod's spec."""
        for container in containers_in(self.pod["spec"]):
            if container["name"] == self.name:
                return container
        return {}

    @property
    def image(self) -> str:
        """The image reference in the pod's spec."""
        return str(self.spec.get("image", self.status.get("image", "")))

    @property
    def memory_limit(self) -> str:
        """The memory limit, as the spec spells it."""
        limits = (self.spec.get("resources") or {}).get("limits") or {}
        return str(limits.get("memory", "none"))

    @property
    def is_well(self) -> bool:
        """Whether it is ready, or has finished as it should."""
        terminated = self._state.get("terminated") or {}
        return bool(self.status.get("ready")) or terminated.get("exitCode") == 0

    @property
    def running_since(self) -> float:
        """When it started, in seconds since 1970; 0 if it does not run."""
        return parse_time((self._state.get("running") or {}).get("startedAt"))

    @property
    def waiting_reason(self) -> str:
        """Why the kubelet does not start it now; "" if it does not wait."""
        return str(self._waiting.get("reason") or "")

    @property
    def waiting_message(self) -> str:
        """What the kubelet says about that."""
        return str(self._waiting.get("message") or "")

    @property
    def ending(self) -> Ending:
        """How it ended, now or the last time, if that was a fault of its own."""
        ending = _read_ending(self._state.get("terminated"))
        if ending.is_known:
            return ending
        return self._last_ending

    @property
    def _last_ending(self) -> Ending:
        ending = _read_ending((self.status.get("lastState") or {}).get("terminated"))
        last_start = max((node.started for node in self.facts.nodes), default=0.0)
        ended_with_node = ending.time < last_start
        runs_again = "waiting" not in self._state and ending.reason != "OOMKilled"
        if ended_with_node or (runs_again and self.restarts < _CRASHES):
            return Ending()
        return ending

    def log_mentions(self, text: str) -> bool:
        """Whether a line of its logs has this text."""
        return any(text in line for line in self._lines(self._logs()))

    def last_words(self) -> list[Evidence]:
        """Return the log line that tells why it ended."""
        is_running = "running" in self._state
        # The log of the run that has ended comes last. If it runs again, that is the previous log.
        logs = sorted(self._logs(), key=lambda log: log.previous is is_running)
        line = telling_line(self._lines(logs))
        if not line:
            return []
        return [Evidence(f"log {name_of(self.pod)}", line[:_LONGEST_LINE])]

    def _lines(self, logs: Iterable[ContainerLog]) -> Iterator[str]:
        """Yield the lines of logs, without their timestamps."""
        for log in logs:
            yield from map(line_text, log.lines)

    def _logs(self) -> Iterator[ContainerLog]:
        pod = name_of(self.pod)
        for log in self.facts.logs:
            if (log.pod, log.container) == (pod, self.name):
                yield log

    @property
    def _state(self) -> Mapping[str, Any]:
        return self.status.get("state") or {}

    @property
    def _waiting(self) -> Mapping[str, Any]:
        return self._state.get("waiting") or {}


def init_containers_of(facts: Facts, pod: Manifest) -> Iterator[Container]:
    """Yield the init containers that a pod's status lists."""
    for status in status_of(pod).get("initContainerStatuses") or ():
        yield Container(facts, pod, status)


def main_containers_of(facts: Facts, pod: Manifest) -> Iterator[Container]:
    """Yield the containers that a pod's status lists, without the init containers."""
    for status in status_of(pod).get("containerStatuses") or ():
        yield Container(facts, pod, status)


def _read_ending(terminated: Mapping[str, Any] | None) -> Ending:
    if not terminated or terminated.get("reason") in _UNKNOWN_ENDS:
        return Ending()
    return Ending(
        reason=str(terminated.get("reason") or ""),
        message=str(terminated.get("message") or ""),
        exit_code=terminated.get("exitCode"),
        time=parse_time(terminated.get("finishedAt")),
        is_known=True,
    )
