"""Image archives as `docker save` writes them: what is in one, told without unpacking it."""

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.images.load import normalise
from devenv.images.opening import NO_IMAGE, as_json, as_list, as_map, as_text, opened, refuse_others

_FIX = "Write it with `docker save IMAGE -o FILE`."
# Bytes: a config or a list is smaller.
_SMALL = 16 << 20
# An OCI layout's; `docker save` of Docker 25 and newer writes both.
_INDEX = "index.json"
_MANIFEST = "manifest.json"
_BROKEN = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, ValueError, LookupError, TypeError,
           AttributeError, RecursionError)  # fmt: skip


@dataclass(frozen=True)
class Archived:
    """One image of an archive. `ids` has what an engine may call it: its config's digest, and its manifest's."""

    names: tuple[str, ...]
    ids: frozenset[str]
    architecture: str


def look(path: Path) -> list[Archived]:
    """Return the images of the archive, plain or compressed. Raises DevenvError where it is none, or is cut off."""
    try:
        refuse_others(path)
        with opened(path) as archive:
            members: dict[str, tarfile.TarInfo] = {}
            # Reads to the end, so a cut-off file is noticed.
            for member in archive:
                # The library would read it again and again.
                if member.size < 0:
                    raise ValueError(f"{member.name} has no size")
                members[member.name.removeprefix("./")] = member
            if _MANIFEST not in members:
                reason = f"it has no {_MANIFEST}" if _INDEX in members else NO_IMAGE
                raise DevenvError(
                    f"{path} is not an image archive: {reason}.", "", _FIX, Exit.USAGE
                )
            entries = as_list(_json(archive, members, _MANIFEST), _MANIFEST)
            if not entries:
                raise DevenvError(
                    f"{path} holds no image: its {_MANIFEST} lists none.", "", _FIX, Exit.USAGE
                )
            index = (
                as_map(_json(archive, members, _INDEX), _INDEX)
                if _INDEX in members
                else {"manifests": []}
            )
            descriptors = [
                as_map(m, "an entry of the index") for m in as_list(index.get("manifests"), _INDEX)
            ]
            return [
                _archived(archive, members, as_map(entry, "an image of the list"), descriptors)
                for entry in entries
            ]
    except _BROKEN as error:
        raise DevenvError(
            f"{path} is not a readable image archive: {_word(error)}", "", _FIX, Exit.USAGE
        ) from error


def _archived(
    archive: tarfile.TarFile,
    members: dict[str, tarfile.TarInfo],
    entry: Mapping[str, Any],
    index: Sequence[Mapping[str, Any]],
) -> Archived:
    layers = [as_text(layer, "a layer") for layer in as_list(entry.get("Layers"), "Layers")]
    if missing_layers := [layer for layer in layers if layer not in members]:
        raise KeyError(f"layer {missing_layers[0]}")
    config = _bytes(archive, members, as_text(entry.get("Config"), "Config"))
    names = tuple(as_text(tag, "a tag") for tag in as_list(entry.get("RepoTags") or [], "RepoTags"))
    normal_names = {normalise(name) for name in names}
    manifests = [str(m.get("digest")) for m in index if _noted_name(m) in normal_names]
    ids = frozenset([f"sha256:{hashlib.sha256(config).hexdigest()}", *manifests])
    content = as_map(as_json(config, "the config"), "the config")
    return Archived(names, ids, as_text(content.get("architecture"), "the config's architecture"))


def _noted_name(descriptor: Mapping[str, Any]) -> Any:
    notes = as_map(descriptor.get("annotations") or {}, "annotations in the index")
    return notes.get("io.containerd.image.name")


def _json(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> Any:
    return as_json(_bytes(archive, members, name), name)


def _bytes(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    file = archive.extractfile(members[name])
    if file is None:
        raise KeyError(name)
    if members[name].size > _SMALL:
        raise ValueError(f"{name} is too large")
    return file.read()


def _word(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it holds links that lead in a circle"
    return (
        f"{error.args[0]} is missing"
        if isinstance(error, KeyError)
        else str(error) or type(error).__name__
    )
