"""A log that can be written on a full disk, because its blocks are taken beforehand.

Two files of one size take turns. When one is full, the other is emptied, so the newest half is
always there. Reading leaves out a line that a kill cut short, and what follows it on that line.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devenv.base.json_types import JsonMap, JsonObject

_EMPTY = b"\0"


@dataclass(frozen=True)
class Ring:
    """A log of JSON objects. `size`: bytes of each of its two files."""

    folder: Path
    name: str
    size: int = 256 << 10

    def prepare(self) -> None:
        """Take the space. Raises OSError if there is not enough."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._files():
            if not path.exists() or path.stat().st_size < self.size:
                self._take_space(path)

    def _take_space(self, path: Path) -> None:
        """Make a file as long as it may become, so that a full disk can't stop an entry."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.seek(0, os.SEEK_END)
            missing_bytes = self.size - file.tell()
            file.write(_EMPTY * missing_bytes)
            os.fsync(file.fileno())

    def append(self, entry: JsonMap) -> None:
        """Write an entry, which is on the disk when this returns.

        Raises OSError if no space was taken beforehand and none is left.
        """
        self.prepare()
        with self._files()[0].open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._append_locked(entry)

    def _append_locked(self, entry: JsonMap) -> None:
        """Write an entry behind the newest one, or to the beginning of the other file.

        Raises ValueError if it would not fit into half a file.
        """
        current, previous = sorted(self._files(), key=self._newest_number, reverse=True)
        number = self._newest_number(current) + 1
        text = json.dumps({**entry, "n": number}, ensure_ascii=False)
        line = text.encode() + b"\n"
        if len(line) > self.size // 2:
            raise ValueError("an entry is too long for its log")
        written = self._content(current).rstrip(_EMPTY)
        end = len(written)
        if end + len(line) + 1 > self.size:
            self._empty(previous)
            current, end = previous, 0
        _write_line(current, end, line)

    def _empty(self, path: Path) -> None:
        """Overwrite a file in place: truncating it would give its blocks away."""
        with path.open("r+b") as file:
            file.write(_EMPTY * self.size)

    def read(self) -> list[JsonObject]:
        """Return all entries that are whole, the oldest first."""
        entries: list[JsonObject] = []
        for path in self._files():
            if path.exists():
                entries += _entries(self._content(path))
        return sorted(entries, key=_number)

    def _newest_number(self, path: Path) -> int:
        """Return the highest number in a file, 0 if it has no entry.

        The file with the highest number is the current one. Times can't tell: clocks go back.
        """
        return max(map(_number, _entries(self._content(path))), default=0)

    def _content(self, path: Path) -> bytes:
        """Return what a file holds, at most its size: something endless may stand in its place."""
        with path.open("rb") as file:
            return file.read(self.size)

    def _files(self) -> tuple[Path, Path]:
        return self.folder / f"{self.name}.0", self.folder / f"{self.name}.1"


def _write_line(path: Path, end: int, line: bytes) -> None:
    """Write a line after the content, on a line of its own even if the last one was cut short."""
    with path.open("r+b") as file:
        last_byte = os.pread(file.fileno(), 1, end - 1) if end else b"\n"
        is_cut_short = last_byte != b"\n"
        file.seek(end)
        if is_cut_short:
            file.write(b"\n")
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _number(entry: JsonMap) -> int:
    number = entry.get("n")
    if isinstance(number, int):
        return number
    return 0


def _entries(content: bytes) -> Iterator[JsonObject]:
    """Give the entries of a file. What is not an entry is skipped."""
    for line in content.strip(_EMPTY).split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
