"""Converts the stream of `docker save` while it comes.

`LayoutConverter` makes an OCI layout with only the layers that are asked for. Docker up to 24
gives a layer's file a name that tells nothing, so each layer is hashed before it is sent, one at a
time in a temporary file. From Docker 25 on, a blob's name is its digest. devenv writes an image
manifest of its own, but keeps the config, so the image has the same ID in the node.

`rename_images` passes everything on, and changes only names.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, TypeAlias

from devenv.base.counting import counted
from devenv.base.errors import DevenvError
from devenv.base.image_names import normalise
from devenv.base.json_types import JsonMap, JsonObject
from devenv.images.formats.layout import (
    ARCHIVE_END,
    BLOBS,
    Packing,
    detect_packing,
    digest_of,
    entry,
    finish,
    manifest_of,
    tar_file,
    tar_padding,
)

_LIST = "manifest.json"
# The files that name the images, by the engine's names.
_NAMING_FILES = {_LIST, "index.json", "oci-layout", "repositories"}
_CHUNK = 1 << 20
# Bytes of a layer that are kept in memory. A larger layer goes into a temporary file.
_IN_MEMORY = 8 << 20
# Bytes. A config is smaller.
_LARGEST_DOCUMENT = 4 << 20

# The engine's name of an image → the image's names in the node.
NodeNames: TypeAlias = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _LayerBlob:
    """A layer's blob that has come. `size` in bytes."""

    digest: str
    size: int
    packing: Packing


@dataclass
class LayoutConverter:
    """Converts the images that the engine sends.

    `names`: the engine's name of each image → its names in the node. `diff_ids`: all layers of all
    images. `layers_to_send`: the diff IDs of the layers that must be sent. `blobs_in_nodes`: the
    digests of blobs that the node has, which are not sent either.

    After `convert`, `sent` has the bytes of the layers that went into the layout, and `configs`
    the digest of the config for each name in the node.
    """

    names: NodeNames
    diff_ids: AbstractSet[str]
    layers_to_send: AbstractSet[str]
    blobs_in_nodes: AbstractSet[str] = frozenset()
    sent: int = 0
    configs: dict[str, str] = field(default_factory=dict)
    # By path in the archive.
    _layer_blobs: dict[str, _LayerBlob] = field(default_factory=dict)
    _documents: dict[str, bytes] = field(default_factory=dict)
    # Path of a link → path of the layer that it means.
    _links: dict[str, str] = field(default_factory=dict)

    def convert(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the layout as a tar archive.

        Raises DevenvError if the stream is cut off or has no image.
        """
        try:
            with _open_stream(stream) as archive:
                for member in archive:
                    yield from self._convert_member(archive, member)
            yield from self._name_images()
        # OSError: a layer's temporary file does not fit on the disk.
        except (tarfile.TarError, KeyError, ValueError, TypeError, OSError) as error:
            raise _incomplete(self.names, error) from error

    def _convert_member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
        """Yield what the layout takes of a member, and remember its links and documents."""
        path = member.name.removeprefix("./")
        # Docker up to 24 links equal layers.
        if member.issym():
            self._links[path] = _resolve_link(path, member.linkname)
        elif member.islnk():
            self._links[path] = member.linkname
        if not member.isfile():
            return
        file = archive.extractfile(member)
        if file is None:
            return
        if path.endswith("/layer.tar"):
            yield from self._convert_unnamed_layer(path, file, member.size)
        elif path.startswith(BLOBS):
            yield from self._convert_blob(path, file, member.size)
        elif member.size <= _LARGEST_DOCUMENT:
            self._documents[path] = file.read()

    def _convert_unnamed_layer(self, path: str, file: IO[bytes], size: int) -> Iterator[bytes]:
        """Hash a layer before sending it, because its name does not tell its digest."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            sha256 = hashlib.sha256()
            for chunk in _chunks(file):
                sha256.update(chunk)
                spool.write(chunk)
            digest = f"sha256:{sha256.hexdigest()}"
            self._layer_blobs[path] = _LayerBlob(digest, size, Packing.NONE)
            if digest in self.layers_to_send and digest not in self.blobs_in_nodes:
                spool.seek(0)
                remaining_chunks = iter(lambda: spool.read(_CHUNK), b"")
                yield from self._send(digest, size, remaining_chunks)

    def _convert_blob(self, path: str, file: IO[bytes], size: int) -> Iterator[bytes]:
        """Send a blob whose name is its digest, if it is a layer that must be sent.

        On Docker's classic store that is the digest of the layer's tar, on its containerd store
        that of the packed layer.
        """
        digest = f"sha256:{path.removeprefix(BLOBS)}"
        head = file.read(_CHUNK)
        packing = detect_packing(head)
        self._layer_blobs[path] = _LayerBlob(digest, size, packing)
        if size <= _LARGEST_DOCUMENT:
            head += file.read()
            self._documents[path] = head
        is_needed = digest in self.layers_to_send or self._may_be_packed_layer(digest, size, head)
        if is_needed and digest not in self.blobs_in_nodes:
            yield from self._send(digest, size, _with_head(head, file))

    def _may_be_packed_layer(self, digest: str, size: int, head: bytes) -> bool:
        """Whether a blob may be a layer whose diff ID is not known, because it is packed."""
        return digest not in self.diff_ids and size > 0 and not _is_json(head)

    def _send(self, digest: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield a layer, and count its bytes."""
        self.sent += size
        yield from entry(digest, size, chunks)

    def _name_images(self) -> Iterator[bytes]:
        """Yield the end of the layout, which names the images, once all of them have come."""
        images = []
        for listed in json.loads(self._documents[_LIST]):
            config = self._documents[listed["Config"]]
            manifest = self._manifest(config, listed["Layers"])
            for name in _names_in_node(self.names, listed):
                self.configs[name] = digest_of(config)
                images.append((name, config, manifest))
        _refuse_missing_names(self.names, self.configs)
        yield from finish(images)

    def _manifest(self, config: bytes, paths: Sequence[str]) -> bytes:
        """Return the image manifest for a config and the paths of its layers in the archive.

        Raises KeyError and ValueError if layers have not come.
        """
        blobs = list(map(self._layer_blob, paths))
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
        if len(blobs) != len(diff_ids) or not set(diff_ids) <= self.diff_ids:
            raise ValueError(
                f"{counted(len(blobs), 'layer')} came, but its config names {len(diff_ids)}"
            )
        layers = [(blob.packing, blob.digest, blob.size) for blob in blobs]
        return manifest_of(config, layers)

    def _layer_blob(self, path: str) -> _LayerBlob:
        """Return the layer of this path, or the one that it links to."""
        target = self._links.get(path, path)
        return self._layer_blobs[target]


def _open_stream(stream: Iterable[bytes]) -> tarfile.TarFile:
    """Open a tar archive that is read once, from start to end."""
    return tarfile.open(fileobj=_ChunkReader(stream), mode="r|", bufsize=_CHUNK)


def rename_images(stream: Iterable[bytes], names: NodeNames) -> Iterator[bytes]:
    """Pass on the whole stream of `docker save`, with other names for the images.

    The stream must come from the classic store. Nothing is hashed and nothing is stored, so this
    is the fast way if every layer must be sent. Raises DevenvError as `convert` does.
    """
    new_names: set[str] = set()
    try:
        with _open_stream(stream) as archive:
            for member in archive:
                if member.name not in _NAMING_FILES:
                    yield from _copy_member(archive, member)
                elif member.name == _LIST and (file := archive.extractfile(member)):
                    listed_images = json.loads(file.read())
                    images = [_rename_image(image, names) for image in listed_images]
                    for image in images:
                        new_names.update(image["RepoTags"])
                    yield tar_file(_LIST, json.dumps(images).encode())
        _refuse_missing_names(names, new_names)
        yield ARCHIVE_END
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise _incomplete(names, error) from error


def _rename_image(listed: JsonMap, names: NodeNames) -> JsonObject:
    """Return an entry of manifest.json with the names in the node as its tags."""
    tags = list(_names_in_node(names, listed))
    return {**listed, "RepoTags": tags}


def _refuse_missing_names(names: NodeNames, received: Iterable[str]) -> None:
    """Raise ValueError if an image that was asked for has not come."""
    requested_names = set(chain.from_iterable(names.values()))
    missing_names = requested_names.difference(received)
    if missing_names:
        text = ", ".join(sorted(missing_names))
        raise ValueError(f"these images are missing: {text}")


def _copy_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Yield a member as it is."""
    yield member.tobuf(format=tarfile.GNU_FORMAT)
    if member.isfile() and (content := archive.extractfile(member)):
        yield from _chunks(content)
        yield tar_padding(member.size)


def _names_in_node(names: NodeNames, listed: JsonMap) -> Sequence[str]:
    """Return the names in the node of an image that manifest.json lists.

    A single image needs no look at its tags: it has none if it was asked for by its ID.
    """
    if len(names) == 1:
        return next(iter(names.values()))
    names_by_tag = {normalise(ref): image_names for ref, image_names in names.items()}
    names_in_node: list[str] = []
    tags = listed["RepoTags"] or ()
    for tag in tags:
        names_in_node.extend(names_by_tag.get(normalise(tag), ()))
    return names_in_node


def _incomplete(names: Iterable[str], error: Exception) -> DevenvError:
    refs = ", ".join(names)
    what = f"The engine sent an incomplete image for {refs}."
    return DevenvError(what, str(error), "Try again.")


class _ChunkReader(io.RawIOBase):
    """A stream of chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._buffer) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._buffer += chunk
        if size < 0:
            size = len(self._buffer)
        content = self._buffer[:size]
        self._buffer = self._buffer[size:]
        return content


def _with_head(head: bytes, file: IO[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from _chunks(file)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _is_json(content: bytes) -> bool:
    """Whether a blob is a config or an image manifest, and not a layer."""
    return content.lstrip()[:1] == b"{"


def _resolve_link(path: str, link: str) -> str:
    """Resolve `../ID/layer.tar` as seen from `OTHER/layer.tar`."""
    parts = path.split("/")[:-1]
    for part in link.split("/"):
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)
