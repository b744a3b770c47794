"""Lists the images in an archive that `docker save` wrote, without unpacking it."""

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.base.json_types import JsonMap
from devenv.images.formats.json_values import as_json, as_list, as_map, as_text
from devenv.images.formats.layout import digest_of
from devenv.images.formats.opening import (
    NO_IMAGE,
    UNREADABLE,
    describe_error,
    open_archive,
    refuse_others,
)
from devenv.ports.names import Names

_FIX = "Write it with `docker save IMAGE -o FILE`."
# Bytes. A config or a list is smaller.
_LARGEST_DOCUMENT = 16 << 20
# The index of an OCI layout. Docker 25 and newer write both this and manifest.json.
_INDEX = "index.json"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ArchivedImage:
    """One image of an archive.

    `ids` are the IDs that an engine may give it: the digests of its config and of its image
    manifest.
    """

    names: Names
    ids: frozenset[str]
    architecture: str


@dataclass(frozen=True)
class _Archive:
    """An open archive with its members by path."""

    tar: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]

    def read(self, name: str) -> bytes:
        """Return the content of a member. Raises KeyError if it is missing."""
        file = self.tar.extractfile(self.members[name])
        if file is None:
            raise KeyError(name)
        if self.members[name].size > _LARGEST_DOCUMENT:
            raise ValueError(f"{name} is too large")
        return file.read()

    def read_json(self, name: str) -> Any:
        return as_json(self.read(name), name)


def list_images(path: Path) -> list[ArchivedImage]:
    """Return the images in an archive, which may be compressed.

    Raises DevenvError if the file is another kind of file, or is cut off.
    """
    try:
        refuse_others(path)
        with open_archive(path) as tar:
            archive = _Archive(tar, _members(tar))
            entries = _listed_images(path, archive)
            descriptors = _index_descriptors(archive)
            return [_archived_image(archive, entry, descriptors) for entry in entries]
    except RecursionError as error:
        raise _unreadable(path, "it holds links that lead in a circle") from error
    except UNREADABLE as error:
        raise _unreadable(path, describe_error(error)) from error


def _unreadable(path: Path, reason: str) -> DevenvError:
    return DevenvError(f"{path} is not a readable image archive: {reason}", "", _FIX, Exit.USAGE)


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return the members by path. This reads to the end, so it notices that a file is cut off."""
    members = {}
    for member in tar:
        # tarfile would read such a member again and again.
        if member.size < 0:
            raise ValueError(f"{member.name} has no size")
        members[member.name.removeprefix("./")] = member
    return members


def _listed_images(path: Path, archive: _Archive) -> list[Any]:
    """Return the entries of manifest.json, of which there is at least one."""
    if _MANIFEST not in archive.members:
        reason = NO_IMAGE
        if _INDEX in archive.members:
            reason = f"it has no {_MANIFEST}"
        raise DevenvError(f"{path} is not an image archive: {reason}.", "", _FIX, Exit.USAGE)
    entries = as_list(archive.read_json(_MANIFEST), _MANIFEST)
    if not entries:
        what = f"{path} holds no image: its {_MANIFEST} is empty."
        raise DevenvError(what, "", _FIX, Exit.USAGE)
    return entries


def _index_descriptors(archive: _Archive) -> list[JsonMap]:
    """Return the entries of the OCI index; none if the archive has no index."""
    if _INDEX not in archive.members:
        return []
    index = as_map(archive.read_json(_INDEX), _INDEX)
    descriptors = as_list(index.get("manifests"), _INDEX)
    return [as_map(descriptor, "an entry of the index") for descriptor in descriptors]


def _archived_image(
    archive: _Archive, listed: Any, descriptors: Sequence[JsonMap]
) -> ArchivedImage:
    """Read an entry of manifest.json. Raises KeyError if a layer or the config is missing."""
    entry = as_map(listed, "an image of the list")
    _refuse_missing_layers(archive, entry)
    config = archive.read(as_text(entry.get("Config"), "Config"))
    tags = as_list(entry.get("RepoTags") or [], "RepoTags")
    names = tuple(as_text(tag, "a tag") for tag in tags)
    ids = {digest_of(config), *_manifest_digests(descriptors, names)}
    content = as_map(as_json(config, "the config"), "the config")
    architecture = as_text(content.get("architecture"), "the config's architecture")
    return ArchivedImage(names, frozenset(ids), architecture)


def _refuse_missing_layers(archive: _Archive, entry: JsonMap) -> None:
    layers = as_list(entry.get("Layers"), "Layers")
    names = [as_text(layer, "a layer") for layer in layers]
    for name in names:
        if name not in archive.members:
            raise KeyError(f"layer {name}")


def _manifest_digests(descriptors: Sequence[JsonMap], names: Sequence[str]) -> list[str]:
    """Return the digests of the image manifests that the index lists under one of the names."""
    normal_names = {normalise(name) for name in names}
    return [
        str(descriptor.get("digest"))
        for descriptor in descriptors
        if _annotated_name(descriptor) in normal_names
    ]


def _annotated_name(descriptor: JsonMap) -> Any:
    """Return containerd's name for an entry of the index, None without one."""
    annotations = as_map(descriptor.get("annotations") or {}, "annotations in the index")
    return annotations.get("io.containerd.image.name")
