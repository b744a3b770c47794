"""Images in files: archives of `docker save`, and OCI layouts as an archive or a folder.

An image is read, checked byte by byte, and sent on with only the layers that are asked for.
Nothing is unpacked to disk. An image is known by the digest of its config, as in a node.
"""

import json
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from devenv.base.counting import counted
from devenv.base.errors import DevenvError, Exit
from devenv.images.formats.file_access import ArchiveFiles, FolderFiles, ImageFiles
from devenv.images.formats.image_index import LayerReference, ListedImage, listed_images
from devenv.images.formats.json_values import as_json, as_map, list_under, map_under
from devenv.images.formats.layer_check import CheckedLayer, check_layer
from devenv.images.formats.layout import digest_of, entry, finish, manifest_of
from devenv.images.formats.opening import UNREADABLE, describe_error
from devenv.ports.engine import Image
from devenv.ports.names import Names
from devenv.ports.progress import Progress
from devenv.profiles.references import is_reference

_CHUNK = 1 << 20
# Names of one image. More are hardly all meant.
_MOST_NAMES = 20
_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2")
_BROKEN = (*UNREADABLE, RuntimeError)
_FIX = "Write the file again: docker save IMAGE -o FILE"

# Called with the bytes so far and the bytes in all.


@dataclass(frozen=True)
class StoredImage:
    """One image of a file. `names` are as the file has them."""

    names: Names
    config: bytes
    layers: tuple[CheckedLayer, ...]
    files: ImageFiles

    @property
    def image(self) -> Image:
        """The image as an engine would describe it."""
        return Image(
            id=digest_of(self.config),
            architecture=str(json.loads(self.config)["architecture"]),
            size=sum(layer.size for layer in self.layers),
            labels={},
            tags=self.names,
            layers=tuple(layer.diff for layer in self.layers),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes that each layer takes in a node, from the lowest up."""
        return tuple(max(layer.size, layer.unpacked) for layer in self.layers)

    def layout(self, name: str, diff_ids: AbstractSet[str]) -> Iterator[bytes]:
        """Yield an OCI layout with only the layers of these diff IDs, as a tar archive.

        Raises DevenvError if the file has changed since it was checked.
        """
        try:
            yield from self._layout(name, diff_ids)
        except _BROKEN as error:
            what = "The image's file was changed while devenv read it."
            raise DevenvError(what, describe_error(error), "Try again.") from error

    def _layout(self, name: str, diff_ids: AbstractSet[str]) -> Iterator[bytes]:
        """Yield an OCI layout with these layers of the image alone."""
        for layer in self._distinct_layers(diff_ids):
            with self.files.open(layer.file) as file:
                yield from entry(layer.digest, layer.size, _chunks(file))
        layers = [(layer.packing, layer.digest, layer.size) for layer in self.layers]
        manifest = manifest_of(self.config, layers)
        image = (name, self.config, manifest)
        yield from finish([image])

    def _distinct_layers(self, diff_ids: AbstractSet[str]) -> list[CheckedLayer]:
        """Return the layers of these diff IDs, each blob once."""
        layers_by_digest: dict[str, CheckedLayer] = {}
        for layer in self.layers:
            if layer.diff in diff_ids:
                layers_by_digest.setdefault(layer.digest, layer)
        return list(layers_by_digest.values())


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def is_file(ref: str) -> bool:
    """Whether a user's argument is meant as a path, and not as an image reference."""
    if ref.startswith((".", "/", "~")) or ref.endswith(_ENDINGS):
        return True
    # Raised if it is too long for a path, for example.
    with suppress(OSError, ValueError):
        return Path(ref).is_file() or (Path(ref) / "index.json").is_file()
    return False


def read_images(path: Path, architecture: str, progress: Progress) -> list[StoredImage]:
    """Return the images in the file, with every byte checked; of an index, the architecture's.

    Raises DevenvError if the file does not exist, if it is broken or cut off, or if a path in it
    leads out of it.
    """
    try:
        path = path.expanduser()
        files = _open_files(path)
        images = listed_images(files, architecture)
        return [_check_image(files, image, progress) for image in images]
    except FileNotFoundError as error:
        raise DevenvError(f"The file {path} does not exist.", exit_code=Exit.USAGE) from error
    except RecursionError as error:
        # JSON that is nested too deeply raises ValueError, so this comes from links.
        raise _unreadable(path, "it holds links that lead in a circle") from error
    except _BROKEN as error:
        raise _unreadable(path, describe_error(error)) from error


def _open_files(path: Path) -> ImageFiles:
    if path.is_dir():
        return FolderFiles(path)
    return ArchiveFiles(path)


def _unreadable(path: Path, reason: str) -> DevenvError:
    return DevenvError(f"{path} is not a readable image: {reason}", "", _FIX, Exit.USAGE)


def _check_image(files: ImageFiles, image: ListedImage, progress: Progress) -> StoredImage:
    """Check every layer. Raises ValueError and LookupError for what is wrong."""
    _refuse_bad_names(image.names)
    diff_ids = _diff_ids(image.config)
    if len(diff_ids) != len(image.layers):
        raise ValueError(
            f"its config names {counted(len(diff_ids), 'layer')}, but there are {len(image.layers)}"
        )
    layers = _check_layers(files, image.layers, diff_ids, progress)
    return StoredImage(image.names, image.config, tuple(layers), files)


def _check_layers(
    files: ImageFiles,
    layers: Sequence[LayerReference],
    diff_ids: Sequence[Any],
    progress: Progress,
) -> list[CheckedLayer]:
    """Check the layers from the lowest up, with progress over the bytes of all of them."""
    total_bytes = sum(files.size(layer.file) for layer in layers)
    checked_bytes = 0
    checked_layers = []
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        report = partial(_report, progress, checked_bytes, total_bytes)
        checked_layer = check_layer(files, layer, str(diff_id), report)
        checked_bytes += checked_layer.size
        checked_layers.append(checked_layer)
    return checked_layers


def _report(progress: Progress, offset: int, total: int, position: int) -> None:
    progress(offset + position, total)


def _refuse_bad_names(names: Sequence[str]) -> None:
    """Raise ValueError for too many names, or for one that is not an image reference."""
    if len(names) > _MOST_NAMES:
        first_names = ", ".join(names[:3])
        raise ValueError(
            f"its image has {len(names)} names: {first_names} …; save it under one of them"
        )
    for name in names:
        if not is_reference(name):
            raise ValueError(f"{name!r} is not a valid image name")


def _diff_ids(config: bytes) -> list[Any]:
    """Return the diff IDs that a config names, from the lowest layer up."""
    content = as_map(as_json(config, "its config"), "its config")
    if not isinstance(content.get("architecture"), str):
        # The file's content is wrong, not a type in devenv.
        raise ValueError("its config has no architecture")  # noqa: TRY004
    rootfs = map_under("rootfs", content, "its config")
    return list_under("diff_ids", rootfs, "its config")
