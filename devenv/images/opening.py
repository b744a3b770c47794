"""Opens image archives, however they are packed, and names the kind of any other file."""

import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

ZSTD = b"\x28\xb5\x2f\xfd"
# Bytes that zstd may want to look back: as many as its own program allows unasked.
WINDOW = 1 << 27
_PIECE = 1 << 20
# How other files begin → what they are.
_OTHERS = (
    (b"PK\x03\x04", "it is a zip file, not a tar archive"),
    (b"PK\x05\x06", "it is a zip file, not a tar archive"),
    (b"7z\xbc\xaf", "it is a 7z file, not a tar archive"),
    (b"\x7fELF", "it is a program, not a tar archive"),
    (b"hsqs", "it is a squashfs, not a tar archive"),
    (b"SIF_MAGIC", "it is an image of Apptainer, not a tar archive"),
)
# How packed archives begin → how tarfile opens them. Left to find out, it reads 40 GiB of zeros as
# the padding of an xz file.
_Mode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_PACKINGS: tuple[tuple[bytes, _Mode], ...] = (
    (b"\x1f\x8b", "r:gz"),
    (b"BZh", "r:bz2"),
    (b"\xfd7zXZ\x00", "r:xz"),
    (b"\x5d\x00\x00", "r:xz"),
)
# What tarfile says of a first header that is none, and of a packing that it can't read.
_NO_HEADER = ("could not be opened", "invalid header", "truncated header", "bad checksum")
_NO_PACKING = ("not a gzip file", "not a bzip2 file", "not an lzma file")
NO_IMAGE = "it holds no image: neither manifest.json nor index.json is in it"


def refuse_others(path: Path) -> None:
    """Raise ValueError, which names the file's kind, if it can't be an archive. Raises OSError."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ValueError("it is a folder")
    if not stat.S_ISREG(mode):
        kind = "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a pipe or a socket"
        raise ValueError(f"it is {kind}, but devenv reads an archive more than once")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise ValueError("it is empty")
    for magic, what in _OTHERS:
        if head.startswith(magic):
            raise ValueError(what)


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Give the archive in a file: plain, or packed by gzip, bzip2, xz or zstd.

    Raises OSError and ValueError.
    """
    with path.open("rb") as file:
        head = file.read(16)
    modes: list[_Mode] = [mode for magic, mode in _PACKINGS if head.startswith(magic)]
    mode: _Mode = modes[0] if modes else "r:"
    try:
        if head.startswith(ZSTD):
            with (
                io.BufferedReader(_Zstd(path), _PIECE) as content,
                tarfile.open(fileobj=content, mode="r:") as archive,
            ):
                yield archive
        else:
            with tarfile.open(path, mode) as archive:
                yield archive
    except tarfile.ReadError as error:
        if any(words in str(error) for words in _NO_HEADER):
            raise ValueError("it is not a tar archive") from error
        if any(words in str(error) for words in _NO_PACKING):
            raise ValueError("its packing is damaged or cut off") from error
        if "empty file" in str(error) or "unexpected end" in str(error):
            raise ValueError("it is cut off") from error
        raise


class _Zstd(io.RawIOBase):
    """A zstd file as what it unpacks to. Going back begins anew, which archives seldom need."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._at = path, 0
        self._reader = unpacked(path.open("rb"))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = _read(self._reader, len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        target = offset + self._at if whence == os.SEEK_CUR else offset
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end is known only once all was read")
        if target < self._at:
            self._reader.close()
            self._at, self._reader = 0, unpacked(self._path.open("rb"))
        while self._at < target:
            content = _read(self._reader, min(_PIECE, target - self._at))
            if not content:
                break
            self._at += len(content)
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._reader.close()
        super().close()


def unpacked(source: IO[bytes]) -> Any:
    """Return a reader of what a zstd stream unpacks to, piece by piece, however well it was packed.

    Closing it closes the source. Its reads raise zstandard.ZstdError: see `unpack`.
    """
    import zstandard  # noqa: PLC0415 - few archives need it

    unpacker = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    return unpacker.stream_reader(source, read_across_frames=True)


def unpack(source: IO[bytes]) -> Iterator[bytes]:
    """Yield what a zstd stream unpacks to. Raises ValueError if it is not zstd."""
    reader = unpacked(source)
    while content := _read(reader, _PIECE):
        yield content


def _read(reader: Any, size: int) -> bytes:
    import zstandard  # noqa: PLC0415 - as above

    try:
        return bytes(reader.read(size))
    except zstandard.ZstdError as error:
        raise ValueError(f"its zstd is damaged: {error}") from error


def is_tar(head: bytes) -> bool:
    """Whether a tar may begin with these 512 bytes: a header with a correct checksum, or zeros."""
    if len(head) < tarfile.BLOCKSIZE:
        return False
    if not any(head[: tarfile.BLOCKSIZE]):
        return True
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def as_json(content: bytes, what: str) -> Any:
    """Return the content of JSON. Raises ValueError if it is not JSON."""
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not JSON") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error


def as_list(value: Any, what: str) -> list[Any]:
    """Return a value that is a list. Raises ValueError if it is not."""
    if not isinstance(value, list):
        # What is wrong is the file's content, and not a type in devenv.
        raise ValueError(f"{what} is not a list")  # noqa: TRY004
    return value


def as_map(value: Any, what: str) -> Mapping[str, Any]:
    """Return a value that is a map. Raises ValueError if it is not."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is not a map of keys and values")  # noqa: TRY004 - as above
    return value


def as_text(value: Any, what: str) -> str:
    """Return a value that is a string. Raises ValueError if it is not, or is empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is not a string")
    return value
