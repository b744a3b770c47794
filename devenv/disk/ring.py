"""A log that needs no space: its blocks are taken beforehand, so that it can be written on a full disk.

Two files of one size take turns: when one is full the other is emptied, so that the newest half is always there. A line
that a kill cut short is left out when it is read, and so is what follows it on that line alone.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NONE = b"\0"


@dataclass(frozen=True)
class Ring:
    """Entries, the oldest first. `size` in bytes, of each of the two files."""

    folder: Path
    name: str
    size: int = 256 << 10

    def prepare(self) -> None:
        """Take the space. Raises OSError where there is none."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._files():
            if not path.exists() or path.stat().st_size < self.size:
                with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                    file.seek(0, os.SEEK_END)
                    file.write(_NONE * (self.size - file.tell()))
                    os.fsync(file.fileno())

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write an entry, which is on the disk when this returns. Raises OSError where no space was taken beforehand."""
        self.prepare()
        with self._files()[0].open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._append(entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        current, previous = sorted(self._files(), key=self._last, reverse=True)
        line = (
            json.dumps({**entry, "n": self._last(current) + 1}, ensure_ascii=False).encode() + b"\n"
        )
        if len(line) > self.size // 2:
            raise ValueError("an entry is too long for its log")
        end = len(self._content(current).rstrip(_NONE))
        if end + len(line) + 1 > self.size:
            # In place: an emptied file would give its blocks away.
            with previous.open("r+b") as file:
                file.write(_NONE * self.size)
            current, end = previous, 0
        with current.open("r+b") as file:
            file.seek(end)
            if end and _byte(file.fileno(), end - 1) != b"\n":
                # After a line that was cut short.
                file.write(b"\n")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """Return all entries that are whole."""
        entries = [
            entry
            for path in self._files()
            if path.exists()
            for entry in _entries(self._content(path))
        ]
        return sorted(entries, key=_number)

    def _last(self, path: Path) -> int:
        """Return the number of a file's newest entry, 0 where it has none. The current file has the highest; clocks go back."""
        return max(map(_number, _entries(self._content(path))), default=0)

    def _content(self, path: Path) -> bytes:
        """Return what a file holds, which is never more than its size: something else may stand in its place."""
        with path.open("rb") as file:
            return file.read(self.size)

    def _files(self) -> tuple[Path, Path]:
        return self.folder / f"{self.name}.0", self.folder / f"{self.name}.1"


def _byte(descriptor: int, offset: int) -> bytes:
    return os.pread(descriptor, 1, offset)


def _number(entry: Mapping[str, Any]) -> int:
    number = entry.get("n")
    return number if isinstance(number, int) else 0


def _entries(content: bytes) -> list[dict[str, Any]]:
    entries = []
    for line in content.strip(_NONE).split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries
