"""An image as `docker save` streams it, made into an OCI layout with only the wanted layers, while it streams.

Docker up to 24 names a layer's file by something that tells nothing, so each is hashed first, one at a time in a
temporary file; from 25 on a blob's name is its digest. The manifest is devenv's own: the config stays as it is, and so
does the image's ID in the node.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import IO, Any

from devenv.errors import DevenvError

_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20  # bytes of a layer, before a temporary file is made
_SMALL = 4 << 20  # bytes: a config is smaller
_BLOBS = "blobs/sha256/"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_TAR, _GZIP, _ZSTD = (f"application/vnd.oci.image.layer.v1.tar{kind}" for kind in ("", "+gzip", "+zstd"))
_MAGIC = ((b"\x1f\x8b", _GZIP), (b"\x28\xb5\x2f\xfd", _ZSTD))


@dataclass(frozen=True)
class Seen:
    """A layer's blob as it was seen: its digest, its size in bytes, its media type."""

    digest: str
    size: int
    kind: str


@dataclass
class Layout:
    """One image on its way. `sent`: bytes of layers that went into the layout; `config`: the digest of its config."""

    name: str  # in the node
    diff_ids: Sequence[str]
    wanted: AbstractSet[str]  # diff IDs
    sent: int = 0
    config: str = ""
    _seen: dict[str, Seen] = field(default_factory=dict)  # path in the archive → blob
    _small: dict[str, bytes] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)

    def convert(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the layout as a tar archive. Raises DevenvError where the stream is no image, or is cut off."""
        try:
            with tarfile.open(fileobj=_Reader(stream), mode="r|", bufsize=_CHUNK) as archive:
                for member in archive:
                    yield from self._member(archive, member)
            yield from self._ending()
        except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
            raise DevenvError(f"What the engine sent of {self.name} is no whole image.", str(error), "Try again.") from error

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
        path = member.name.removeprefix("./")
        if member.issym() or member.islnk():  # Docker up to 24 links layers that are the same
            self._links[path] = _joined(path, member.linkname) if member.issym() else member.linkname
        if not member.isfile() or (file := archive.extractfile(member)) is None:
            return
        if path.endswith("/layer.tar"):
            yield from self._unnamed(path, file, member.size)
        elif path.startswith(_BLOBS):
            yield from self._blob(path, file, member.size)
        elif member.size <= _SMALL:
            self._small[path] = file.read()

    def _unnamed(self, path: str, file: IO[bytes], size: int) -> Iterator[bytes]:
        """A layer whose digest is known only once it was read."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                spool.write(chunk)
            name = f"sha256:{digest.hexdigest()}"
            self._seen[path] = Seen(name, size, _TAR)
            if name in self.wanted:
                spool.seek(0)
                yield from self._send(name, size, iter(lambda: spool.read(_CHUNK), b""))

    def _blob(self, path: str, file: IO[bytes], size: int) -> Iterator[bytes]:
        """A blob that is named by its digest: that of its tar on the classic store, of what it is packed to on containerd's."""
        digest = f"sha256:{path.removeprefix(_BLOBS)}"
        first = file.read(_CHUNK)
        kind = next((kind for magic, kind in _MAGIC if first.startswith(magic)), _TAR)
        self._seen[path] = Seen(digest, size, kind)
        if size <= _SMALL:
            first += file.read()
            self._small[path] = first
        if digest in self.wanted or (digest not in self.diff_ids and size > 0 and not _is_json(first)):
            yield from self._send(digest, size, _chained(first, file))

    def _send(self, digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        self.sent += size
        yield from entry(digest, size, chunks)

    def _ending(self) -> Iterator[bytes]:
        """What names the image, once all of it was seen."""
        (listed,) = json.loads(self._small["manifest.json"])
        config = self._small[listed["Config"]]
        layers = [self._seen[self._links.get(path, path)] for path in listed["Layers"]]
        if len(layers) != len(self.diff_ids):
            raise ValueError(f"{len(layers)} layers came, and it has {len(self.diff_ids)}")
        self.config = _digest(config)
        manifest = _json({
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.config, "size": len(config)},
            "layers": [{"mediaType": s.kind, "digest": s.digest, "size": s.size} for s in layers],
        })  # fmt: skip
        yield from finish(self.name, config, manifest)


def entry(digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a blob of a layout, as it stands in a tar archive."""
    yield _header(_BLOBS + digest.removeprefix("sha256:"), size)
    yield from chunks
    yield _padding(size)


def finish(name: str, config: bytes, manifest: bytes) -> Iterator[bytes]:
    """Yield what names an image in a layout, and the archive's end."""
    kind = json.loads(manifest).get("mediaType", _MANIFEST)
    index = _json({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": kind, "digest": _digest(manifest), "size": len(manifest),
            "annotations": {"io.containerd.image.name": name},
        }],
    })  # fmt: skip
    for path, content in (
        (_BLOBS + _digest(config).removeprefix("sha256:"), config),
        (_BLOBS + _digest(manifest).removeprefix("sha256:"), manifest),
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", index),
    ):
        yield _header(path, len(content)) + content + _padding(len(content))
    yield bytes(2 * tarfile.BLOCKSIZE)


class _Reader(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken


def _chained(first: bytes, file: IO[bytes]) -> Iterator[bytes]:
    yield first
    while chunk := file.read(_CHUNK):
        yield chunk


def _is_json(content: bytes) -> bool:
    return content.lstrip()[:1] == b"{"


def _joined(path: str, link: str) -> str:
    """Resolve `../ID/layer.tar` as seen from `OTHER/layer.tar`."""
    parts = path.split("/")[:-1]
    for part in link.split("/"):
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(format=tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
