"""devenv's own files in a bug report: its state, settings, logs and journal."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.disk.history import History
from devenv.ports.clock import Clock
from devenv.ports.host import Host
from devenv.profiles import settings
from devenv.workstation.bugreport import Contents, Part

# Bytes from the end of each log, and logs at most: the newest ones.
_TAIL, _MOST_LOGS = 128 << 10, 20
# Bytes of any other file.
_LARGEST = 4 << 20
_LOG_ENDINGS = {".log", ".jsonl"}


@dataclass(frozen=True)
class OwnFiles:
    """Reads what devenv keeps about one cluster. A file that does not exist is left out."""

    host: Host
    clock: Clock
    cluster: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the report, each without need of an engine."""
        return (
            Part("state", self._read_state),
            Part("settings", self._read_settings),
            Part("logs of devenv", self._read_logs),
            Part("journal.json", self._read_journal),
        )

    def _read_state(self) -> Contents:
        folder = self.host.state_dir()
        names = (f"clusters/{self.cluster}.json", "schedule.json", "schedule-last.json")
        paths = {f"state/{name}": folder / name for name in names}
        return {name: _read_json(path) for name, path in paths.items() if path.is_file()}

    def _read_settings(self) -> Contents:
        path = self.host.config_dir() / settings.FILE
        if not path.is_file():
            return {}
        return {settings.FILE: _read_start(path)}

    def _read_logs(self) -> Contents:
        """Return the ends of the newest logs: of builds, of setup, of an engine that it started."""
        paths = sorted(self._log_paths(), key=_modified, reverse=True)
        return {f"devenv-logs/{path.name}": _read_end(path) for path in paths[:_MOST_LOGS]}

    def _log_paths(self) -> Iterator[Path]:
        state = self.host.state_dir()
        folders = (self.host.cache_dir() / "logs", state / "engine", state)
        for folder in folders:
            yield from _logs_in(folder)

    def _read_journal(self) -> Contents:
        entries = History(self.host, self.clock).entries()
        return {"journal.json": entries} if entries else {}


def _logs_in(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return ()
    return [path for path in folder.iterdir() if path.suffix in _LOG_ENDINGS and path.is_file()]


def _modified(path: Path) -> float:
    # It may have been removed a moment ago.
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read_json(path: Path) -> Any:
    """Return what a JSON file says; its text if it is broken, since that is worth a look."""
    text = _read_start(path)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read_start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode(errors="replace")


def _read_end(path: Path) -> str:
    """Return the whole lines at a log's end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        text = file.read(_TAIL).decode(errors="replace")
    if size > _TAIL:
        text = text.partition("\n")[2]
    return text
