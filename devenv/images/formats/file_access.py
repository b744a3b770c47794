"""Reads the files of an image from a tar archive or a folder, and never outside of it."""

import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from devenv.images.formats.json_values import as_json
from devenv.images.formats.opening import open_archive, refuse_others

# Bytes. A config or a manifest is smaller.
_LARGEST_DOCUMENT = 16 << 20


class ImageFiles(Protocol):
    """The files of images, each by its path from the top of the archive or folder."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def size(self, name: str) -> int:
        """Return its size in bytes."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open it for reading."""


class ArchiveFiles:
    """The files in a tar archive, plain or compressed."""

    def __init__(self, path: Path) -> None:
        """Read the archive to its end, which notices a cut-off file.

        Raises ValueError if a path in it leads out of it.
        """
        self._path = path
        self._members: dict[str, tarfile.TarInfo] = {}
        refuse_others(path)
        with open_archive(path) as archive:
            for member in archive:
                self._add(member)

    def _add(self, member: tarfile.TarInfo) -> None:
        """Note a member by its path. Raises ValueError if it can't belong to an image."""
        # tarfile would read such a member again and again.
        if member.size < 0:
            raise ValueError(f"{member.name} has no size")
        self._members[inner_path(member.name)] = member
        if _is_link(member):
            inner_path(_link_target(member))

    def has(self, name: str) -> bool:
        """Whether the archive has a member of that path."""
        return name in self._members

    def size(self, name: str) -> int:
        """Return its size in bytes. Raises KeyError if the archive lacks it."""
        return self._resolved_member(name).size

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open the archive again, and the member in it."""
        with open_archive(self._path) as archive:
            file = archive.extractfile(self._resolved_member(name))
            if file is None:
                raise ValueError(f"{name} is not a file")
            yield file

    def _resolved_member(self, name: str) -> tarfile.TarInfo:
        """Return the member, or what it links to: Docker up to 24 links equal layers."""
        member = self._members[name]
        if _is_link(member):
            return self._members[inner_path(_link_target(member))]
        return member


def _is_link(member: tarfile.TarInfo) -> bool:
    return member.issym() or member.islnk()


def _link_target(member: tarfile.TarInfo) -> str:
    """Return the path that a link leads to, as seen from the top of the archive."""
    if member.issym():
        return str(PurePosixPath(member.name).parent / member.linkname)
    return member.linkname


class FolderFiles:
    """The files in a folder."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()

    def has(self, name: str) -> bool:
        """Whether the folder has a file of that path."""
        return self._path(name).is_file()

    def size(self, name: str) -> int:
        """Return its size in bytes."""
        return self._path(name).stat().st_size

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Open the file. Raises KeyError if the folder lacks it."""
        if not self.has(name):
            raise KeyError(name)
        with self._path(name).open("rb") as file:
            yield file

    def _path(self, name: str) -> Path:
        path = (self._root / inner_path(name)).resolve()
        if not path.is_relative_to(self._root):
            raise ValueError(f"{name} leads out of the folder")
        return path


def inner_path(name: str) -> str:
    """Return a path without `.` and `..`. Raises ValueError if it leads out of the archive."""
    parts: list[str] = []
    for part in PurePosixPath(name).parts:
        if part == "/" or (part == ".." and not parts):
            raise ValueError(f"the path {name} leads out of it")
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def read_document(files: ImageFiles, name: str) -> bytes:
    """Return the content of a config or a manifest.

    Raises KeyError if it is missing, and ValueError if it is too large to be one.
    """
    if not files.has(name):
        raise KeyError(name)
    if files.size(name) > _LARGEST_DOCUMENT:
        raise ValueError(f"{name} is too large")
    with files.open(name) as file:
        return file.read()


def read_json(files: ImageFiles, name: str) -> Any:
    """Return the content of a JSON file. Raises ValueError if it is not JSON."""
    return as_json(read_document(files, name), name)
