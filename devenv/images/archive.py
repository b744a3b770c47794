"""Image archives as `docker save` writes them: what is in one, told without unpacking it."""

import hashlib
import json
import lzma
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.errors import DevenvError, Exit
from devenv.images.load import normalise

_FIX = "Write it with `docker save IMAGE -o FILE`."
_INDEX = "index.json"  # an OCI layout's; `docker save` of Docker 25 and newer writes both
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
        with tarfile.open(path) as archive:
            members: dict[str, tarfile.TarInfo] = {}
            for member in archive:  # reads to the end, so a cut-off file is noticed
                if member.size < 0:  # the library would read it again and again
                    raise ValueError(f"{member.name} has no size")
                members[member.name.removeprefix("./")] = member
            if _MANIFEST not in members:
                raise DevenvError(f"{path} is no image archive: it has no {_MANIFEST}.", "", _FIX, Exit.USAGE)
            entries = _json(archive, members, _MANIFEST)
            index = _json(archive, members, _INDEX)["manifests"] if _INDEX in members else []
            return [_archived(archive, members, entry, index) for entry in entries]
    except _BROKEN as error:
        raise DevenvError(f"{path} is no image archive that can be read: {_word(error)}", "", _FIX, Exit.USAGE) from error


def _archived(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], entry: Any, index: Any) -> Archived:
    if lost := [layer for layer in entry["Layers"] if layer not in members]:
        raise KeyError(f"layer {lost[0]}")
    config = _bytes(archive, members, entry["Config"])
    names = tuple(str(tag) for tag in entry["RepoTags"] or ())
    held = {normalise(name) for name in names}
    manifests = [m["digest"] for m in index if (m.get("annotations") or {}).get("io.containerd.image.name") in held]
    ids = frozenset([f"sha256:{hashlib.sha256(config).hexdigest()}", *manifests])
    return Archived(names, ids, json.loads(config)["architecture"])


def _json(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> Any:
    return json.loads(_bytes(archive, members, name))


def _bytes(archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    file = archive.extractfile(members[name])
    if file is None:
        raise KeyError(name)
    return file.read()


def _word(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
