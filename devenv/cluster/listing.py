"""`list`: all of devenv's clusters, whether they run or not."""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from devenv.base.errors import DevenvError
from devenv.install.context import is_running
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine, Measured, Stock
from devenv.ports.host import Host
from devenv.ports.names import Names
from devenv.state.ports import recorded_port
from devenv.state.record import Record, Records, own_nodes

# Seconds for the sizes. An older engine measures all that it has, which may take minutes.
_MEASURE_SECONDS = 3.0
# What Docker calls a node whose processes do not run.
_ENDED = {"exited", "dead", "created"}


class State(StrEnum):
    """How a cluster is, as users and scripts read it."""

    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    PARTLY_RUNNING = "partly running"
    BEING_CREATED = "being created"
    UNFINISHED = "unfinished"
    GONE = "gone"
    ON_ANOTHER_ENGINE = "on another engine"
    ANOTHER_TOOLS = "another tool's"
    RECORD_BROKEN = "record broken"


@dataclass(frozen=True)
class ListedCluster:
    """One cluster. What is unknown is "", 0 or None."""

    name: str
    state: State
    profile: str = ""
    # Of AIBrix.
    version: str = ""
    url: str = ""
    # Seconds since 1970.
    created: float = 0.0
    # Seconds.
    age: float = 0.0
    # Bytes of its nodes' own layers and volumes; the node image is not part of it.
    size: int | None = None
    # The process that is changing the cluster right now.
    changing: str = ""
    # Why devenv can't use it.
    problem: str = ""


@dataclass(frozen=True)
class Listing:
    """Lists clusters. It takes no lock, changes nothing, and asks no API server.

    `profile_url` gives the URL of a cluster's gateway by the cluster's profile.
    """

    host: Host
    clock: Clock
    engine: Engine
    stock: Stock
    containers: Containers
    profile_url: Callable[[str], str]

    def read(self) -> list[ListedCluster]:
        """Return the clusters by name. Raises NotReachableError if the engine does not answer."""
        names = self._records.names()
        engine_id = self.engine.info().id
        if not names:
            return []
        with ThreadPoolExecutor(2) as pool:
            measuring = pool.submit(self.stock.measure, _MEASURE_SECONDS)
            volumes = pool.submit(self._volumes)
            sizes = _Sizes(volumes.result(), measuring.result())
        return [self._cluster(name, engine_id, sizes) for name in names]

    @property
    def _records(self) -> Records:
        return Records(self.host)

    def _volumes(self) -> dict[str, Names]:
        """Return the volumes of each container, by the container's name."""
        return {each.name: each.volumes for each in self.stock.listed_containers()}

    def _cluster(self, name: str, engine_id: str, sizes: "_Sizes") -> ListedCluster:
        try:
            record = self._records.read(name)
        except DevenvError as error:
            return ListedCluster(name, State.RECORD_BROKEN, problem=str(error))
        # Another process may have removed it since its name was read.
        if record is None:
            return ListedCluster(name, State.GONE)
        return self._recorded_cluster(record, engine_id, sizes)

    def _recorded_cluster(self, record: Record, engine_id: str, sizes: "_Sizes") -> ListedCluster:
        state, problem, nodes = State.ON_ANOTHER_ENGINE, "", list[Node]()
        holder = self.host.lock_holder(f"cluster-{record.cluster}")
        if record.engine in {"", engine_id}:
            try:
                nodes = own_nodes(self._records, self.engine, self.containers, record.cluster)
                state = _state(record, nodes, is_changing=holder is not None)
            except DevenvError as error:
                state, problem = State.ANOTHER_TOOLS, str(error)
        created = min((node.created for node in nodes), default=record.began)
        return ListedCluster(
            name=record.cluster,
            state=state,
            profile=record.profile,
            version=record.version,
            url=self._url(record),
            created=created,
            age=max(0.0, self.clock.now() - created) if created else 0.0,
            size=sizes.of(nodes),
            changing=str(holder or ""),
            problem=problem,
        )

    def _url(self, record: Record) -> str:
        """Return the URL of the gateway. Another tool's cluster has no config of devenv's."""
        port = recorded_port(record)
        if port:
            return f"http://localhost:{port}"
        return self.profile_url(record.cluster)


@dataclass(frozen=True)
class _Sizes:
    """What the engine measured, None if it did not answer in time."""

    # Container → its volumes.
    volumes: dict[str, Names]
    measured: Measured | None

    def of(self, nodes: Collection[Node]) -> int | None:
        """Return the bytes of all these nodes; None without nodes, or if a size is not known."""
        if self.measured is None or not nodes:
            return None
        sizes: list[int | None] = []
        for node in nodes:
            sizes.append(self.measured.containers.get(node.name))
            sizes += map(self.measured.volumes.get, self.volumes.get(node.name, ()))
        known_sizes = [size for size in sizes if size is not None]
        return sum(known_sizes) if len(known_sizes) == len(sizes) else None


def _state(record: Record, nodes: Sequence[Node], *, is_changing: bool) -> State:
    """Return the state that follows from a cluster's record and its nodes."""
    if not record.made and not record.adopted:
        return State.BEING_CREATED if is_changing else State.UNFINISHED
    if not nodes:
        return State.GONE
    if all(map(is_running, nodes)):
        return State.RUNNING
    statuses = {node.status for node in nodes}
    if statuses <= _ENDED:
        return State.STOPPED
    if statuses == {"paused"}:
        return State.PAUSED
    return State.PARTLY_RUNNING
