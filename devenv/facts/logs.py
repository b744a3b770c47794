"""Reads the components' logs, merged by time.

So no log is overlooked: the line that tells is often in the one that a user would not open.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from queue import SimpleQueue
from threading import Thread

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.facts.collect import component_pods
from devenv.facts.objects import fields_of, name_of, namespace_of
from devenv.facts.revisions import containers_of
from devenv.facts.signatures import signature
from devenv.facts.times import seconds
from devenv.facts.traffic import LoggedRequest
from devenv.ports.kube import Kube, Manifest
from devenv.profiles.model import Profile

# Lines of one container.
_TAIL = 5000
# A client connected only to see whether the port answers, as `up` does.
_KNOCK = re.compile(r"TLS handshake error from \S+: EOF")
_ALARMING = ("error", "panic", "fatal", "fail")


@dataclass(frozen=True)
class LogLine:
    """One line of a log. `time` is Kubernetes' timestamp, `code` that of a known signature."""

    time: str
    component: str
    pod: str
    container: str
    text: str
    code: str = ""
    # What the line says, if it is of Envoy's access log.
    request: LoggedRequest | None = None

    @property
    def problem(self) -> bool:
        """Whether the line deserves a look: a known signature, an error, or a failed request."""
        # Codes of DE9xx stand for lines that look alarming and are harmless.
        if self.code.startswith("DE9") or _KNOCK.search(self.text):
            return False
        if self.code:
            return True
        if self.request:
            return self.request.has_failed
        lower = self.text.lower()
        return any(word in lower for word in _ALARMING)


@dataclass(frozen=True)
class LogRange:
    """Which lines of each container's log to read. 0 sets no limit."""

    # Seconds: the greatest age of a line.
    max_age: int = 0
    # In seconds since 1970. The server reads whole ages, so this cuts what it sends.
    begin: float = 0.0
    # Lines, counted from the end.
    tail: int = 0
    # Only the run before a container's last restart.
    previous: bool = False

    def has(self, line: LogLine) -> bool:
        """Whether a line is not older than the beginning."""
        return not self.begin or seconds(line.time) >= self.begin


@dataclass(frozen=True)
class _Source:
    """A container whose log is read."""

    component: str
    namespace: str
    pod: str
    container: str
    has_restarted: bool = False


# What a thread that follows a log sends. Its last item is None, or the error that ended it.
_Queue = SimpleQueue[LogLine | DevenvError | None]


@dataclass(frozen=True)
class LogReader:
    """Reads one cluster's logs."""

    kube: Kube
    profile: Profile

    def check(self, components: Iterable[str]) -> None:
        """Raise DevenvError if one of the names is not a component with logs."""
        require_workloads(self.profile, components)

    def read(self, components: Iterable[str], log_range: LogRange) -> Iterator[LogLine]:
        """Yield the lines of a range, ordered by time.

        If `components` is empty, the lines are those of all components.
        """
        logs = [self._lines(source, log_range) for source in self._sources(components)]
        for line in merge(*logs, key=lambda line: line.time):
            if log_range.has(line):
                yield line

    def follow(self, components: Iterable[str], log_range: LogRange) -> Iterator[LogLine]:
        """Yield lines as they are written, until all followed containers have ended.

        Pods that start later are not followed.
        """
        queue: _Queue = SimpleQueue()
        sources = self._sources(components)
        for source in sources:
            Thread(target=self._feed, args=(source, log_range, queue), daemon=True).start()
        ended = 0
        while ended < len(sources):
            item = queue.get()
            if isinstance(item, LogLine):
                if log_range.has(item):
                    yield item
                continue
            ended += 1
            if isinstance(item, NotReachableError):
                raise item

    def _feed(self, source: _Source, log_range: LogRange, queue: _Queue) -> None:
        place = (source.namespace, source.pod, source.container)
        try:
            for line in self.kube.follow(*place, log_range.max_age, log_range.tail):
                queue.put(parse(source.component, source.pod, source.container, line))
            queue.put(None)
        except DevenvError as error:
            queue.put(error)

    def _sources(self, components: Iterable[str]) -> list[_Source]:
        names = set(components)
        objects = {
            "Deployment": tuple(self.kube.select("apps/v1", "Deployment")),
            "Pod": tuple(self.kube.select("v1", "Pod")),
        }
        sources: list[_Source] = []
        for component, pod in component_pods(self.profile, objects):
            if not names or component.name in names:
                sources += _sources_of(component.name, pod)
        return sources

    def _lines(self, source: _Source, log_range: LogRange) -> Iterable[LogLine]:
        """Return a container's lines, after those of the run before its last restart."""
        lines: deque[LogLine] = deque(maxlen=log_range.tail or None)
        if source.has_restarted:
            lines += self._lines_of_run(source, log_range, previous=True)
        if not log_range.previous:
            lines += self._lines_of_run(source, log_range, previous=False)
        return lines

    def _lines_of_run(
        self, source: _Source, log_range: LogRange, *, previous: bool
    ) -> Iterator[LogLine]:
        try:
            log = self.kube.logs(
                source.namespace,
                source.pod,
                source.container,
                log_range.max_age,
                log_range.tail or _TAIL,
                timestamps=True,
                previous=previous,
            )
        except NotReachableError:
            raise
        except DevenvError:
            # The pod is gone, or that run's log is.
            return
        for line in log.splitlines():
            yield parse(source.component, source.pod, source.container, line)


def require_workloads(profile: Profile, components: Iterable[str]) -> None:
    """Raise DevenvError if one of the names is not a component of the profile with pods."""
    workloads = [c.name for c in profile.components if c.gate == "workload"]
    unknown_names = ", ".join(name for name in components if name not in workloads)
    if unknown_names:
        workload_names = ", ".join(workloads)
        raise DevenvError(
            f"The profile {profile.name} has no workload {unknown_names}.",
            next_step=f"Its workloads are: {workload_names}.",
            exit_code=Exit.USAGE,
        )


def _sources_of(component: str, pod: Manifest) -> Iterator[_Source]:
    for status in containers_of(pod):
        has_restarted = bool(status.get("restartCount"))
        # A container that waits and was never restarted has no log.
        if has_restarted or "waiting" not in fields_of(status, "state"):
            place = (namespace_of(pod), name_of(pod), status["name"])
            yield _Source(component, *place, has_restarted)


def parse(component: str, pod: str, container: str, line: str) -> LogLine:
    """Return a line as Kubernetes gives it, with its timestamp.

    The text of a line of Envoy's access log is put into words.
    """
    time, _, text = line.partition(" ")
    request = LoggedRequest.of(text)
    return LogLine(
        time=time,
        component=component,
        pod=pod,
        container=container,
        text=request.in_words if request else text,
        code=signature(text),
        request=request,
    )
