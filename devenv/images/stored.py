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
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from devenv.errors import DevenvError, Exit
from devenv.images.gunzip import Gunzip
from devenv.images.layout import BLOBS, Packing, digest_of, entry, finish, manifest_of, packing
from devenv.images.opening import (
    NO_IMAGE,
    as_json,
    as_list,
    as_map,
    as_text,
    is_tar,
    opened,
    refuse_others,
    unpack,
)
from devenv.ports import Image
from devenv.profiles.references import is_reference

_CHUNK = 1 << 20
# Bytes: a config or a manifest is smaller.
_SMALL = 16 << 20
# Of one image: more are hardly all meant.
_MOST_NAMES = 20
_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_BROKEN = (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, ValueError, LookupError, TypeError,
           AttributeError, RuntimeError)  # fmt: skip
_FIX = "Write it anew: docker save IMAGE -o FILE"
_LIST, _INDEX = "manifest.json", "index.json"
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")

# Bytes so far, bytes in all.
Progress = Callable[[int, int], None]


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
        refuse_others(path)
        with opened(path) as archive:
            # Reads to the end, so a cut-off file is noticed.
            for member in archive:
                # The library would read it again and again.
                if member.size < 0:
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
        with opened(self._path) as archive:
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
    return (
        str(PurePosixPath(member.name).parent / member.linkname)
        if member.issym()
        else member.linkname
    )


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
    # Bytes of its tar.
    unpacked: int


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
        return Image(
            digest_of(self.config),
            architecture,
            size,
            {},
            self.names,
            tuple(layer.diff for layer in self.layers),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The bytes that each layer takes in a node, from the lowest up."""
        return tuple(max(layer.size, layer.unpacked) for layer in self.layers)

    def layout(self, name: str, diff_ids: AbstractSet[str]) -> Iterator[bytes]:
        """Yield an OCI layout with only the layers of these diff IDs, as a tar archive.

        Raises DevenvError where the file is not what it was when it was read.
        """
        try:
            yield from self._layout(name, diff_ids)
        except _BROKEN as error:
            raise DevenvError(
                "The image's file was changed while it was read.", _word(error), "Try again."
            ) from error

    def _layout(self, name: str, diff_ids: AbstractSet[str]) -> Iterator[bytes]:
        sent = set()
        for layer in self.layers:
            if layer.diff in diff_ids and layer.digest not in sent:
                sent.add(layer.digest)
                with self.files.open(layer.file) as file:
                    yield from entry(layer.digest, layer.size, _chunks(file))
        manifest = manifest_of(self.config, [(x.packing, x.digest, x.size) for x in self.layers])
        yield from finish([(name, self.config, manifest)])


def is_file(ref: str) -> bool:
    """Whether what a user wrote is meant as a path, and not as an image's name."""
    looks = ref.startswith((".", "/", "~")) or ref.endswith(_ENDINGS)
    # Too long for a path, for one.
    with suppress(OSError, ValueError):
        return looks or Path(ref).is_file() or (Path(ref) / "index.json").is_file()
    return looks


def read(path: Path, architecture: str, progress: Progress) -> list[StoredImage]:
    """Return the images in the file, every byte of them checked. Of an index, the image of the architecture.

    Raises DevenvError where there is no such file, where it is broken or cut off, or where a path in it leads out.
    """
    try:
        path = path.expanduser()
        files: _Files = _Folder(path) if path.is_dir() else _Archive(path)
        if not (files.has(_LIST) or files.has(_INDEX)):
            raise ValueError(NO_IMAGE)
        images = _listed(files) if files.has(_LIST) else _indexed(files, architecture)
        if not images:
            raise ValueError("it holds no image: its list is empty")
        return [_checked(files, *image, progress) for image in images]
    except FileNotFoundError as error:
        raise DevenvError(f"There is no file {path}.", exit_code=Exit.USAGE) from error
    except RecursionError as error:
        reason = (
            # `as_json` reports JSON that nests too deep.
            "it holds links that lead in a circle"
        )
        raise DevenvError(
            f"{path} is not a readable image: {reason}", "", _FIX, Exit.USAGE
        ) from error
    except _BROKEN as error:
        raise DevenvError(
            f"{path} is not a readable image: {_word(error)}", "", _FIX, Exit.USAGE
        ) from error


@dataclass(frozen=True)
class _Blob:
    """A layer as a list or a manifest names it. What is not stated is "" or None."""

    file: str
    digest: str = ""
    size: int | None = None
    media_type: str = ""


# Names, config, layers.
_Parts = tuple[tuple[str, ...], bytes, Sequence[_Blob]]


def _listed(files: _Files) -> list[_Parts]:
    """What `docker save` lists. A blob's path is its digest from Docker 25 on."""
    images: list[_Parts] = []
    for number, listed in enumerate(as_list(_json(files, _LIST), _LIST)):
        where = f"{_LIST}: image {number + 1}"
        entry = as_map(listed, where)
        layers = [
            _inside(as_text(name, f"{where}: a layer"))
            for name in as_list(entry.get("Layers"), f"{where}: Layers")
        ]
        names = tuple(
            as_text(tag, f"{where}: a tag")
            for tag in as_list(entry.get("RepoTags") or [], f"{where}: RepoTags")
        )
        config = _config(files, as_text(entry.get("Config"), f"{where}: Config"))
        images.append((names, config, [_Blob(name, _digest_in(name)) for name in layers]))
    return images


def _digest_in(name: str) -> str:
    return f"sha256:{name[len(BLOBS) :]}" if name.startswith(BLOBS) else ""


def _indexed(files: _Files, architecture: str) -> list[_Parts]:
    """What an OCI layout's index names."""
    index = as_map(_json(files, _INDEX), _INDEX)
    listed = _fitting(as_list(index.get("manifests"), f"{_INDEX}: manifests"), architecture)
    names_by_digest: dict[str, list[str]] = {}
    for m in listed:
        names_by_digest.setdefault(as_text(m.get("digest"), f"{_INDEX}: a digest"), []).extend(
            _names(m)
        )
    images: list[_Parts] = []
    for digest, digest_names in names_by_digest.items():
        descriptor = next(m for m in listed if m["digest"] == digest)
        names, manifest = (
            tuple(dict.fromkeys(digest_names)),
            _chosen(files, descriptor, architecture),
        )
        where = f"manifest {digest[:19]}"
        described = as_map(manifest.get("config"), f"{where}: config")
        _refuse_artifact(described)
        config = _config(files, _sized(files, described))
        layers = [
            _layer(as_map(x, f"{where}: a layer"))
            for x in as_list(manifest.get("layers"), f"{where}: layers")
        ]
        images.append((names, config, layers))
    return images


def _layer(descriptor: Mapping[str, Any]) -> _Blob:
    size, digest = descriptor.get("size"), str(descriptor.get("digest"))
    if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
        raise ValueError(f"the size of {digest[:19]} is not a number")
    return _Blob(_blob(digest), digest, size, str(descriptor.get("mediaType") or ""))


def _refuse_artifact(config: Mapping[str, Any]) -> None:
    """Raise ValueError for what is stored like an image but is none, such as a Helm chart."""
    kind = str(config.get("mediaType") or "")
    if kind and not kind.startswith(
        ("application/vnd.oci.image.config.", "application/vnd.docker.container.image.")
    ):
        raise ValueError(f"it holds no image: its config is {kind}")


def _sized(files: _Files, descriptor: Mapping[str, Any]) -> str:
    """Return the path of what a descriptor names, after comparing its size."""
    name = _blob(descriptor.get("digest"))
    size = descriptor.get("size")
    if size is not None and files.has(name) and files.size(name) != size:
        raise ValueError(f"{name} has {files.size(name)} bytes, but should have {size}")
    return name


def _chosen(files: _Files, descriptor: Mapping[str, Any], architecture: str) -> Any:
    """Return the manifest, of an index that of the architecture, else its first."""
    name = _sized(files, descriptor)
    content = as_map(_json(files, name), name)
    if digest_of(_bytes(files, name)) != descriptor["digest"]:
        raise ValueError(f"{descriptor['digest']} is not what is in it")
    if "manifests" not in content:
        return content
    inner = _fitting(as_list(content["manifests"], f"{name}: manifests"), architecture)
    if not inner:
        raise ValueError(f"it holds no image: the index {name} lists none")
    return _chosen(files, inner[0], architecture)


def _fitting(listed: Sequence[Any], architecture: str) -> list[Mapping[str, Any]]:
    """Return the images among an index's entries, those of the architecture where there are some: no attestations."""
    entries = [as_map(m, "an entry of the index") for m in listed]
    images = [
        m for m in entries if _platform(m).get("os", "linux") == "linux" and "artifactType" not in m
    ]
    return [
        m for m in images if _platform(m).get("architecture", architecture) == architecture
    ] or images


def _platform(descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_map(descriptor.get("platform") or {}, "a platform in the index")


def _names(descriptor: Mapping[str, Any]) -> tuple[str, ...]:
    """A layout's own annotation may have a tag alone, which names nothing."""
    notes = as_map(descriptor.get("annotations") or {}, "annotations in the index")
    texts = [str(notes[n]) for n in _NAMES if n in notes]
    return tuple([text for text in texts if ":" in text or "/" in text][:1])


def _checked(
    files: _Files,
    names: tuple[str, ...],
    config: bytes,
    layers: Sequence[_Blob],
    progress: Progress,
) -> StoredImage:
    if len(names) > _MOST_NAMES:
        raise ValueError(
            f"its image has {len(names)} names: {', '.join(names[:3])} …; save it under one of them"
        )
    if odd := [name for name in names if not is_reference(name)]:
        raise ValueError(f"{odd[0]!r} is not a valid image name")
    content = as_map(as_json(config, "its config"), "its config")
    if not isinstance(content.get("architecture"), str):
        raise ValueError("its config has no architecture")  # noqa: TRY004 - what is wrong is the file's content
    diffs = as_list(
        as_map(content.get("rootfs"), "its config: rootfs").get("diff_ids"), "its config: diff_ids"
    )
    if len(diffs) != len(layers):
        raise ValueError(f"its config has {len(diffs)} layers, and there are {len(layers)}")
    total, checked_size, checked = sum(files.size(layer.file) for layer in layers), 0, []
    for blob, diff in zip(layers, diffs, strict=True):
        layer = _check(files, blob, str(diff), partial(_report, progress, checked_size, total))
        checked_size += layer.size
        checked.append(layer)
    return StoredImage(names, config, tuple(checked), files)


def _report(progress: Progress, offset: int, total: int, position: int) -> None:
    progress(offset + position, total)


def _check(files: _Files, blob: _Blob, diff: str, progress: Callable[[int], None]) -> _Layer:
    """Hash a layer as it lies there and as its tar. Raises ValueError where one is not what it should be."""
    size = files.size(blob.file)
    if blob.size is not None and blob.size != size:
        raise ValueError(f"{blob.file} has {size} bytes, but should have {blob.size}")
    with files.open(blob.file) as content:
        source, tar, gunzip = _Hashed(content, progress), _Tar(), Gunzip()
        kind = packing(source.peek())
        for piece in _pieces(source, kind, gunzip):
            tar.feed(piece)
        # What lies behind the last frame belongs to the blob.
        for _ in source.chunks():
            pass
    whole = kind is not Packing.GZIP or gunzip.whole
    if source.size < size or not whole:
        raise ValueError(f"{blob.file} is cut off")
    if blob.digest and source.digest != blob.digest:
        raise ValueError(f"{blob.file} is damaged: its digest is {source.digest}")
    if diff != tar.digest:
        raise ValueError(f"{blob.file} is not the layer {diff} that its config names")
    if not is_tar(tar.first):
        raise ValueError(f"{blob.file} is not a layer: it is not a tar archive")
    _refuse_media_type(blob, kind)
    return _Layer(diff, source.digest, size, kind, blob.file, tar.size)


def _pieces(source: "_Hashed", kind: Packing, gunzip: Gunzip) -> Iterator[bytes]:
    """Yield what a layer unpacks to."""
    if kind is Packing.ZSTD:
        yield from unpack(source)  # type: ignore[arg-type] # it reads and closes, and nothing else
    elif kind is Packing.GZIP:
        for chunk in source.chunks():
            yield from gunzip.feed(chunk)
    else:
        yield from source.chunks()


def _refuse_media_type(blob: _Blob, kind: Packing) -> None:
    """Raise ValueError if a layer is not packed as its media type says."""
    media_type = blob.media_type
    packings = {"gzip": Packing.GZIP, "zstd": Packing.ZSTD, "tar": Packing.NONE}
    stated_packing = packings.get(re.split(r"[+.]", media_type)[-1]) if media_type else kind
    if stated_packing is None:
        raise ValueError(f"{blob.file} is not a layer: its media type is {media_type}")
    if stated_packing is not kind:
        raise ValueError(f"{blob.file} is not what its media type says: {media_type}")


class _Hashed:
    """A file that is hashed while it is being read."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file, self._progress = file, progress
        self._hash = hashlib.sha256()
        self._ahead = b""
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def peek(self) -> bytes:
        """Return how the rest begins."""
        self._ahead = self._ahead or self._file.read(_CHUNK)
        return self._ahead

    def read(self, size: int = _CHUNK) -> bytes:
        content = self.peek()[:size] if size >= 0 else self.peek()
        self._ahead = self._ahead[len(content) :]
        self._hash.update(content)
        self.size += len(content)
        self._progress(self.size)
        return content

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read():
            yield chunk

    def close(self) -> None:
        """Leave the file open: whoever opened it closes it."""


class _Tar:
    """A layer's tar as it comes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.first = b""
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def feed(self, piece: bytes) -> None:
        if len(self.first) < tarfile.BLOCKSIZE:
            self.first += piece[: tarfile.BLOCKSIZE - len(self.first)]
        self._hash.update(piece)
        self.size += len(piece)


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
    return as_json(_bytes(files, name), name)


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
    return (
        f"{error.args[0]} is missing"
        if isinstance(error, KeyError)
        else str(error) or type(error).__name__
    )
