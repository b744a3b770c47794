"""What devenv needs of the world, as protocols. devenv/adapters/ has the real ones, tests/fakes/ the pretended ones."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

# One Kubernetes object as JSON has it.
Manifest = dict[str, Any]
OnLine = Callable[[str], None]


@dataclass(frozen=True)
class EngineInfo:
    """The engine as it describes itself. `data_root` is a path where the engine runs, which may be inside a VM."""

    version: str
    # As Go spells it: amd64, arm64.
    architecture: str
    data_root: Path
    address: str
    id: str = ""
    cpus: int = 0
    # Bytes.
    memory: int = 0
    containerd_store: bool = (
        # Whether images are kept by containerd, where an ID is a manifest's digest.
        False
    )
    # Whether it says so itself.
    in_vm: bool = False
    # What names its address, such as DOCKER_HOST; "" where it is the usual one.
    chosen: str = ""

    @property
    def local(self) -> bool:
        """Whether its data root may be a path of this machine."""
        return self.address.startswith("unix://") and not self.in_vm and self.data_root.exists()


@dataclass(frozen=True)
class Image:
    """An image in the engine. `id` is the digest of its config on the classic store, of its manifest on containerd's."""

    id: str
    architecture: str
    # Bytes.
    size: int
    labels: Mapping[str, str]
    tags: tuple[str, ...] = ()
    # Diff IDs, from the lowest up.
    layers: tuple[str, ...] = ()
    # When it last got a name, in seconds since 1970; 0 where it never did.
    tagged: float = 0.0
    # NAME@DIGEST, as registries have it.
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListedImage:
    """An image as the engine lists it. `names` are its tags and digests, `created` is in seconds since 1970."""

    id: str
    names: tuple[str, ...]
    # Bytes; on containerd's store what it takes packed and unpacked.
    size: int
    created: float


@dataclass(frozen=True)
class ListedContainer:
    """Any container, in any state. `image` is the ID of its image, `volumes` are names."""

    id: str
    name: str
    image: str
    image_name: str
    status: str
    created: float
    volumes: tuple[str, ...] = ()
    # kind's, where it is a node.
    cluster: str = ""


@dataclass(frozen=True)
class CacheRecord:
    """One record of the engine's build cache. `used` is in seconds since 1970."""

    id: str
    # Bytes.
    size: int
    in_use: bool
    shared: bool
    used: float


@dataclass(frozen=True)
class Measured:
    """Bytes, as the engine counts them: volumes by name, what containers have written by name."""

    volumes: Mapping[str, int]
    containers: Mapping[str, int]


@dataclass(frozen=True)
class Node:
    """A container that kind made. `status` is Docker's word: running, exited, paused, created."""

    name: str
    id: str
    status: str
    cluster: str
    # Seconds since 1970.
    created: int = 0
    # (in the node, on the host), only while it runs.
    ports: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class ContainerState:
    """What is known of one container besides. Times are in seconds since 1970, 0 where there is none."""

    address: str = ""
    started: float = 0
    ended: float = 0


@dataclass(frozen=True)
class Holder:
    """The holder of a lock. `seconds`: for how long, 0 if unknown; `frozen`: it is stopped, or hangs."""

    name: str
    seconds: float = 0.0
    frozen: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Completed:
    """A process that has ended."""

    code: int
    output: str


@dataclass(frozen=True)
class Space:
    """What an ordinary user has left on a filesystem, in bytes and inodes."""

    free: int
    total: int
    free_inodes: int
    total_inodes: int
    # Bytes that are free for root alone.
    reserved: int = 0


@dataclass(frozen=True)
class HttpRequest:
    """A request to the gateway."""

    port: int
    path: str
    method: str = "POST"
    # One may be a secret.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    # Seconds.
    timeout: float = 10.0


@dataclass(frozen=True)
class HttpAnswer:
    """What came back. `status` is 0 where no answer came; then `error` says why. Header names are in lower case.

    `sent` is false where the request could not even be sent.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0.0
    error: str = ""
    sent: bool = True


class Blob(Protocol):
    """A blob on its way. `size` in bytes, so far."""

    size: int

    def write(self, chunk: bytes) -> None: ...


class BlobSink(Protocol):
    """Whoever takes what an engine pushes."""

    def has(
        self,
        digest: str,
        # The blob's size if it need not be sent, else -1; DevenvError: push nothing.
    ) -> int: ...
    def begin(self) -> Blob: ...
    # Whether it has that digest.
    def end(self, blob: Any, digest: str) -> bool: ...
    # Its digest, "" where it is none.
    def manifest(self, body: bytes) -> str: ...


class Endpoint(Protocol):
    """Where an engine can push to, on this machine, while it is listened to."""

    def listening(
        self, sink: BlobSink, port: int, *, plain: bool = False
    ) -> AbstractContextManager[int]: ...


class Engine(Protocol):
    """Images, in a Docker engine. Every call raises NotReachableError where the engine does not answer."""

    def info(self) -> EngineInfo: ...
    def image(self, ref: str) -> Image | None: ...
    def history(
        self,
        ref: str,
        # Bytes that each step of its making added, from the first on.
    ) -> list[int]: ...
    def images(self, label: str) -> list[Image]: ...
    def names(self) -> list[str]: ...
    def build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Mapping[str, str],
        log: OnLine,
    ) -> None: ...
    def import_rootfs(self, tar: Path, tag: str, labels: Mapping[str, str]) -> None: ...
    def pull(self, ref: str, platform: str, progress: Callable[[int, int], None]) -> None: ...
    def load(self, archive: Path, progress: Callable[[int, int], None]) -> None: ...
    def untag(self, ref: str) -> None: ...
    def tag(self, ref: str, name: str) -> None: ...
    def push(self, name: str, progress: Callable[[int, int], None]) -> None: ...
    def save(self, refs: Sequence[str], platform: str) -> Iterator[bytes]: ...


class Stock(Protocol):
    """What lies in an engine, whose ever it is. Every call raises NotReachableError where the engine does not answer."""

    def info(self) -> EngineInfo: ...
    def image(self, ref: str) -> Image | None: ...
    def steps(
        self, ref: str
    ) -> list[
        tuple[int, str]
        # Bytes and command of each step of its making, from the first on.
    ]: ...
    def listed_images(self) -> list[ListedImage]: ...
    def listed_containers(self) -> list[ListedContainer]: ...
    # (image's ID, a name that it got since then)
    def names_given(self, since: float) -> list[tuple[str, str]]: ...
    def volumes(self) -> list[str]: ...
    # Walks volumes and containers; None where that takes longer.
    def measure(self, seconds: float) -> Measured | None: ...
    def build_cache(
        self,
        seconds: float,
        # None where it takes longer.
    ) -> list[CacheRecord] | None: ...
    # Seconds.
    def trim_build_cache(self, unused_for: float) -> None: ...
    def uses(
        self,
        since: float,
        # When an image was used since, and its name or ID.
    ) -> list[tuple[float, str]]: ...
    def untag(self, ref: str) -> None: ...


class Containers(Protocol):
    """The containers that are devenv's own: kind's nodes, and a helper in which a node image is made."""

    def nodes(self, cluster: str) -> list[Node]: ...
    def state(self, container: str) -> ContainerState: ...
    def start(self, container: str) -> None: ...
    def stop(self, container: str) -> None: ...
    def exec(
        self, container: str, argv: Sequence[str], stdin: Iterable[bytes] | None = None
    ) -> Completed: ...
    def run_helper(self, image: str, name: str, argv: Sequence[str]) -> str: ...
    def exec_detached(self, container: str, argv: Sequence[str]) -> None: ...
    def commit(self, container: str, tag: str, changes: Sequence[str]) -> None: ...
    def remove_helper(self, name: str) -> None: ...


class Kind(Protocol):
    """kind's own program."""

    def version(self) -> str | None: ...
    def create(self, name: str, config: str, image: str, log: OnLine) -> None: ...
    def delete(self, name: str, log: OnLine) -> None: ...
    def export_kubeconfig(self, name: str, log: OnLine) -> None: ...


class Kube(Protocol):
    """One cluster's API server, addressed by its own context. Raises NotReachableError where it does not answer."""

    def ready(self) -> bool: ...
    # One that leads here and nowhere else, as JSON.
    def kubeconfig(self) -> str: ...
    def server_port(self) -> int: ...
    def forget(self) -> None: ...
    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None: ...
    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]: ...
    def each(self, api_version: str, kind: str) -> Iterator[Manifest]: ...
    def metadata(
        self,
        api_version: str,
        kind: str,
        # Objects with nothing but their metadata.
    ) -> list[Manifest]: ...
    def node_stats(self, name: str) -> Manifest: ...
    def apply(self, manifest: Manifest) -> None: ...
    def dry_run(
        self,
        manifest: Manifest,
        # Why it would be refused, "" where it would not.
    ) -> str: ...
    def replace(self, manifest: Manifest) -> None: ...
    def merge(self, manifest: Manifest) -> None: ...
    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None: ...
    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        since_seconds: int,
        tail: int,
        *,
        timestamps: bool = False,
        previous: bool = False,
        head: int = 0,
    ) -> str: ...
    def follow(
        self, namespace: str, pod: str, container: str, since_seconds: int
    ) -> Iterator[str]: ...


class Schemas(Protocol):
    """The shapes of Kubernetes' own kinds."""

    def problems(self, manifest: Manifest) -> list[str]: ...


@dataclass(frozen=True)
class ForwardTarget:
    """Where a port of this machine's loopback leads: to a Service's pod, or to another port of it."""

    port: int
    namespace: str
    # "" for this machine.
    service: str
    target: int


class Forwarding(Protocol):
    """Ports of this machine's loopback that lead elsewhere, for as long as the context lasts.

    `opened` raises DevenvError if it can't listen on a port; then it listens on none.
    """

    def opened(self, targets: Sequence[ForwardTarget]) -> AbstractContextManager[None]: ...


class Envoy(Protocol):
    """The admin interface of an Envoy in the cluster. Raises NotReachableError where it does not answer."""

    def read(self, namespace: str, pod: str, paths: Iterable[str]) -> dict[str, str]: ...


class Gateway(Protocol):
    """The gateway as its clients see it."""

    def send(self, request: HttpRequest) -> HttpAnswer: ...


class Web(Protocol):
    """What can be had by its address."""

    def fetch(self, url: str, target: Path, progress: Callable[[int, int], None]) -> None: ...


class Host(Protocol):
    """This machine."""

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: OnLine | None = None,
        timeout: float = 60,
    ) -> Completed: ...
    def stop_children(self) -> None: ...
    def spawn(self, argv: Sequence[str], log: Path) -> None: ...
    def forget_dead(self, pidfile: Path, program: str) -> None: ...
    def alive(self, pid: int) -> bool: ...
    def which(self, program: str) -> Path | None: ...
    def is_root(self) -> bool: ...
    def withholds_capabilities(self) -> bool: ...
    def python(self) -> Path: ...
    def space(self, path: Path) -> Space: ...
    def memory(self) -> int: ...
    def cores(self) -> int: ...
    def port_owner(self, port: int) -> str | None: ...
    def cache_dir(self) -> Path: ...
    def state_dir(self) -> Path: ...
    def config_dir(self) -> Path: ...
    def lock(self, name: str) -> AbstractContextManager[None]: ...
    def lock_holder(self, name: str) -> Holder | None: ...
    def inotify(self) -> tuple[int, int] | None: ...


class Clock(Protocol):
    """Time, so that tests need not wait for it."""

    def monotonic(self) -> float: ...
    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class Reporter(Protocol):
    """Whoever shows what is going on."""

    def begin(self, step: str) -> None: ...
    def update(self, step: str, done: float, total: float, unit: str) -> None: ...
    def detail(self, step: str, text: str) -> None: ...
    def end(self, step: str, note: str = "") -> None: ...
    def fail(self, step: str) -> None: ...
    def say(self, text: str) -> None: ...
