"""Finds the images in an archive or OCI layout, with their names, configs and layers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from devenv.base.json_types import JsonMap
from devenv.images.formats.file_access import ImageFiles, inner_path, read_document, read_json
from devenv.images.formats.json_values import (
    as_list,
    as_map,
    as_text,
    list_under,
    map_under,
    text_under,
)
from devenv.images.formats.layout import BLOBS, digest_of
from devenv.images.formats.opening import NO_IMAGE
from devenv.ports.names import Names

# What `docker save` lists.
_LIST = "manifest.json"
# What an OCI layout lists.
_INDEX = "index.json"
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class LayerReference:
    """A layer as a list or an image manifest names it. What is not stated is "" or None."""

    file: str
    # Of the blob.
    digest: str = ""
    # Bytes of the blob.
    size: int | None = None
    media_type: str = ""


@dataclass(frozen=True)
class ListedImage:
    """An image as it is listed.

    `config` is the content of its config; layers go from the lowest up.
    """

    names: Names
    config: bytes
    layers: Sequence[LayerReference]


def listed_images(files: ImageFiles, architecture: str) -> list[ListedImage]:
    """Return what `docker save` lists, or else what an OCI index lists: at least one image.

    Of an index, only images of the architecture are returned, if it has some. Raises ValueError
    and LookupError for what is wrong.
    """
    if files.has(_LIST):
        images = list(_saved_images(files))
    elif files.has(_INDEX):
        images = list(_layout_images(files, architecture))
    else:
        raise ValueError(NO_IMAGE)
    if not images:
        raise ValueError("it holds no image: its list is empty")
    return images


def _saved_images(files: ImageFiles) -> Iterator[ListedImage]:
    """Yield what `docker save` lists."""
    entries = as_list(read_json(files, _LIST), _LIST)
    for number, entry in enumerate(entries, start=1):
        yield _saved_image(files, entry, f"{_LIST}: image {number}")


def _saved_image(files: ImageFiles, entry: Any, where: str) -> ListedImage:
    """Read one entry of the list. `where` names the entry in errors."""
    image = as_map(entry, where)
    paths = list_under("Layers", image, where)
    layers = [_saved_layer(path, where) for path in paths]
    tags = as_list(image.get("RepoTags") or [], f"{where}: RepoTags")
    names = tuple(as_text(tag, f"{where}: a tag") for tag in tags)
    config_name = text_under("Config", image, where)
    config = _read_config(files, config_name)
    return ListedImage(names, config, layers)


def _saved_layer(path: Any, where: str) -> LayerReference:
    """From Docker 25 on, the path of a layer is its digest."""
    file = inner_path(as_text(path, f"{where}: a layer"))
    if not file.startswith(BLOBS):
        return LayerReference(file)
    hex_digits = file.removeprefix(BLOBS)
    return LayerReference(file, f"sha256:{hex_digits}")


@dataclass
class _IndexedImage:
    """An entry of the index, with the names of all entries that have its digest."""

    descriptor: JsonMap
    names: list[str] = field(default_factory=list)


def _layout_images(files: ImageFiles, architecture: str) -> Iterator[ListedImage]:
    """Yield what the index of an OCI layout lists."""
    index = as_map(read_json(files, _INDEX), _INDEX)
    descriptors = list_under("manifests", index, _INDEX)
    indexed_images: dict[str, _IndexedImage] = {}
    for descriptor in _usable_descriptors(descriptors, architecture):
        digest = as_text(descriptor.get("digest"), f"{_INDEX}: a digest")
        image = indexed_images.setdefault(digest, _IndexedImage(descriptor))
        image.names.extend(_annotated_names(descriptor))
    for image in indexed_images.values():
        yield _layout_image(files, image, architecture)


def _layout_image(files: ImageFiles, image: _IndexedImage, architecture: str) -> ListedImage:
    """Read the image manifest of an entry, and the config that it names."""
    manifest = _read_manifest(files, image.descriptor, architecture)
    where = f"manifest {image.descriptor['digest'][:19]}"
    config_descriptor = map_under("config", manifest, where)
    _refuse_artifact(config_descriptor)
    config_path = _blob_of_stated_size(files, config_descriptor)
    config = _read_config(files, config_path)
    descriptors = list_under("layers", manifest, where)
    layers = [_layout_layer(descriptor, where) for descriptor in descriptors]
    names = tuple(dict.fromkeys(image.names))
    return ListedImage(names, config, layers)


def _layout_layer(content: Any, where: str) -> LayerReference:
    """Return what an image manifest says of a layer. Raises ValueError for a bad size or digest."""
    descriptor = as_map(content, f"{where}: a layer")
    size = descriptor.get("size")
    digest = str(descriptor.get("digest"))
    is_number = isinstance(size, int) and not isinstance(size, bool)
    if size is not None and not is_number:
        raise ValueError(f"the size of {digest[:19]} is not a number")
    return LayerReference(
        file=_blob_path(digest),
        digest=digest,
        size=size,
        media_type=str(descriptor.get("mediaType") or ""),
    )


def _refuse_artifact(config: JsonMap) -> None:
    """Raise ValueError for what is stored like an image but is not one, such as a Helm chart."""
    media_type = str(config.get("mediaType") or "")
    image_types = ("application/vnd.oci.image.config.", "application/vnd.docker.container.image.")
    if media_type and not media_type.startswith(image_types):
        raise ValueError(f"it holds no image: its config is {media_type}")


def _blob_of_stated_size(files: ImageFiles, descriptor: JsonMap) -> str:
    """Return the path of the blob that a descriptor names. Raises ValueError for another size."""
    path = _blob_path(descriptor.get("digest"))
    stated_size = descriptor.get("size")
    if stated_size is None or not files.has(path):
        return path
    size = files.size(path)
    if size != stated_size:
        raise ValueError(f"{path} has {size} bytes, but should have {stated_size}")
    return path


def _read_manifest(files: ImageFiles, descriptor: JsonMap, architecture: str) -> Any:
    """Return the image manifest that a descriptor leads to, directly or through an index.

    Of an index, that is the manifest of the architecture, or else the first.
    """
    path = _blob_of_stated_size(files, descriptor)
    manifest = as_map(read_json(files, path), path)
    digest = digest_of(read_document(files, path))
    if digest != descriptor["digest"]:
        raise ValueError(f"the content of {descriptor['digest']} has another digest")
    if "manifests" not in manifest:
        return manifest
    inner_descriptors = list_under("manifests", manifest, path)
    usable_descriptors = _usable_descriptors(inner_descriptors, architecture)
    if not usable_descriptors:
        raise ValueError(f"it holds no image: the index {path} lists none")
    return _read_manifest(files, usable_descriptors[0], architecture)


def _usable_descriptors(entries: Sequence[Any], architecture: str) -> list[JsonMap]:
    """Return the Linux images among an index's entries; attestations are left out.

    If some are of the architecture, the result has only those.
    """
    descriptors = [as_map(entry, "an entry of the index") for entry in entries]
    images = list(filter(_is_linux_image, descriptors))
    fitting_images = [image for image in images if _fits(image, architecture)]
    return fitting_images or images


def _is_linux_image(descriptor: JsonMap) -> bool:
    """Whether an entry is neither an artifact nor for another system."""
    stated_system = _platform(descriptor).get("os", "linux")
    return stated_system == "linux" and "artifactType" not in descriptor


def _fits(descriptor: JsonMap, architecture: str) -> bool:
    """Whether an image is of the architecture, or does not say of which it is."""
    stated_architecture = _platform(descriptor).get("architecture", architecture)
    return bool(stated_architecture == architecture)


def _platform(descriptor: JsonMap) -> JsonMap:
    return as_map(descriptor.get("platform") or {}, "a platform in the index")


def _annotated_names(descriptor: JsonMap) -> list[str]:
    """Return the first annotation that is a whole name, as a list of at most one.

    An OCI layout's own annotation may have a tag alone, which names nothing.
    """
    annotations = as_map(descriptor.get("annotations") or {}, "annotations in the index")
    for key in _NAME_ANNOTATIONS:
        name = str(annotations.get(key, ""))
        if ":" in name or "/" in name:
            return [name]
    return []


def _read_config(files: ImageFiles, name: str) -> bytes:
    """Return the content of a config. If its name is its digest, the two must fit."""
    path = inner_path(name)
    if not files.has(path):
        raise KeyError(f"its config {name}")
    content = read_document(files, path)
    stated_digest = f"sha256:{PurePosixPath(name).stem}"
    if _DIGEST.fullmatch(stated_digest) and digest_of(content) != stated_digest:
        raise ValueError(f"its config {name} is damaged")
    return content


def _blob_path(digest: Any) -> str:
    """Return the path of the blob with this digest. Raises ValueError if it is not a digest."""
    text = str(digest)
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"{text} is not a digest")
    return BLOBS + text.removeprefix("sha256:")
