"""Images in files: what `docker save` writes, and OCI layouts as an archive or a folder. Read, checked whole, sent on in part.

Nothing is unpacked to disk. An image is known by its config's digest, as in the node.
"""

import hashlib
import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from devenv.errors import DevenvError, Exit
from devenv.images.gunzip import Gunzip
from devenv.images.layout import BLOBS, Packing, digest_of, entry, finish, manifest_of, packing
from devenv.ports import Image

_CHUNK = 1 << 20
_SMALL = 16 << 20  # bytes: a config or a manifest is smaller
_ZSTD = 4  # how many times larger a layer that zstd packed becomes, at most, as a rule: nothing here unpacks it
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_BROKEN = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, ValueError, LookupError, TypeError,
           AttributeError, RuntimeError)  # fmt: skip
_FIX = "Write it anew: docker save IMAGE -o FILE"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")

Progress = Callable[[int, int], None]  # bytes so far, bytes in all


class _Files(Protocol):
    """Where the parts of an image lie, by their paths."""

    def has(self, name: str) -> bool: ...
    def size(self, name: str) -> int: ...
    def open(self, name: str) -> AbstractContextManager[IO[bytes]]: ...


class _Archive:
    """A tar archive, plain or compressed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._members: dict[str, tarfile.TarInfo] = {}
        with tarfile.open(path) as archive:
            for member in archive:  # reads to the end, so a cut-off file is noticed
                if member.size < 0:  # the library would read it again and again
                    raise ValueError(f"{member.name} has no size")
                self._members[_inside(member.name)] = member
                if member.issym() or member.islnk():
                    _inside(_link(member))

    def has(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        return self._target(name).size

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        with tarfile.open(self._path) as archive:
            file = archive.extractfile(self._target(name))
            if file is None:
                raise ValueError(f"{name} is no file")
            yield file

    def _target(self, name: str) -> tarfile.TarInfo:
        """Docker up to 24 links layers that are the same."""
        member = self._members[name]
        return self._members[_inside(_link(member))] if member.issym() or member.islnk() else member


def _link(member: tarfile.TarInfo) -> str:
    """Return what a link means, as seen from the archive's top."""
    return str(PurePosixPath(member.name).parent / member.linkname) if member.issym() else member.linkname


class _Folder:
    """A folder."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def size(self, name: str) -> int:
        return self._path(name).stat().st_size

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        if not self.has(name):
            raise KeyError(name)
        with self._path(name).open("rb") as file:
            yield file

    def _path(self, name: str) -> Path:
        path = (self._root / _inside(name)).resolve()
        if not path.is_relative_to(self._root):
            raise ValueError(f"{name} leads out of the folder")
        return path


@dataclass(frozen=True)
class _Layer:
    """`digest` and `size` are the blob's, `diff` is its tar's digest."""

    diff: str
    digest: str
    size: int
    packing: Packing
    file: str
    unpacked: int  # bytes of its tar, about


@dataclass(frozen=True)
class StoredImage:
    """One image of a file. `names` as they stand there."""

    names: tuple[str, ...]
    config: bytes
    layers: tuple[_Layer, ...]
    files: _Files

    @property
    def image(self) -> Image:
        """The image as an engine would describe it."""
        architecture = str(json.loads(self.config)["architecture"])
        size = sum(layer.size for layer in self.layers)
        return Image(digest_of(self.config), architecture, size, {}, self.names, tuple(layer.diff for layer in self.layers))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes that each layer takes in a node, from the lowest up."""
        return tuple(max(layer.size, layer.unpacked) for layer in self.layers)

    def layout(self, name: str, wanted: AbstractSet[str]) -> Iterator[bytes]:
        """Yield an OCI layout with only the layers of these diff IDs, as a tar archive.

        Raises DevenvError where the file is not what it was when it was read.
        """
        try:
            yield from self._layout(name, wanted)
        except _BROKEN as error:
            raise DevenvError("The image's file was changed while it was read.", _word(error), "Try again.") from error

    def _layout(self, name: str, wanted: AbstractSet[str]) -> Iterator[bytes]:
        sent = set()
        for layer in self.layers:
            if layer.diff in wanted and layer.digest not in sent:
                sent.add(layer.digest)
                with self.files.open(layer.file) as file:
                    yield from entry(layer.digest, layer.size, _chunks(file))
        manifest = manifest_of(self.config, [(x.packing, x.digest, x.size) for x in self.layers])
        yield from finish([(name, self.config, manifest)])


def is_file(ref: str) -> bool:
    """Whether what a user wrote is meant as a path, and not as an image's name."""
    looks = ref.startswith((".", "/", "~")) or ref.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz"))
    with suppress(OSError, ValueError):  # too long for a path, for one
        return looks or Path(ref).is_file() or (Path(ref) / "index.json").is_file()
    return looks


def read(path: Path, architecture: str, progress: Progress) -> list[StoredImage]:
    """Return the images in the file, every byte of them checked. Of an index, the image of the architecture.

    Raises DevenvError where there is no such file, where it is broken or cut off, or where a path in it leads out.
    """
    try:
        path = path.expanduser()
        files: _Files = _Folder(path) if path.is_dir() else _Archive(path)
        found = _listed(files) if files.has("manifest.json") else _indexed(files, architecture)
        if not found:
            raise ValueError("it has no image")
        return [_checked(files, *one, progress) for one in found]
    except FileNotFoundError as error:
        raise DevenvError(f"There is no file {path}.", exit_code=Exit.USAGE) from error
    except _BROKEN as error:
        raise DevenvError(f"{path} is no image that can be read: {_word(error)}", "", _FIX, Exit.USAGE) from error


_Parts = tuple[tuple[str, ...], bytes, Sequence[tuple[str, str]]]  # names, config, layers as (file, digest or "")


def _listed(files: _Files) -> list[_Parts]:
    """What `docker save` lists. A blob's path is its digest from Docker 25 on."""
    found: list[_Parts] = []
    for listed in _json(files, "manifest.json"):
        layers = [_inside(str(name)) for name in listed["Layers"]]
        names = tuple(str(tag) for tag in listed["RepoTags"] or ())
        config = _config(files, str(listed["Config"]))
        found.append(
            (names, config, [(name, f"sha256:{name[len(BLOBS) :]}" if name.startswith(BLOBS) else "") for name in layers])
        )
    return found


def _indexed(files: _Files, architecture: str) -> list[_Parts]:
    """What an OCI layout's index names."""
    listed = _fitting(_json(files, "index.json")["manifests"], architecture)
    named: dict[str, list[str]] = {}
    for m in listed:
        named.setdefault(m["digest"], []).extend(_names(m))
    found: list[_Parts] = []
    for digest, names_ in named.items():
        names, manifest = tuple(dict.fromkeys(names_)), _chosen(files, {"digest": digest}, architecture)
        config = _config(files, _blob(manifest["config"]["digest"]))
        found.append((names, config, [(_blob(x["digest"]), str(x["digest"])) for x in manifest["layers"]]))
    return found


def _chosen(files: _Files, descriptor: Mapping[str, Any], architecture: str) -> Any:
    """Return the manifest, of an index that of the architecture, else its first."""
    content = _json(files, _blob(descriptor["digest"]))
    if digest_of(_bytes(files, _blob(descriptor["digest"]))) != descriptor["digest"]:
        raise ValueError(f"{descriptor['digest']} is not what is in it")
    if "manifests" not in content:
        return content
    return _chosen(files, _fitting(content["manifests"], architecture)[0], architecture)


def _fitting(listed: Sequence[Mapping[str, Any]], architecture: str) -> list[Mapping[str, Any]]:
    """Return the images among an index's entries, those of the architecture where there are some: no attestations."""
    images = [m for m in listed if (m.get("platform") or {}).get("os", "linux") == "linux" and "artifactType" not in m]
    return [m for m in images if (m.get("platform") or {}).get("architecture", architecture) == architecture] or images


def _names(descriptor: Mapping[str, Any]) -> tuple[str, ...]:
    """A layout's own annotation may have a tag alone, which names nothing."""
    notes = descriptor.get("annotations") or {}
    return tuple([str(notes[n]) for n in _NAMES if n in notes and (":" in notes[n] or "/" in notes[n])][:1])


def _checked(
    files: _Files, names: tuple[str, ...], config: bytes, layers: Sequence[tuple[str, str]], progress: Progress
) -> StoredImage:
    diffs = json.loads(config)["rootfs"]["diff_ids"]
    if len(diffs) != len(layers):
        raise ValueError(f"its config has {len(diffs)} layers, and there are {len(layers)}")
    total, done, checked = sum(files.size(file) for file, _ in layers), 0, []
    for (file, digest), diff in zip(layers, diffs, strict=True):
        layer = _check(files, file, digest, str(diff), lambda seen, before=done: progress(before + seen, total))  # type: ignore[misc]
        done += layer.size
        checked.append(layer)
    found = StoredImage(names, config, tuple(checked), files)
    _ = found.image  # its architecture must be there
    return found


def _check(files: _Files, file: str, digest: str, diff: str, progress: Callable[[int], None]) -> _Layer:
    """Hash a layer as it lies there and as its tar. Raises ValueError where one is not what it should be."""
    size, tar_size, blob, tar = 0, 0, hashlib.sha256(), hashlib.sha256()
    kind, gunzip = Packing.NONE, None
    with files.open(file) as content:
        for chunk in _chunks(content):
            if size == 0:
                kind = packing(chunk)
                gunzip = Gunzip() if kind is Packing.GZIP else None
            size += len(chunk)
            blob.update(chunk)
            for piece in gunzip.feed(chunk) if gunzip else (chunk,):
                tar_size += len(piece)
                tar.update(piece)
            progress(size)
    found = f"sha256:{blob.hexdigest()}"
    if size < files.size(file) or (gunzip and not gunzip.whole):
        raise ValueError(f"{file} is cut off")
    if digest and found != digest:
        raise ValueError(f"{file} is damaged: its sha256 is {blob.hexdigest()}")
    if kind is not Packing.ZSTD and diff != f"sha256:{tar.hexdigest()}":
        raise ValueError(f"{file} is not the layer {diff} that its config names")
    return _Layer(diff, found, size, kind, file, tar_size * _ZSTD if kind is Packing.ZSTD else tar_size)


def _config(files: _Files, name: str) -> bytes:
    if not files.has(_inside(name)):
        raise KeyError(f"its config {name}")
    content = _bytes(files, _inside(name))
    digest = f"sha256:{PurePosixPath(name).stem}"
    if _DIGEST.fullmatch(digest) and digest_of(content) != digest:
        raise ValueError(f"its config {name} is damaged")
    return content


def _inside(name: str) -> str:
    """Return the path as it is inside. Raises ValueError where it leads out."""
    parts: list[str] = []
    for part in PurePosixPath(name).parts:
        if part == "/" or (part == ".." and not parts):
            raise ValueError(f"the path {name} leads out of it")
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _blob(digest: Any) -> str:
    if not _DIGEST.fullmatch(str(digest)):
        raise ValueError(f"{digest} is no digest")
    return BLOBS + str(digest).removeprefix("sha256:")


def _json(files: _Files, name: str) -> Any:
    return json.loads(_bytes(files, name))


def _bytes(files: _Files, name: str) -> bytes:
    if not files.has(name):
        raise KeyError(name)
    if files.size(name) > _SMALL:
        raise ValueError(f"{name} is too large")
    with files.open(name) as file:
        return file.read()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _word(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
