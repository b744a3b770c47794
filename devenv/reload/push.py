"""The fast way: the engine pushes, and asks blob by blob what is missing.

The engine knows a layer by the digest of what it sends, a node by its chain. What the one is to the other is learned as
bytes go past, and remembered. Blobs that no node lacks are only looked at.
"""

import contextlib
import hashlib
import json
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from devenv.errors import DevenvError
from devenv.ports import Endpoint, Engine, Host
from devenv.reload.layout import entry, finish

_IN_MEMORY = 8 << 20  # bytes of a blob, before a temporary file is made
_SMALL = 4 << 20  # bytes: a config is smaller
_CHUNK = 1 << 20
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


@dataclass
class Known:
    """What was learned of an engine: the digests under which it sends layers, by diff ID; and the port that it pushed to.

    The engine remembers to which repository it pushed what, so the port should stay the same.
    """

    path: Path
    digests: dict[str, dict[str, Any]] = field(default_factory=dict)  # digest → {"diff": …, "size": …}
    port: int = 0

    @classmethod
    def read(cls, host: Host, engine: str) -> "Known":
        """Return what is known; nothing where the file is not there or broken."""
        path = host.state_dir() / f"layers-{hashlib.sha256(engine.encode()).hexdigest()[:12]}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(path.read_text())
            return cls(path, dict(content["digests"]), int(content["port"]))
        return cls(path)

    def write(self) -> None:
        """Keep it, whole or not at all; what can't be kept is learned again."""
        new = self.path.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps({"digests": self.digests, "port": self.port}))
            new.replace(self.path)

    def diffs(self) -> set[str]:
        """Return the layers that the engine has pushed before."""
        return {str(found["diff"]) for found in self.digests.values()}


class _Blob:
    """A blob that is hashed as it comes: as it is, and unpacked."""

    def __init__(self) -> None:
        self.size = 0
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by whoever takes it
        self._digest, self._diff = hashlib.sha256(), hashlib.sha256()
        self._unpack: Any = None

    def write(self, chunk: bytes) -> None:
        if self.size == 0 and chunk.startswith(b"\x1f\x8b"):
            self._unpack = zlib.decompressobj(wbits=31)
        self.size += len(chunk)
        self._digest.update(chunk)
        self._diff.update(self._unpack.decompress(chunk) if self._unpack else chunk)
        self.file.write(chunk)

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    @property
    def diff(self) -> str:
        return f"sha256:{self._diff.hexdigest()}"


class Sink:
    """Takes one image's blobs. `wanted`: diff IDs that some node lacks; `layers`: all diff IDs of the image."""

    def __init__(self, known: Known, layers: AbstractSet[str], wanted: AbstractSet[str]) -> None:
        self._known, self._layers, self._wanted = known, layers, wanted
        self._guard = threading.Lock()
        self.kept: dict[str, _Blob] = {}
        self.small: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.last = ""

    def has(self, digest: str) -> int:
        """Return the size of a blob that need not be sent, else -1: one that was just sent, or a layer that no node lacks."""
        with self._guard:
            if digest in self.kept:
                return self.kept[digest].size
            if digest in self.small:
                return len(self.small[digest])
            found = self._known.digests.get(digest)
        return int(found["size"]) if found and found["diff"] in self._layers - self._wanted else -1

    def begin(self) -> _Blob:
        """Take a blob."""
        return _Blob()

    def end(self, blob: _Blob, digest: str) -> bool:
        """Keep a blob if it is what it says, and wanted."""
        if digest != blob.digest:
            blob.file.close()
            return False
        blob.file.seek(0)
        with self._guard:
            if blob.diff in self._layers:
                self._known.digests[digest] = {"diff": blob.diff, "size": blob.size}
            elif blob.size <= _SMALL:
                self.small[digest] = blob.file.read()
            if blob.diff in self._wanted:
                self.kept[digest] = blob
            else:
                blob.file.close()
        return True

    def manifest(self, body: bytes) -> str:
        """Take a manifest, or an index of them."""
        try:
            content = json.loads(body)
        except ValueError:
            return ""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        with self._guard:
            self.manifests[digest] = body
            if "layers" in content and len(content["layers"]) == len(self._count(content)):
                self.last = digest
        return digest

    @staticmethod
    def _count(content: Mapping[str, Any]) -> list[Any]:
        """Return its layers; an attestation's are none of an image's."""
        return [x for x in content["layers"] if "in-toto" not in str(x.get("mediaType"))]

    @property
    def sent(self) -> int:
        """Bytes of layers that came and were wanted."""
        return sum(b.size for b in self.kept.values())

    def layout(self, name: str) -> Iterator[bytes]:
        """Yield the image as an OCI layout with the blobs that came. Raises DevenvError where its manifest did not."""
        if not self.last:
            raise DevenvError("The engine pushed no manifest.", next_step="Try again.")
        manifest = self.manifests[self.last]
        config = str(json.loads(manifest)["config"]["digest"])
        if config not in self.small:
            raise DevenvError("The engine pushed no config.", next_step="Try again.")
        for digest, blob in self.kept.items():
            blob.file.seek(0)
            yield from entry(digest, blob.size, iter(lambda file=blob.file: file.read(_CHUNK), b""))  # type: ignore[misc]
        yield from finish(name, self.small[config], manifest)

    @property
    def config(self) -> str:
        """The digest of the image's config."""
        return str(json.loads(self.manifests[self.last])["config"]["digest"])

    def close(self) -> None:
        """Give up what was kept."""
        for blob in self.kept.values():
            blob.file.close()


@dataclass(frozen=True)
class Pusher:
    """Has the engine push to this machine."""

    engine: Engine
    endpoint: Endpoint
    host: Host

    def usable(self, layers: AbstractSet[str], wanted: AbstractSet[str], known: Known) -> bool:
        """Whether a push sends little: the engine must reach this machine's loopback, and know its layers' digests.

        The classic store packs every layer that it never pushed, which takes longer than sending all of them.
        """
        info = self.engine.info()
        return info.local and (info.containerd_store or layers - wanted <= known.diffs())

    @contextlib.contextmanager
    def pushed(self, ref: str, sink: Sink, known: Known, progress: Any) -> Iterator[Sink]:
        """Push one image into the sink; its name for this is removed whatever happens."""
        with self.endpoint.listening(sink, known.port) as port:
            known.port = port
            name = f"127.0.0.1:{port}/devenv/reload:{hashlib.sha256(ref.encode()).hexdigest()[:16]}"
            self.engine.tag(ref, name)
            try:
                self.engine.push(name, progress)
            finally:
                self.engine.untag(name)
                known.write()
        try:
            yield sink
        finally:
            sink.close()
