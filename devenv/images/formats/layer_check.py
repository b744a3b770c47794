"""Checks byte by byte that a layer is whole, undamaged, a tar, and the layer that it should be."""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from devenv.images.formats.file_access import ImageFiles
from devenv.images.formats.gunzip import Gunzip
from devenv.images.formats.image_index import LayerReference
from devenv.images.formats.layout import Packing, detect_packing
from devenv.images.formats.opening import is_tar, unpack_zstd

_CHUNK = 1 << 20
# The last word of a layer's media type → how the layer is packed.
_PACKINGS = {"gzip": Packing.GZIP, "zstd": Packing.ZSTD, "tar": Packing.NONE}


@dataclass(frozen=True)
class CheckedLayer:
    """A layer whose content is what it should be.

    `digest` and `size` are the blob's, `diff` is the digest of its tar and `unpacked` the bytes of
    its tar. `file` is the path of the blob in the archive or folder.
    """

    diff: str
    digest: str
    size: int
    packing: Packing
    file: str
    unpacked: int


def check_layer(
    files: ImageFiles, layer: LayerReference, diff_id: str, progress: Callable[[int], None]
) -> CheckedLayer:
    """Read a layer and hash its blob and its tar. `progress` is called with the bytes read so far.

    Raises ValueError if the layer is not what the reference and the diff ID say.
    """
    size = files.size(layer.file)
    if layer.size is not None and layer.size != size:
        raise ValueError(f"{layer.file} has {size} bytes, but should have {layer.size}")
    content = _read_layer(files, layer.file, progress)
    if content.size < size or not content.is_complete:
        raise ValueError(f"{layer.file} is cut off")
    _refuse_other_content(layer, diff_id, content)
    _refuse_other_packing(layer, content.packing)
    return CheckedLayer(
        diff=diff_id,
        digest=content.digest,
        size=size,
        packing=content.packing,
        file=layer.file,
        unpacked=content.tar.size,
    )


@dataclass(frozen=True)
class _LayerContent:
    """What was read of a layer. `size` is the bytes read, `digest` is theirs."""

    digest: str
    size: int
    packing: Packing
    # Whether the last gzip member has ended, if it is gzip.
    is_complete: bool
    tar: "_TarDigest"


def _read_layer(files: ImageFiles, path: str, progress: Callable[[int], None]) -> _LayerContent:
    """Read a layer to its end, and hash its blob and its tar on the way."""
    tar = _TarDigest()
    gunzip = Gunzip()
    with files.open(path) as file:
        reader = _HashingReader(file, progress)
        packing = detect_packing(reader.peek())
        for piece in _unpacked_pieces(reader, packing, gunzip):
            tar.feed(piece)
        # What follows the last frame belongs to the blob, and so to its digest.
        for _ in reader.chunks():
            pass
    is_complete = packing is not Packing.GZIP or gunzip.is_complete
    return _LayerContent(reader.digest, reader.size, packing, is_complete, tar)


def _unpacked_pieces(reader: "_HashingReader", packing: Packing, gunzip: Gunzip) -> Iterator[bytes]:
    """Yield the tar of a layer in small pieces."""
    if packing is Packing.ZSTD:
        # zstd only reads and closes.
        yield from unpack_zstd(reader)  # type: ignore[arg-type]
    elif packing is Packing.GZIP:
        for chunk in reader.chunks():
            yield from gunzip.feed(chunk)
    else:
        yield from reader.chunks()


def _refuse_other_content(layer: LayerReference, diff_id: str, content: _LayerContent) -> None:
    """Raise ValueError if the blob or its tar is not what it should be."""
    if layer.digest and content.digest != layer.digest:
        raise ValueError(f"{layer.file} is damaged: its digest is {content.digest}")
    if diff_id != content.tar.digest:
        raise ValueError(f"{layer.file} is not the layer {diff_id} that its config names")
    if not is_tar(content.tar.head):
        raise ValueError(f"{layer.file} is not a layer: it is not a tar archive")


def _refuse_other_packing(layer: LayerReference, packing: Packing) -> None:
    """Raise ValueError if a layer is not packed as its media type says."""
    if not layer.media_type:
        return
    last_word = re.split(r"[+.]", layer.media_type)[-1]
    stated_packing = _PACKINGS.get(last_word)
    if stated_packing is None:
        raise ValueError(f"{layer.file} is not a layer: its media type is {layer.media_type}")
    if stated_packing is not packing:
        raise ValueError(f"{layer.file} is not what its media type says: {layer.media_type}")


class _HashingReader:
    """Reads a file and hashes what it reads."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self._hash = hashlib.sha256()
        # Read from the file, but not handed out yet.
        self._buffer = b""
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def peek(self) -> bytes:
        """Return the next bytes without handing them out."""
        self._buffer = self._buffer or self._file.read(_CHUNK)
        return self._buffer

    def read(self, size: int = _CHUNK) -> bytes:
        content = self.peek()
        if size >= 0:
            content = content[:size]
        self._buffer = self._buffer[len(content) :]
        self._hash.update(content)
        self.size += len(content)
        self._progress(self.size)
        return content

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def close(self) -> None:
        """Do nothing: the caller that opened the file closes it."""


class _TarDigest:
    """The digest, size and first block of a layer's tar, taken while it is unpacked."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.head = b""
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def feed(self, piece: bytes) -> None:
        missing_bytes = tarfile.BLOCKSIZE - len(self.head)
        self.head += piece[:missing_bytes]
        self._hash.update(piece)
        self.size += len(piece)
