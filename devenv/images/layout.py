"""Images as `docker save` streams them, made into an OCI layout with only the wanted layers while they stream.

Docker up to 24 names a layer's file by something that tells nothing, so each is hashed first, one at a time in a
temporary file; from 25 on a blob's name is its digest. The manifest is devenv's own: the config stays as it is, and so
does the image's ID in the node.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, Any

from devenv.errors import DevenvError
from devenv.images.load import normalise

BLOBS = "blobs/sha256/"
_LIST = "manifest.json"
# They say the names of before.
_NAMING = {_LIST, "index.json", "oci-layout", "repositories"}
_CHUNK = 1 << 20
# Bytes of a layer, before a temporary file is made.
_IN_MEMORY = 8 << 20
# Bytes: a config is smaller.
_SMALL = 4 << 20
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"


class Packing(StrEnum):
    """How a layer's tar is packed, as its media type."""

    NONE = "application/vnd.oci.image.layer.v1.tar"
    GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


def packing(head: bytes) -> Packing:
    """Tell it from a blob's first bytes."""
    if head.startswith(b"\x1f\x8b"):
        return Packing.GZIP
    return Packing.ZSTD if head.startswith(b"\x28\xb5\x2f\xfd") else Packing.NONE


@dataclass(frozen=True)
class _Seen:
    """A layer's blob as it was seen. `size` in bytes."""

    digest: str
    size: int
    packing: Packing


@dataclass
class Layout:
    """Images on their way.

    `names`: the image as the engine calls it → its names in the node; `diff_ids`: all layers of all of them; `wanted`:
    those that must be sent; `held`: digests of blobs that the node has and that need not be sent either. Afterwards
    `sent` has the bytes of layers that went into the layout.
    """

    names: Mapping[str, Sequence[str]]
    diff_ids: AbstractSet[str]
    wanted: AbstractSet[str]
    held: AbstractSet[str] = frozenset()
    sent: int = 0
    # Name in the node → digest of its config.
    configs: dict[str, str] = field(default_factory=dict)
    # Path in the archive → blob.
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _small: dict[str, bytes] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)

    def convert(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the layout as a tar archive. Raises DevenvError where the stream is no image, or is cut off."""
        try:
            with tarfile.open(fileobj=_Reader(stream), mode="r|", bufsize=_CHUNK) as archive:
                for member in archive:
                    yield from self._member(archive, member)
            yield from self._ending()
        except (
            tarfile.TarError,
            KeyError,
            ValueError,
            TypeError,
            OSError,
            # OSError: no room for a layer.
        ) as error:
            raise _not_whole(self.names, error) from error

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
        path = member.name.removeprefix("./")
        # Docker up to 24 links layers that are the same.
        if member.issym() or member.islnk():
            self._links[path] = (
                _joined(path, member.linkname) if member.issym() else member.linkname
            )
        if not member.isfile() or (file := archive.extractfile(member)) is None:
            return
        if path.endswith("/layer.tar"):
            yield from self._unnamed(path, file, member.size)
        elif path.startswith(BLOBS):
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
            self._seen[path] = _Seen(name, size, Packing.NONE)
            if name in self.wanted - self.held:
                spool.seek(0)
                yield from self._send(name, size, iter(lambda: spool.read(_CHUNK), b""))

    def _blob(self, path: str, file: IO[bytes], size: int) -> Iterator[bytes]:
        """A blob that is named by its digest: that of its tar on the classic store, of what it is packed to on containerd's."""
        digest = f"sha256:{path.removeprefix(BLOBS)}"
        head = file.read(_CHUNK)
        self._seen[path] = _Seen(digest, size, packing(head))
        if size <= _SMALL:
            head += file.read()
            self._small[path] = head
        unknown = digest not in self.diff_ids and size > 0 and not _is_json(head)
        if (digest in self.wanted or unknown) and digest not in self.held:
            yield from self._send(digest, size, _chained(head, file))

    def _send(self, digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        self.sent += size
        yield from entry(digest, size, chunks)

    def _ending(self) -> Iterator[bytes]:
        """What names the images, once all of them was seen."""
        images = []
        for listed in json.loads(self._small[_LIST]):
            config = self._small[listed["Config"]]
            layers = [self._seen[self._links.get(path, path)] for path in listed["Layers"]]
            diff_ids = json.loads(config)["rootfs"]["diff_ids"]
            if len(layers) != len(diff_ids) or not set(diff_ids) <= self.diff_ids:
                raise ValueError(f"{len(layers)} layers came, and it has {len(diff_ids)}")
            manifest = manifest_of(config, [(s.packing, s.digest, s.size) for s in layers])
            for name in _names(self.names, listed):
                self.configs[name] = digest_of(config)
                images.append((name, config, manifest))
        _all_came(self.names, self.configs)
        yield from finish(images)


def renamed(stream: Iterable[bytes], names: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
    """Pass on what `docker save` of a classic store streams, whole, with the images under other names.

    Nothing is hashed and nothing kept, so this is the quick way where all is wanted. Raises DevenvError as `convert` does.
    """
    came: set[str] = set()
    try:
        with tarfile.open(fileobj=_Reader(stream), mode="r|", bufsize=_CHUNK) as archive:
            for member in archive:
                if member.name not in _NAMING:
                    yield from _same(archive, member)
                elif member.name == _LIST and (file := archive.extractfile(member)):
                    listed = [
                        {**x, "RepoTags": list(_names(names, x))} for x in json.loads(file.read())
                    ]
                    came |= {name for x in listed for name in x["RepoTags"]}
                    body = json.dumps(listed).encode()
                    yield _header(_LIST, len(body)) + body + _padding(len(body))
        _all_came(names, came)
        yield bytes(2 * tarfile.BLOCKSIZE)
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise _not_whole(names, error) from error


def _all_came(names: Mapping[str, Sequence[str]], came: Iterable[str]) -> None:
    if missing_names := {name for given in names.values() for name in given} - set(came):
        raise ValueError(f"not all of them came: {', '.join(sorted(missing_names))}")


def _same(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    yield member.tobuf(format=tarfile.GNU_FORMAT)
    if member.isfile() and (content := archive.extractfile(member)):
        yield from _chained(b"", content)
        yield _padding(member.size)


def _names(names: Mapping[str, Sequence[str]], listed: Mapping[str, Any]) -> Sequence[str]:
    """Return the names in the node of an image that manifest.json lists. One that was asked for by its ID has no tags."""
    if len(names) == 1:
        return next(iter(names.values()))
    by_tag = {normalise(ref): given for ref, given in names.items()}
    return [name for tag in listed["RepoTags"] or () for name in by_tag.get(normalise(tag), ())]


def _not_whole(names: Iterable[str], error: Exception) -> DevenvError:
    return DevenvError(
        f"What the engine sent of {', '.join(names)} is no whole image.", str(error), "Try again."
    )


def entry(digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a blob of a layout, as it stands in a tar archive."""
    yield _header(BLOBS + digest.removeprefix("sha256:"), size)
    yield from chunks
    yield _padding(size)


def manifest_of(config: bytes, layers: Sequence[tuple[Packing, str, int]]) -> bytes:
    """Return an image's manifest. A layer is its packing, its blob's digest and that one's size in bytes."""
    return _json({
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": kind.value, "digest": digest, "size": size} for kind, digest, size in layers],
    })  # fmt: skip


def finish(images: Sequence[tuple[str, bytes, bytes]]) -> Iterator[bytes]:
    """Yield what names the images in a layout, and the archive's end. An image is its name, its config and its manifest."""
    index = _json({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": _MANIFEST, "digest": digest_of(manifest), "size": len(manifest),
            "annotations": {"io.containerd.image.name": name},
        } for name, _, manifest in images],
    })  # fmt: skip
    blobs = {digest_of(blob): blob for _, *documents in images for blob in documents}
    for path, content in (
        *((BLOBS + digest.removeprefix("sha256:"), blob) for digest, blob in blobs.items()),
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", index),
    ):
        yield _header(path, len(content)) + content + _padding(len(content))
    yield bytes(2 * tarfile.BLOCKSIZE)


def digest_of(content: bytes) -> str:
    """Return its digest as registries spell it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


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
        taken, self._rest = (
            (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        )
        return taken


def _chained(head: bytes, file: IO[bytes]) -> Iterator[bytes]:
    if head:
        yield head
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


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
