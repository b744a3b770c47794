"""Reads the logs of containers, and keeps of each the lines that may tell what is wrong."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from devenv.base.errors import DevenvError, NotFoundError
from devenv.facts.model import ContainerLog
from devenv.facts.objects import fields_of, name_of, namespace_of
from devenv.ports.kube import Kube, Manifest

# Seconds.
_DAY = 86400
# Lines from a log's end, bytes from its beginning.
_TAIL, _HEAD = 600, 96 << 10
_TELLING = re.compile(
    r"error|fail|panic|fatal|denied|refused|no space|warn|deprecat", re.IGNORECASE
)
# Lines from a log's end that are kept whatever they say.
_LAST_LINES = 60
# Telling lines before those that are kept: half of them the first ones, half of them the last.
_TELLING_LINES = 120


@dataclass(frozen=True)
class ContainerLogReader:
    """Reads the logs of one cluster's containers."""

    kube: Kube

    def read(self, component: str, pod: Manifest, status: Manifest) -> tuple[ContainerLog, ...]:
        """Return a container's log, and the one from before its last restart."""
        has_restarted = bool(status.get("restartCount"))
        is_waiting = "waiting" in fields_of(status, "state")
        if is_waiting and not has_restarted:
            # It has not run yet.
            return ()
        container = status["name"]
        logs: list[ContainerLog] = []
        with suppress(NotFoundError):
            logs.append(self._log(component, pod, container, previous=False))
        if has_restarted:
            # The earlier container's log may be gone before its pod is.
            with suppress(DevenvError):
                logs.append(self._log(component, pod, container, previous=True))
        return tuple(logs)

    def _log(
        self, component: str, pod: Manifest, container: str, *, previous: bool
    ) -> ContainerLog:
        return ContainerLog(
            component=component,
            namespace=namespace_of(pod),
            pod=name_of(pod),
            container=container,
            previous=previous,
            lines=_telling(self._lines(pod, container, previous=previous)),
        )

    def _lines(self, pod: Manifest, container: str, *, previous: bool) -> list[str]:
        """Return a log's end, after its beginning if that is another part.

        What fails once, at the start, is logged at the beginning.
        """
        place = (namespace_of(pod), name_of(pod), container)
        tail = self.kube.logs(*place, _DAY, _TAIL, timestamps=True, previous=previous)
        end = tail.splitlines()
        if len(end) < _TAIL:
            return end
        head = self.kube.logs(*place, 0, 0, timestamps=True, previous=previous, head=_HEAD)
        # The head's last line may be cut off.
        whole_lines = head.splitlines()[:-1]
        # Lines begin with their time, so they can be compared.
        beginning = [line for line in whole_lines if line < end[0]]
        return [*beginning, *end]


def _telling(lines: Sequence[str]) -> tuple[str, ...]:
    """Return a log's last lines, after the telling ones of those before them."""
    earlier_lines = lines[:-_LAST_LINES]
    telling = list(filter(_TELLING.search, earlier_lines))
    if len(telling) > _TELLING_LINES:
        half = _TELLING_LINES // 2
        telling = [*telling[:half], *telling[-half:]]
    return (*telling, *lines[-_LAST_LINES:])
