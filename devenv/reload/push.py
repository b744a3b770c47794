"""The fast way: the engine pushes, and asks blob by blob what is missing.

The engine knows a layer by the digest of what it sends, a node by its chain. What the one is to the other is learned as
bytes go past, and remembered. Blobs that no node lacks are only looked at.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, Self

from devenv.errors import DevenvError, NotReachableError
from devenv.images.gunzip import Gunzip
from devenv.images.layout import Packing, digest_of, finish, manifest_of, packing
from devenv.ports import Completed, Endpoint, Engine, Host, Image

# Bytes of a blob, before a temporary file is made.
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
# Seconds for the look at the nodes.
_DECISION = 60.0
# Docker's version from which on it may not fall back from TLS: 20.10 does, 29 does not (docs/facts/images.md)
_TLS_FIRST = 23
# Of an image's bytes: beyond, packing them takes longer than to send them all unpacked.
_PART = 0.3
# The number is the process's.
_NAME = re.compile(r"127\.0\.0\.1:\d+/devenv/reload:(\d+)-[0-9a-f]+", re.ASCII)


# Bytes so far, bytes known of.
Progress = Callable[[int, int], None]


class Target(Protocol):
    """Where a blob goes while it comes: into the nodes, as nodes.Fan does."""

    def put(self, chunk: bytes) -> bool: ...  # noqa: D102 - the class says it
    def end(self) -> dict[str, Completed]: ...  # noqa: D102


@dataclass
class Known:
    """What was learned of an engine: the digests under which it sends layers, by diff ID; and the port that it pushed to.

    The engine remembers to which repository it pushed what, so the port should stay the same.
    """

    path: Path
    # Digest → {"diff": …, "size": …}.
    digests: dict[str, dict[str, Any]] = field(default_factory=dict)
    port: int = 0

    @classmethod
    def read(cls, host: Host, engine: str) -> "Known":
        """Return what is known; nothing where the file is not there or broken."""
        path = host.state_dir() / f"layers-{hashlib.sha256(engine.encode()).hexdigest()[:12]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return cls(path, _digests(path), int(json.loads(path.read_text())["port"]))
        return cls(path)

    def write(self) -> None:
        """Keep it, whole or not at all; what can't be kept is learned again."""
        # Another process may be learning, too.
        partial_path = self.path.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            partial_path.write_text(
                json.dumps({"digests": {**_digests(self.path), **self.digests}, "port": self.port})
            )
            partial_path.replace(self.path)

    def diffs(self) -> set[str]:
        """Return the layers that the engine has pushed before."""
        return {str(layer["diff"]) for layer in self.digests.values()}


def _digests(path: Path) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        entries = json.loads(path.read_text())["digests"].items()
        return {str(d): {"diff": str(x["diff"]), "size": int(x["size"])} for d, x in entries}
    return {}


class _Blob:
    """A blob as it comes: hashed as it is and unpacked, and passed on unpacked.

    Nodes take layers unpacked, since they would only unpack them again, while nobody else works. What is packed in a way
    that is not known here goes as it is.
    """

    def __init__(self, open_target: Callable[[], Target | None], check: Callable[[], None]) -> None:
        self.size = self.tar_size = 0
        self.packing = Packing.NONE
        # A config is.
        self.json: bytes | None = None
        self.target: Target | None = None
        self._open, self._check = open_target, check
        self._digest, self._diff = hashlib.sha256(), hashlib.sha256()
        self._gunzip: Gunzip | None = None
        self._waiting: list[bytes] = []
        self._held = 0

    def write(self, chunk: bytes) -> None:
        """Take some of it. Raises DevenvError where nothing is to be pushed any more."""
        if not chunk:
            return
        self._check()
        if self.size == 0:
            self._begin(chunk)
        self.size += len(chunk)
        if self.json is not None:
            self.json += chunk
        # An engine's chunks are small, and each thread that is woken takes its time.
        self._waiting.append(chunk)
        self._held += len(chunk)
        if self._held >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Hash and pass on what has come."""
        chunk, self._waiting, self._held = b"".join(self._waiting), [], 0
        self._digest.update(chunk)
        if self.json is not None:
            return
        for tar in self._gunzip.feed(chunk) if self._gunzip else (chunk,):
            self.tar_size += len(tar)
            self._diff.update(tar)
            if self.target:
                self.target.put(tar)

    def _begin(self, chunk: bytes) -> None:
        self.packing = packing(chunk)
        if chunk.startswith(b"{"):
            self.json = b""
        else:
            self.target = self._open()
        if self.packing is Packing.GZIP:
            self._gunzip = Gunzip()

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    @property
    def diff(self) -> str:
        """The digest of its tar; "" where that is not known."""
        return "" if self.packing is Packing.ZSTD else f"sha256:{self._diff.hexdigest()}"


class _Spool:
    """Keeps a blob until it is known whether anybody wants it."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed at its end

    def put(self, chunk: bytes) -> bool:
        self._file.write(chunk)
        return True

    def pass_on(self, target: Target) -> dict[str, Completed]:
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            target.put(chunk)
        return target.end()

    def end(self) -> dict[str, Completed]:
        self._file.close()
        return {}


@dataclass(frozen=True)
class _Kept:
    """A layer that went into the nodes: `size` bytes as the engine sent it, and how it lies there."""

    size: int
    packing: Packing
    digest: str
    size_there: int


class Sink:
    """Takes one image's blobs and passes on what is wanted. `layers`: all diff IDs of the image.

    An engine may begin to push before it is decided what is wanted; its first question waits for that.
    """

    def __init__(self, push_cache: Known, layers: AbstractSet[str]) -> None:
        self._known, self._layers = push_cache, layers
        self._wanted: AbstractSet[str] = frozenset()
        self._ingest: Callable[[], Target] | None = None
        self._eager = self._refused = False
        self._decided = threading.Event()
        self._guard = threading.Lock()
        self._open: list[Target] = []
        self.kept: dict[str, _Kept] = {}
        self.small: dict[str, bytes] = {}
        # Its manifest.
        self.image: dict[str, Any] = {}
        self.failed: list[str] = []

    def decide(
        self, missing_layers: AbstractSet[str], ingest: Callable[[], Target] | None = None
    ) -> Self:
        """Say which diff IDs the nodes lack, and how a blob is opened in them: without that nothing is passed on.

        Where the engine knows all other layers, what comes is wanted, and goes on while it comes.
        """
        self._wanted, self._ingest = missing_layers, ingest
        self._eager = self._layers - missing_layers <= self._known.diffs()
        self._decided.set()
        return self

    def refuse(self) -> None:
        """Say that nothing is to be pushed."""
        self._refused = True
        self._decided.set()

    def check(self) -> None:
        """Raises DevenvError where nothing is to be pushed any more."""
        if self._refused:
            raise DevenvError("Nothing is to be pushed.")

    def has(self, digest: str) -> int:
        """Return the size of a blob that need not be sent, else -1: one that was just sent, or a layer that no node lacks.

        Raises DevenvError where nothing is to be pushed.
        """
        self._await_decision()
        with self._guard:
            if digest in self.kept:
                return self.kept[digest].size
            if digest in self.small:
                return len(self.small[digest])
            layer = self._known.digests.get(digest)
        return int(layer["size"]) if layer and layer["diff"] in self._layers - self._wanted else -1

    def _await_decision(self) -> None:
        if not self._decided.wait(_DECISION):
            raise DevenvError("Nothing was decided.")
        self.check()

    def begin(self) -> _Blob:
        """Take a blob: an engine that never pushed it asks nothing before. Raises DevenvError where nothing is to be pushed."""
        self._await_decision()
        return _Blob(self._target, self._await_decision)

    def _target(self) -> Target | None:
        if self._ingest is None:
            return None
        target: Target = self._ingest() if self._eager else _Spool()
        with self._guard:
            self._open.append(target)
        return target

    def end(self, blob: _Blob, digest: str) -> bool:
        """Keep a blob if it is what it says, and wanted."""
        blob.flush()
        if blob.json is not None:
            if digest == blob.digest:
                self.small[digest] = blob.json
            return digest == blob.digest
        is_intact, is_missing = digest == blob.digest, blob.diff in self._wanted or not blob.diff
        results: dict[str, Completed] = {}
        if isinstance(blob.target, _Spool) and is_intact and is_missing and self._ingest:
            results = blob.target.pass_on(self._ingest())
        if blob.target:
            results |= blob.target.end()
        with self._guard:
            if blob.target in self._open:
                self._open.remove(blob.target)
            self.failed += [
                f"{node}: {d.output[-300:].strip()}" for node, d in results.items() if d.code != 0
            ]
            if is_intact and blob.diff in self._layers:
                self._known.digests[digest] = {"diff": blob.diff, "size": blob.size}
            if is_intact and is_missing and self._ingest:
                stored_digest = blob.diff or digest
                self.kept[digest] = _Kept(
                    blob.size,
                    Packing.NONE if blob.diff else blob.packing,
                    stored_digest,
                    blob.tar_size,
                )
        return is_intact

    def manifest(self, body: bytes) -> str:
        """Take a manifest, or an index of them."""
        try:
            content = json.loads(body)
        except ValueError:
            return ""
        digest = digest_of(body)
        if not isinstance(content, dict):
            return ""
        with self._guard:
            if self._is_of_the_image(content):
                self.image = content
        return digest

    def _is_of_the_image(self, manifest: Mapping[str, Any]) -> bool:
        """Whether its config has the image's layers: an engine may push an attestation too, or other architectures."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return (
                set(json.loads(self.small[manifest["config"]["digest"]])["rootfs"]["diff_ids"])
                == self._layers
            )
        return False

    @property
    def sent(self) -> int:
        """Bytes of layers that went into the nodes."""
        return sum(layer.size_there for layer in self.kept.values())

    def layout(self, name: str) -> Iterator[bytes]:
        """Yield what names the image, whose blobs are in the nodes. Raises DevenvError where something of it did not come."""
        if self.failed:
            raise DevenvError("A layer could not be put into the nodes.", "\n".join(self.failed))
        if not self.image:
            raise DevenvError("The engine pushed no manifest of the image.", next_step="Try again.")
        config = self.small[self.config]
        yield from finish(
            [(name, config, manifest_of(config, [self._layer(x) for x in self.image["layers"]]))]
        )

    def _layer(self, listed: Mapping[str, Any]) -> tuple[Packing, str, int]:
        """Return a layer as it lies in the nodes; one that was not sent is there as a snapshot, and named as the engine does."""
        if layer := self.kept.get(listed["digest"]):
            return layer.packing, layer.digest, layer.size_there
        kind = str(listed.get("mediaType"))
        packed = (
            Packing.ZSTD
            if kind.endswith("zstd")
            else Packing.GZIP
            if kind.endswith("gzip")
            else Packing.NONE
        )
        return packed, listed["digest"], int(listed["size"])

    @property
    def config(self) -> str:
        """The digest of the image's config."""
        return str(self.image["config"]["digest"])

    def close(self) -> None:
        """End what was cut off. Nothing refers to what came of it, so containerd collects it."""
        with self._guard:
            open_targets, self._open = self._open, []
        for target in open_targets:
            target.end()


@dataclass(frozen=True)
class Pusher:
    """Has the engine push to this machine."""

    engine: Engine
    endpoint: Endpoint
    host: Host

    def usable(
        self, image: Image, missing_layers: AbstractSet[str], part: float, push_cache: Known
    ) -> bool:
        """Whether a push is quick: the engine must reach this machine's loopback, and know its layers' digests.

        The classic store packs what it pushes, at some 60 MB/s, also every layer that it never pushed; `docker save` sends
        all, at some 200 MB/s. `part` is what share of the image's bytes is wanted.
        """
        info, others = self.engine.info(), frozenset(image.layers) - missing_layers
        quick = info.containerd_store or (part <= _PART and others <= push_cache.diffs())
        # One without a name would go with the one for the push.
        return info.local and bool(image.tags) and quick

    def likely(self, image: Image, push_cache: Known) -> bool:
        """Whether an image will surely have to be moved, and probably be pushed: it has layers never seen, and others."""
        layers, pushed_layers = frozenset(image.layers), push_cache.diffs()
        return (
            self.engine.info().local
            and bool(image.tags)
            and bool(layers - pushed_layers)
            and bool(layers & pushed_layers)
        )

    def push(self, ref: str, sink: Sink, push_cache: Known, progress: Progress) -> None:
        """Push one image into the sink; its name for this is removed whatever happens."""
        plain = int(self.engine.info().version.split(".")[0]) < _TLS_FIRST
        with self.endpoint.listening(sink, push_cache.port, plain=plain) as port:
            push_cache.port = port
            name = f"127.0.0.1:{port}/devenv/reload:{os.getpid()}-{hashlib.sha256(ref.encode()).hexdigest()[:16]}"
            self.engine.tag(ref, name)

            def report(sent: int, total: int) -> None:
                sink.check()
                progress(sent, total)

            try:
                self.engine.push(name, report)
            finally:
                self._untag(name)
                push_cache.write()

    def _untag(self, name: str) -> None:
        """Remove a name for a push, and never the image with it: where it is the last by now, another image gets it first."""
        with contextlib.suppress(NotReachableError, DevenvError):
            image = self.engine.image(name)
            if image and not set(image.tags) - {name}:
                substitute = next((n for n in self.engine.names() if not _NAME.fullmatch(n)), "")
                if not substitute:
                    return
                self.engine.tag(substitute, name)
            self.engine.untag(name)

    def forget_leftovers(self) -> None:
        """Remove the names that a killed run has left in the engine."""
        for name in self.engine.names():
            if (match := _NAME.fullmatch(name)) and not self.host.alive(int(match[1])):
                self._untag(name)
