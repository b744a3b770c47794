"""The fast way into the nodes: the engine pushes, and asks for each blob whether it is needed.

The engine knows a layer by the digest of what it sends, a node by its chain ID. Which is which is
learned from the bytes that come through, and remembered. Blobs that no node lacks are only hashed.
"""

import contextlib
import hashlib
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Protocol, Self

from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.json_types import JsonMap, JsonObject
from devenv.images.formats.gunzip import Gunzip
from devenv.images.formats.layout import Packing, detect_packing, digest_of, finish, manifest_of
from devenv.ports.endpoint import Endpoint
from devenv.ports.engine import Engine, Image
from devenv.ports.host import Host
from devenv.ports.processes import ResultsByNode
from devenv.ports.progress import Progress

# Bytes of a blob that stay in memory; a larger one goes into a temporary file.
_IN_MEMORY = 8 << 20
_CHUNK = 1 << 20
# Seconds until the nodes' layers are known.
_DECISION = 60.0
# The first version of Docker that may not fall back from TLS: 20.10 does, 29 does not
# (docs/facts/images.md).
_TLS_FIRST = 23
# Share of an image's bytes. Beyond it, packing the layers takes longer than sending all of them
# unpacked.
_LARGEST_SHARE = 0.3
# The number is the ID of the pushing process.
_NAME = re.compile(r"127\.0\.0\.1:\d+/devenv/reload:(\d+)-[0-9a-f]+", re.ASCII)


# Called with the bytes pushed so far, and all bytes known of so far.


class Target(Protocol):
    """Where a blob goes while it arrives: into the nodes, as containerd.Fan does."""

    def put(self, chunk: bytes) -> bool: ...  # noqa: D102 - the class says it
    def end(self) -> ResultsByNode: ...  # noqa: D102


@dataclass(frozen=True)
class PushedLayer:
    """A layer that an engine has pushed. `diff`: its diff ID. `size`: bytes as pushed."""

    diff: str
    size: int


@dataclass
class PushCache:
    """What was learned of an engine: the digests under which it pushes layers, and the port.

    The port should stay the same, since the engine remembers what it pushed to which repository.
    """

    path: Path
    # By the digest of what the engine pushes.
    layers: dict[str, PushedLayer] = field(default_factory=dict)
    port: int = 0

    @classmethod
    def read(cls, host: Host, engine: str) -> "PushCache":
        """Return what was learned of the engine with this ID; nothing if the file is unusable."""
        engine_digest = sha256_of(engine)
        path = host.state_dir() / f"layers-{engine_digest[:12]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            port = int(json.loads(path.read_text())["port"])
            return cls(path, _read_layers(path), port)
        return cls(path)

    def write(self) -> None:
        """Write it, whole or not at all. What can't be written is learned again."""
        # Another process may have learned other layers meanwhile.
        layers = {**_read_layers(self.path), **self.layers}
        digests = {digest: asdict(layer) for digest, layer in layers.items()}
        partial_path = self.path.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            content = {"digests": digests, "port": self.port}
            partial_path.write_text(json.dumps(content))
            partial_path.replace(self.path)

    def diff_ids(self) -> set[str]:
        """Return the diff IDs of the layers that the engine has pushed before."""
        return {layer.diff for layer in self.layers.values()}


def _read_layers(path: Path) -> dict[str, PushedLayer]:
    """Return the layers in the file; none if it is missing or broken."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(path.read_text())
        return {str(d): _pushed_layer(layer) for d, layer in content["digests"].items()}
    return {}


def _pushed_layer(content: JsonMap) -> PushedLayer:
    return PushedLayer(str(content["diff"]), int(content["size"]))


class _Blob:
    """A blob as it arrives: hashed both as it is and unpacked, and passed on unpacked.

    Nodes get layers unpacked: they would only unpack them again while everything waits. A layer
    whose packing is unknown here is passed on as it is.
    """

    def __init__(self, open_target: Callable[[], Target | None], check: Callable[[], None]) -> None:
        self.size = self.tar_size = 0
        self.packing = Packing.NONE
        # The content of a JSON blob, such as an image config; None for a layer.
        self.json: bytes | None = None
        self.target: Target | None = None
        self._open, self._check = open_target, check
        self._digest = hashlib.sha256()
        self._diff_id = hashlib.sha256()
        self._gunzip: Gunzip | None = None
        self._waiting_chunks: list[bytes] = []
        self._waiting_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises DevenvError if the push was cancelled."""
        if not chunk:
            return
        self._check()
        if self.size == 0:
            self._begin(chunk)
        self.size += len(chunk)
        if self.json is not None:
            self.json += chunk
        # The engine's chunks are small, and it takes time to wake a thread for each.
        self._waiting_chunks.append(chunk)
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Hash and pass on what has arrived."""
        chunk = b"".join(self._waiting_chunks)
        self._waiting_chunks = []
        self._waiting_bytes = 0
        self._digest.update(chunk)
        if self.json is None:
            for tar_chunk in self._unpack(chunk):
                self._pass_on(tar_chunk)

    def _unpack(self, chunk: bytes) -> Iterator[bytes]:
        if self._gunzip:
            yield from self._gunzip.feed(chunk)
        else:
            yield chunk

    def _pass_on(self, tar_chunk: bytes) -> None:
        """Hash and count unpacked bytes, and hand them to the target."""
        self.tar_size += len(tar_chunk)
        self._diff_id.update(tar_chunk)
        if self.target:
            self.target.put(tar_chunk)

    def _begin(self, chunk: bytes) -> None:
        """Tell from the first bytes whether this is JSON or a layer, and how it is packed."""
        self.packing = detect_packing(chunk)
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
    def diff_id(self) -> str:
        """The digest of the layer's tar; "" if it was not unpacked."""
        if self.packing is Packing.ZSTD:
            return ""
        return f"sha256:{self._diff_id.hexdigest()}"


class _Spool:
    """Holds a blob until its digest shows whether a node lacks it."""

    def __init__(self) -> None:
        # `end` closes it.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    def put(self, chunk: bytes) -> bool:
        self._file.write(chunk)
        return True

    def pass_on(self, target: Target) -> ResultsByNode:
        """Copy the blob into the target and end that; return how it ended in each node."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            target.put(chunk)
        return target.end()

    def end(self) -> ResultsByNode:
        self._file.close()
        return {}


@dataclass(frozen=True)
class _SentLayer:
    """A layer that went into the nodes.

    `size`: bytes as the engine pushed it. `packing`, `digest` and `size_in_nodes`: as it lies in
    the nodes.
    """

    size: int
    packing: Packing
    digest: str
    size_in_nodes: int


class Sink:
    """Receives one image's blobs and passes on those that a node lacks.

    `layers`: all diff IDs of the image. An engine may begin to push before the missing layers are
    known; its first request waits for `decide`.
    """

    def __init__(self, push_cache: PushCache, layers: AbstractSet[str]) -> None:
        self._push_cache, self._layers = push_cache, layers
        self._missing_layers: AbstractSet[str] = frozenset()
        self._open_in_nodes: Callable[[], Target] | None = None
        # Whether every layer that arrives is missing, so that it goes into the nodes at once.
        self._sends_at_once = False
        self._is_cancelled = False
        self._decided = threading.Event()
        self._guard = threading.Lock()
        self._open_targets: list[Target] = []
        # By the digest of what the engine pushed.
        self.sent_layers: dict[str, _SentLayer] = {}
        self.json_blobs: dict[str, bytes] = {}
        self.image_manifest: JsonObject = {}
        self.node_errors: list[str] = []

    def decide(
        self, missing_layers: AbstractSet[str], open_in_nodes: Callable[[], Target] | None = None
    ) -> Self:
        """Set which diff IDs the nodes lack, and how to open a blob in them.

        Without `open_in_nodes` nothing is passed on. If the engine is known to push all other
        layers under known digests, it pushes only missing layers, and they are passed on while
        they arrive.
        """
        self._missing_layers, self._open_in_nodes = missing_layers, open_in_nodes
        present_layers = self._layers - missing_layers
        self._sends_at_once = present_layers <= self._push_cache.diff_ids()
        self._decided.set()
        return self

    def refuse(self) -> None:
        """Cancel the push."""
        self._is_cancelled = True
        self._decided.set()

    def check(self) -> None:
        """Raise DevenvError if the push was cancelled."""
        if self._is_cancelled:
            raise DevenvError("The push was cancelled.")

    def has(self, digest: str) -> int:
        """Return the size of a blob that need not be sent, else -1.

        That is a blob that was just sent, or a layer that no node lacks. Raises DevenvError if the
        push was cancelled.
        """
        self._await_decision()
        with self._guard:
            if digest in self.sent_layers:
                return self.sent_layers[digest].size
            if digest in self.json_blobs:
                return len(self.json_blobs[digest])
            layer = self._push_cache.layers.get(digest)
        if layer and layer.diff in self._layers - self._missing_layers:
            return layer.size
        return -1

    def _await_decision(self) -> None:
        """Wait for `decide`. Raises DevenvError after 60 s, or if the push was cancelled."""
        if not self._decided.wait(_DECISION):
            reason = "The nodes' layers were not known in time."
            raise DevenvError(f"The push timed out after {_DECISION:.0f} s.", reason)
        self.check()

    def begin(self) -> _Blob:
        """Receive a blob. Raises DevenvError if the push was cancelled.

        This waits for the decision too: an engine does not ask about a layer that it never pushed.
        """
        self._await_decision()
        return _Blob(self._open_target, self._await_decision)

    def _open_target(self) -> Target | None:
        """Open the nodes if every layer that arrives is missing, else a spool.

        Return None if nothing is to be passed on.
        """
        if self._open_in_nodes is None:
            return None
        target: Target = self._open_in_nodes() if self._sends_at_once else _Spool()
        with self._guard:
            self._open_targets.append(target)
        return target

    def end(self, blob: _Blob, digest: str) -> bool:
        """Keep a blob if it has this digest, and pass it on if a node lacks it.

        Return whether it has the digest.
        """
        blob.flush()
        is_intact = digest == blob.digest
        if blob.json is None:
            self._end_layer(blob, digest, is_intact=is_intact)
        elif is_intact:
            self.json_blobs[digest] = blob.json
        return is_intact

    def _end_layer(self, blob: _Blob, digest: str, *, is_intact: bool) -> None:
        """Pass a layer on if a node lacks it, and learn its diff ID."""
        goes_into_nodes = is_intact and self._is_missing(blob)
        results = self._end_target(blob.target, pass_on=goes_into_nodes)
        with self._guard:
            if blob.target in self._open_targets:
                self._open_targets.remove(blob.target)
            self.node_errors += failure_lines(results, 300)
            if is_intact and blob.diff_id in self._layers:
                self._push_cache.layers[digest] = PushedLayer(blob.diff_id, blob.size)
            if goes_into_nodes:
                self.sent_layers[digest] = _sent_layer(blob, digest)

    def _is_missing(self, blob: _Blob) -> bool:
        """Whether a node lacks the layer. What was not unpacked has no diff ID, and may be one."""
        if self._open_in_nodes is None:
            return False
        return not blob.diff_id or blob.diff_id in self._missing_layers

    def _end_target(self, target: Target | None, *, pass_on: bool) -> ResultsByNode:
        """End a blob's target, and return how that ended in each node."""
        results: ResultsByNode = {}
        if isinstance(target, _Spool) and pass_on and self._open_in_nodes:
            results = target.pass_on(self._open_in_nodes())
        if target:
            results = {**results, **target.end()}
        return results

    def manifest(self, body: bytes) -> str:
        """Receive a manifest, or an index of them; return its digest, "" if it is neither."""
        try:
            content = json.loads(body)
        except ValueError:
            return ""
        digest = digest_of(body)
        if not isinstance(content, dict):
            return ""
        with self._guard:
            if self._is_of_the_image(content):
                self.image_manifest = content
        return digest

    def _is_of_the_image(self, manifest: JsonMap) -> bool:
        """Whether its config lists the image's layers.

        An engine may also push an attestation, or the image for other architectures.
        """
        with contextlib.suppress(ValueError, KeyError, TypeError):
            config_digest = manifest["config"]["digest"]
            config = json.loads(self.json_blobs[config_digest])
            diff_ids = config["rootfs"]["diff_ids"]
            return set(diff_ids) == self._layers
        return False

    @property
    def sent(self) -> int:
        """Bytes of layers that went into the nodes."""
        return sum(layer.size_in_nodes for layer in self.sent_layers.values())

    def layout(self, name: str) -> Iterator[bytes]:
        """Yield the files of an OCI layout that name the image, whose blobs are in the nodes.

        Raises DevenvError if a part of the image is missing.
        """
        if self.node_errors:
            reason = "\n".join(self.node_errors)
            raise DevenvError("A layer could not be put into the nodes.", reason)
        if not self.image_manifest:
            raise DevenvError("The engine pushed no manifest of the image.", next_step="Try again.")
        config = self.json_blobs[self.config]
        layers = [self._layer(descriptor) for descriptor in self.image_manifest["layers"]]
        yield from finish([(name, config, manifest_of(config, layers))])

    def _layer(self, descriptor: JsonMap) -> tuple[Packing, str, int]:
        """Return the packing, digest and size of a layer as it lies in the nodes.

        A layer that was not sent is there as a snapshot; it is named as the engine names it.
        """
        digest = descriptor["digest"]
        if layer := self.sent_layers.get(digest):
            return layer.packing, layer.digest, layer.size_in_nodes
        packing = _packing_of(str(descriptor.get("mediaType")))
        return packing, digest, int(descriptor["size"])

    @property
    def config(self) -> str:
        """The digest of the image's config."""
        return str(self.image_manifest["config"]["digest"])

    def close(self) -> None:
        """End the blobs that were cut off. Nothing refers to them, so containerd removes them."""
        with self._guard:
            open_targets, self._open_targets = self._open_targets, []
        for target in open_targets:
            target.end()


def failure_lines(results: ResultsByNode, length: int) -> list[str]:
    """Return a line for each node whose program failed, with so many last characters of output."""
    lines = []
    for node, result in results.items():
        if result.failed:
            excerpt = result.output[-length:].strip()
            lines.append(f"{node}: {excerpt}")
    return lines


def _sent_layer(blob: _Blob, digest: str) -> _SentLayer:
    """Describe a layer that went into the nodes: unpacked, or as it came if its diff ID is "".

    `digest`: of the blob as the engine pushed it.
    """
    if blob.diff_id:
        return _SentLayer(blob.size, Packing.NONE, blob.diff_id, blob.tar_size)
    return _SentLayer(blob.size, blob.packing, digest, blob.tar_size)


def _packing_of(media_type: str) -> Packing:
    if media_type.endswith("zstd"):
        return Packing.ZSTD
    if media_type.endswith("gzip"):
        return Packing.GZIP
    return Packing.NONE


@dataclass(frozen=True)
class Pusher:
    """Makes the engine push to this host."""

    engine: Engine
    endpoint: Endpoint
    host: Host

    def read_cache(self) -> PushCache:
        """Return what was learned of the engine in earlier pushes."""
        return PushCache.read(self.host, self.engine.info().id)

    def is_quick(
        self, image: Image, missing_layers: AbstractSet[str], share: float, push_cache: PushCache
    ) -> bool:
        """Whether a push is possible, and quicker than the engine's archive.

        The engine must reach this host's loopback, and the digests of its layers must be known.
        The classic store packs what it pushes, at some 60 MB/s, also every layer that it never
        pushed; `docker save` sends everything, at some 200 MB/s.
        `share`: of the image's bytes, how many the nodes lack.
        """
        info = self.engine.info()
        if not (info.local and _keeps_a_name(image)):
            return False
        if info.containerd_store:
            return True
        present_layers = frozenset(image.layers) - missing_layers
        return share <= _LARGEST_SHARE and present_layers <= push_cache.diff_ids()

    def is_likely(self, image: Image, push_cache: PushCache) -> bool:
        """Whether an image surely has to move, and probably by a push.

        That is so if the engine has pushed some of its layers before, and never pushed others.
        """
        if not (self.engine.info().local and _keeps_a_name(image)):
            return False
        layers = set(image.layers)
        pushed_layers = layers & push_cache.diff_ids()
        return bool(pushed_layers) and pushed_layers != layers

    def push(self, ref: str, sink: Sink, push_cache: PushCache, progress: Progress) -> None:
        """Push one image into the sink. Its name for the push is removed whatever happens."""
        major_version, *_ = self.engine.info().version.split(".")
        plain = int(major_version) < _TLS_FIRST
        with self.endpoint.listening(sink, push_cache.port, plain=plain) as port:
            push_cache.port = port
            digest = sha256_of(ref)
            key = digest[:16]
            name = f"127.0.0.1:{port}/devenv/reload:{os.getpid()}-{key}"
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
        """Remove a name for a push, but never the image with it.

        If it has become the image's last name, it is first given to another image.
        """
        with contextlib.suppress(NotReachableError, DevenvError):
            image = self.engine.image(name)
            if image and not set(image.tags) - {name}:
                substitute = self._find_other_name()
                if not substitute:
                    return
                self.engine.tag(substitute, name)
            self.engine.untag(name)

    def _find_other_name(self) -> str:
        """Return a name in the engine that is not for a push, "" without such a name."""
        for name in self.engine.names():
            if not _NAME.fullmatch(name):
                return name
        return ""

    def forget_leftovers(self) -> None:
        """Remove the names for pushes that killed runs have left in the engine."""
        for name in self.engine.names():
            match = _NAME.fullmatch(name)
            if match and not self.host.alive(int(match[1])):
                self._untag(name)


def _keeps_a_name(image: Image) -> bool:
    """Whether the image has a name besides that for the push: with its last name it would go."""
    return bool(image.tags)
