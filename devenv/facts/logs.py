"""The components' logs, merged by time. The line that would have told was in the one log that nobody read."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from queue import SimpleQueue
from threading import Thread

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.facts.collect import component_pods
from devenv.facts.signatures import signature
from devenv.ports import Kube, Manifest
from devenv.profiles.model import Profile

# Lines of one container.
_TAIL = 5000
# Somebody looked whether the port answers, as `up` does.
_KNOCK = re.compile(r"TLS handshake error from \S+: EOF")


@dataclass(frozen=True)
class LogLine:
    """One line: when it was written, as Kubernetes has it, by which component, and the code of a known signature."""

    time: str
    component: str
    pod: str
    container: str
    text: str
    code: str = ""

    @property
    def problem(self) -> bool:
        """Whether it is one to look at: a known signature, an error, or a request that failed."""
        # Harmless, though it looks alarming.
        if self.code.startswith("DE9") or _KNOCK.search(self.text):
            return False
        return (
            bool(self.code)
            or any(w in self.text.lower() for w in ("error", "panic", "fatal", "fail"))
            or self.text.startswith("5")
        )


@dataclass(frozen=True)
class _Source:
    component: str
    namespace: str
    pod: str
    container: str
    restarted: bool = False


@dataclass(frozen=True)
class LogReader:
    """Reads one cluster's logs."""

    kube: Kube
    profile: Profile

    def check(self, components: Iterable[str]) -> None:
        """Raise DevenvError where a name is no component of the profile's that has logs."""
        workloads = [c.name for c in self.profile.components if c.gate == "workload"]
        if unknown := [c for c in components if c not in workloads]:
            fix = f"There are: {', '.join(workloads)}."
            raise DevenvError(
                f"The profile {self.profile.name} has no workload {', '.join(unknown)}.",
                "",
                fix,
                Exit.USAGE,
            )

    def read(self, components: Iterable[str], since: int) -> Iterator[LogLine]:
        """Yield the lines of the last `since` seconds in their order; of all components where none is named."""
        yield from merge(
            *(self._lines(s, since) for s in self._sources(components)), key=lambda line: line.time
        )

    def follow(self, components: Iterable[str], since: int) -> Iterator[LogLine]:
        """Yield lines as they are written, for ever; those of pods that are there now."""
        queue: SimpleQueue[LogLine | DevenvError | None] = SimpleQueue()
        sources = self._sources(components)
        for source in sources:
            Thread(target=self._feed, args=(source, since, queue), daemon=True).start()
        ended = 0
        while ended < len(sources):
            item = queue.get()
            if isinstance(item, LogLine):
                yield item
                continue
            ended += 1
            if isinstance(item, NotReachableError):
                raise item

    def _feed(
        self, source: _Source, since: int, queue: "SimpleQueue[LogLine | DevenvError | None]"
    ) -> None:
        try:
            for line in self.kube.follow(source.namespace, source.pod, source.container, since):
                queue.put(parse(source.component, source.pod, source.container, line))
            queue.put(None)
        except DevenvError as error:
            queue.put(error)

    def _sources(self, components: Iterable[str]) -> list[_Source]:
        names = set(components)
        objects = {
            kind: tuple(self.kube.select(v, kind))
            for v, kind in (("apps/v1", "Deployment"), ("v1", "Pod"))
        }
        return [
            _Source(
                component.name,
                pod["metadata"]["namespace"],
                pod["metadata"]["name"],
                status["name"],
                bool(status.get("restartCount")),
            )
            for component, pod in component_pods(self.profile, objects)
            if not names or component.name in names
            for status in _containers(pod)
        ]

    def _lines(self, source: _Source, since: int) -> Iterator[LogLine]:
        for previous in [True, False] if source.restarted else [False]:
            try:
                log = self.kube.logs(
                    source.namespace,
                    source.pod,
                    source.container,
                    since,
                    _TAIL,
                    timestamps=True,
                    previous=previous,
                )
            except NotReachableError:
                raise
            except DevenvError:
                # The pod is gone, or its container of before.
                continue
            for line in log.splitlines():
                yield parse(source.component, source.pod, source.container, line)


def _containers(pod: Manifest) -> list[Manifest]:
    status = pod.get("status") or {}
    statuses = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    return [s for s in statuses if s.get("restartCount") or "waiting" not in (s.get("state") or {})]


def parse(component: str, pod: str, container: str, line: str) -> LogLine:
    """Return a line as Kubernetes gives it, with its timestamp; one of Envoy's access log in words."""
    time, _, text = line.partition(" ")
    return LogLine(time, component, pod, container, _readable(text), signature(text))


def _readable(text: str) -> str:
    """Envoy Gateway's access log is JSON: return what one looks for in it, the code first."""
    if not text.startswith("{"):
        return text
    try:
        entry = json.loads(text)
    except ValueError:
        return text
    if "response_code" not in entry:
        return text
    shown = [
        entry.get("response_code"),
        entry.get("method"),
        entry.get("x-envoy-origin-path"),
        f"{entry.get('duration')} ms",
    ]
    shown += [entry.get("route_name"), f"→ {entry.get('upstream_host') or 'nowhere'}"]
    if (flags := entry.get("response_flags") or "-") != "-":
        shown.append(f"flags {flags} ({entry.get('response_code_details')})")
    return " ".join(str(word) for word in shown if word)
