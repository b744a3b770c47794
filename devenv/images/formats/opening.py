"""Opens image archives, however they are packed, and says what any other file is."""

import io
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

_ZSTD = b"\x28\xb5\x2f\xfd"
# Bytes that zstd may want to look back: as many as its own program allows by default.
_WINDOW = 1 << 27
# What the readers of this package raise for a file that is broken, in whatever way.
UNREADABLE = (
    OSError,
    EOFError,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
NO_IMAGE = "it holds no image: neither manifest.json nor index.json is in it"
_PIECE = 1 << 20
# Bytes that tell what a file is.
_HEAD = 16
# How files that are not archives begin → what to say of them.
_OTHERS = (
    (b"PK\x03\x04", "it is a zip file, not a tar archive"),
    (b"PK\x05\x06", "it is a zip file, not a tar archive"),
    (b"7z\xbc\xaf", "it is a 7z file, not a tar archive"),
    (b"\x7fELF", "it is a program, not a tar archive"),
    (b"hsqs", "it is a squashfs, not a tar archive"),
    (b"SIF_MAGIC", "it is an image of Apptainer, not a tar archive"),
)
# How packed archives begin → how tarfile opens them. tarfile is told, because when it has to find
# out it reads 40 GiB of zeros as the padding of an xz file.
_Mode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_PACKINGS: tuple[tuple[bytes, _Mode], ...] = (
    (b"\x1f\x8b", "r:gz"),
    (b"BZh", "r:bz2"),
    (b"\xfd7zXZ\x00", "r:xz"),
    (b"\x5d\x00\x00", "r:xz"),
)
# What tarfile's errors contain → what to say instead.
_READ_ERRORS = (
    ("could not be opened", "it is not a tar archive"),
    ("invalid header", "it is not a tar archive"),
    ("truncated header", "it is not a tar archive"),
    ("bad checksum", "it is not a tar archive"),
    ("not a gzip file", "its packing is damaged or cut off"),
    ("not a bzip2 file", "its packing is damaged or cut off"),
    ("not an lzma file", "its packing is damaged or cut off"),
    ("empty file", "it is cut off"),
    ("unexpected end", "it is cut off"),
)


def refuse_others(path: Path) -> None:
    """Raise ValueError, saying what the file is, if it can't be an archive. Raises OSError too."""
    _refuse_irregular(path.stat().st_mode)
    head = _head(path)
    if not head:
        raise ValueError("it is empty")
    for magic, description in _OTHERS:
        if head.startswith(magic):
            raise ValueError(description)


def _refuse_irregular(mode: int) -> None:
    """Raise ValueError unless the mode is that of a regular file."""
    if stat.S_ISDIR(mode):
        raise ValueError("it is a folder")
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise ValueError("it is a device, but devenv reads an archive more than once")
    if not stat.S_ISREG(mode):
        raise ValueError("it is a pipe or a socket, but devenv reads an archive more than once")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


@contextmanager
def open_archive(path: Path) -> Iterator[tarfile.TarFile]:
    """Open the tar archive in a file: plain, or packed by gzip, bzip2, xz or zstd.

    Raises OSError and ValueError, also for what goes wrong while the caller reads the archive.
    """
    try:
        with _open_tar(path) as archive:
            yield archive
    except tarfile.ReadError as error:
        for fragment, description in _READ_ERRORS:
            if fragment in str(error):
                raise ValueError(description) from error
        raise


def _open_tar(path: Path) -> AbstractContextManager[tarfile.TarFile]:
    """Open an archive, packed or not, as its first bytes say."""
    head = _head(path)
    if head.startswith(_ZSTD):
        return _open_zstd_tar(path)
    for magic, mode in _PACKINGS:
        if head.startswith(magic):
            return tarfile.open(path, mode)
    return tarfile.open(path, "r:")


@contextmanager
def _open_zstd_tar(path: Path) -> Iterator[tarfile.TarFile]:
    with (
        io.BufferedReader(_ZstdFile(path), _PIECE) as content,
        tarfile.open(fileobj=content, mode="r:") as archive,
    ):
        yield archive


class _ZstdFile(io.RawIOBase):
    """The unpacked content of a zstd file.

    Seeking backwards unpacks from the start again, which archives seldom need.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._position = 0
        self._reader = zstd_reader(path.open("rb"))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = _read(self._reader, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            raise io.UnsupportedOperation("the end is known only once all was read")
        target = offset
        if whence == os.SEEK_CUR:
            target += self._position
        if target < self._position:
            self._reader.close()
            self._reader = zstd_reader(self._path.open("rb"))
            self._position = 0
        self._skip_to(target)
        return self._position

    def _skip_to(self, target: int) -> None:
        """Read on to the target, or to the end of the file."""
        while self._position < target:
            content = _read(self._reader, min(_PIECE, target - self._position))
            if not content:
                return
            self._position += len(content)

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._reader.close()
        super().close()


def zstd_reader(source: IO[bytes]) -> Any:
    """Return a reader that unpacks a zstd stream piece by piece, however well it was packed.

    Closing the reader closes the source. Its reads raise zstandard.ZstdError; those of
    `unpack_zstd` raise ValueError.
    """
    import zstandard  # noqa: PLC0415 - few archives need it

    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return unpacker.stream_reader(source, read_across_frames=True)


def unpack_zstd(source: IO[bytes]) -> Iterator[bytes]:
    """Yield the unpacked content of a zstd stream. Raises ValueError if it is not zstd."""
    reader = zstd_reader(source)
    while content := _read(reader, _PIECE):
        yield content


def _read(reader: Any, size: int) -> bytes:
    """Read from a zstd stream. Raises ValueError if it is damaged."""
    import zstandard  # noqa: PLC0415 - as above

    try:
        return bytes(reader.read(size))
    except zstandard.ZstdError as error:
        raise ValueError(f"its zstd is damaged: {error}") from error


def is_tar(head: bytes) -> bool:
    """Whether a tar may begin with these 512 bytes: a header with a correct checksum, or zeros."""
    if len(head) < tarfile.BLOCKSIZE:
        return False
    first_block = head[: tarfile.BLOCKSIZE]
    if not any(first_block):
        return True
    try:
        tarfile.TarInfo.frombuf(first_block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def describe_error(error: Exception) -> str:
    """Return what one of these errors says, as part of a sentence.

    A KeyError names what is missing.
    """
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    return str(error) or type(error).__name__
