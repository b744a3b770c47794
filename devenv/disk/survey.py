"""Surveys everything that takes space: the ledgers of host, engine and nodes, and their disks."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from devenv.base.counting import counted
from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.image_names import NamesById, ReturnNames
from devenv.base.measures import Times
from devenv.disk import accounts
from devenv.disk.accounts import Share
from devenv.disk.ballast import Ballast
from devenv.disk.budget import marks, strictest, taken
from devenv.disk.engine import EngineInventory, EngineStock, EngineThings, NamelessImages
from devenv.disk.forecast import full_in
from devenv.disk.history import History, Owner
from devenv.disk.host import HostStock
from devenv.disk.keep import KeepRules
from devenv.disk.ledgers import Disk, Ledger, Reasons, Survey
from devenv.disk.node import NodeInventory, NodeStock, NodeThings
from devenv.disk.plan import ENGINE, HOST, Thing
from devenv.disk.waste import Waste, sum_up_waste
from devenv.facts.df import node_space
from devenv.images.sources.stamp import is_of_a_push
from devenv.ports.containers import Node
from devenv.ports.engine import Stock
from devenv.ports.host import Space
from devenv.ports.names import Names
from devenv.session import Session

# Seconds for the engine to measure volumes and containers.
_MEASURE_TIMEOUT = 5.0
# Seconds. An engine remembers only its last events.
_NAMES_SINCE = 86400.0
_THREADS = 6
# Begins the device of a disk that only the engine and its nodes can see.
_IN_ENGINE = "engine "
_ENGINE_DISK_UNKNOWN = (
    "The engine is not on this machine, and no node runs that could tell how full its disk is."
)


@dataclass(frozen=True)
class _Inventories:
    """What the engine and the nodes said.

    `engine`: None if it did not answer. `unknown`: engine, cluster or node → why it did not answer.
    """

    engine: EngineInventory | None
    nodes: tuple[NodeInventory, ...]
    stopped_nodes: Names
    unknown: Reasons


@dataclass(frozen=True)
class _ImageMemory:
    """What devenv remembers of images.

    `returnable`: name under which nodes keep a superseded image → the name to return to. `uses`:
    last use by image ID or name, in the engine. `arrivals`: node → image ID → when it came.
    """

    nameless: NamelessImages
    returnable: ReturnNames
    uses: Times = field(default_factory=dict)
    arrivals: Mapping[str, Times] = field(default_factory=dict)


@dataclass(frozen=True)
class Surveyor:
    """Reads what everything keeps, and removes nothing.

    `workload_images`: images that workloads of the cluster name, None if the API server can't say.
    `current`: the names and the files of devenv's recipes. `profile_images`: the profile's images.
    `loaded`: images that devenv put into nodes. `nodes`: of the cluster, if it is devenv's own.
    `returnable`: name under which nodes keep a superseded image → the name to which
    `reload-image --undo` returns. `returnable_in_engine`: IDs of the engine's images that one can
    return to, in any cluster.
    """

    session: Session
    stock: Stock
    workload_images: Callable[[], frozenset[str] | None]
    current: Callable[[], tuple[frozenset[str], frozenset[Path]]]
    history: History
    profile_images: Callable[[], frozenset[str]]
    loaded: Callable[[], frozenset[str]]
    nodes: Callable[[], list[Node]]
    returnable: Callable[[], ReturnNames] = dict
    returnable_in_engine: Callable[[], frozenset[str]] = frozenset

    def look(self, *, plan: bool, caches: bool = False) -> Survey:
        """Return what every ledger keeps.

        `plan`: also the things that a plan needs. `caches`: let devenv's own caches go too.
        """
        current_time = self.session.clock.now()
        with ThreadPoolExecutor(_THREADS) as pool:
            own_folders = pool.submit(self._host.own)
            workload_images = pool.submit(self._workload_images, plan=plan)
            inventories = self._read_inventories(pool, tagged=plan, measure=not plan)
        host_ledger = self._host_ledger(own_folders.result())
        memory = self._learn_uses(inventories, self._learn_names(inventories))
        ledgers = (host_ledger, *self._ledgers(inventories, memory))
        survey = Survey(
            ledgers=ledgers,
            disks=self._disks(ledgers),
            things=(),
            unknown=_unknown(inventories, ledgers),
            down=inventories.stopped_nodes,
            waste=_waste(inventories, memory, current_time),
        )
        if not plan:
            return survey
        recipe_names, recipe_files = self.current()
        rules = self._keep_rules(workload_images.result(), recipe_names, inventories)
        host_things = self._host.things(
            recipe_files, current_time, rules.minimum_age, caches=caches
        )
        image_things = _image_things(inventories, memory, rules, recipe_names, current_time)
        return replace(survey, things=(*host_things, *image_things))

    def waste(self) -> tuple[Waste, ...]:
        """Return what pruning removes first, as far as the engine and the nodes say."""
        with ThreadPoolExecutor(_THREADS) as pool:
            inventories = self._read_inventories(pool, tagged=False, measure=False)
        former_names = self._learn_names(inventories)
        return _waste(inventories, former_names, self.session.clock.now())

    def space(self, disk: Disk, survey: Survey) -> Space:
        """Return what is free on a disk now. Raises DevenvError if it does not say."""
        ledger = next(each for each in survey.ledgers if each.device == disk.device)
        is_local_engine = ledger.name == ENGINE and not disk.device.startswith(_IN_ENGINE)
        if ledger.name == HOST or is_local_engine:
            return self.session.host.space(Path(ledger.path))
        for name in disk.names:
            if name in survey.node_names:
                return node_space(self.session.containers, name)
        return node_space(self.session.containers, "")

    @property
    def ballast(self) -> Ballast:
        """What is given back on a full disk."""
        return Ballast(self.session.host, self.session.containers)

    # Reading the engine and the nodes

    @property
    def _host(self) -> HostStock:
        return HostStock(self.session.host)

    @cached_property
    def _is_local(self) -> bool:
        return self.stock.info().local

    def _read_inventories(self, pool: Executor, *, tagged: bool, measure: bool) -> _Inventories:
        """Ask the engine and the running nodes side by side; who does not answer is unknown."""
        unknown: dict[str, str] = {}
        engine_result = pool.submit(self._read_engine, unknown, tagged=tagged, measure=measure)
        running_nodes, stopped_nodes = [], []
        for node in self._list_nodes(unknown):
            if node.status == "running":
                running_nodes.append(node.name)
            else:
                stopped_nodes.append(node.name)
        inventories = pool.map(lambda name: self._read_node(name, unknown), running_nodes)
        return _Inventories(
            nodes=tuple(filter(None, inventories)),
            engine=engine_result.result(),
            stopped_nodes=tuple(stopped_nodes),
            unknown=unknown,
        )

    def _read_engine(
        self, unknown: dict[str, str], *, tagged: bool, measure: bool
    ) -> EngineInventory | None:
        """Return what the engine has, None if it does not answer; then `unknown` has the reason."""
        engine_stock = EngineStock(self.stock, self.session.host.cache_dir() / "layers.json")
        try:
            self.stock.info()
            inventory = engine_stock.look(tagged=tagged)
            if not measure:
                return inventory
            # Last, since an engine of an older API measures everything, and only once at a time.
            return replace(inventory, measured=self.stock.measure(_MEASURE_TIMEOUT))
        except DevenvError as error:
            unknown[ENGINE] = error.in_one_line
            return None

    def _list_nodes(self, unknown: dict[str, str]) -> list[Node]:
        """Return the nodes of devenv's own cluster. Only those are read."""
        try:
            return self.nodes()
        except NotReachableError as error:
            unknown.setdefault(ENGINE, error.what)
        except DevenvError as error:
            unknown[self.session.cluster] = error.what
        return []

    def _read_node(self, name: str, unknown: dict[str, str]) -> NodeInventory | None:
        """Return what a node has, None if it does not answer; then `unknown` has the reason."""
        try:
            return NodeStock(self.session.containers).look(name)
        except DevenvError as error:
            unknown[name] = error.what
            return None

    # What devenv knows of images

    def _workload_images(self, *, plan: bool) -> frozenset[str] | None:
        """Return the images that workloads name. Only a plan needs them."""
        if not plan:
            return None
        return self.workload_images()

    def _learn_names(self, inventories: _Inventories) -> _ImageMemory:
        """Remember the names of images, and return what is known of those that have lost theirs."""
        returnable: ReturnNames = {}
        if inventories.nodes:
            returnable = self.returnable()
        if inventories.engine is None:
            return _ImageMemory(NamelessImages(), returnable)
        current_names = dict(inventories.engine.names_by_id())
        for inventory in inventories.nodes:
            current_names |= inventory.names_by_id()
        engine_id = self.stock.info().id
        former_names = self.history.former_names(engine_id, current_names, self._names_given())
        nameless = NamelessImages(self.returnable_in_engine(), former_names)
        return _ImageMemory(nameless, returnable)

    def _learn_uses(self, inventories: _Inventories, memory: _ImageMemory) -> _ImageMemory:
        """Remember the uses and arrivals of images, and add all remembered ones."""
        if inventories.engine is None:
            return memory
        engine_id = self.stock.info().id
        uses = dict(self.history.learn_uses(engine_id, self.stock.uses))
        engine_arrivals = self.history.learn_arrivals(engine_id, inventories.engine.image_ids)
        for image_id, time in engine_arrivals.items():
            uses[image_id] = max(time, uses.get(image_id, 0.0))
        node_arrivals = {
            inventory.node: self.history.learn_arrivals(inventory.node, inventory.image_ids)
            for inventory in inventories.nodes
        }
        return replace(memory, uses=uses, arrivals=node_arrivals)

    def _names_given(self) -> NamesById:
        """Return the names that images got lately, by ID, as far as the engine remembers."""
        since = self.session.clock.now() - _NAMES_SINCE
        with suppress(DevenvError):
            events = self.stock.names_given(since)
            return {image_id: name for image_id, name in events if not is_of_a_push(name)}
        return {}

    def _keep_rules(
        self,
        workload_images: frozenset[str] | None,
        recipe_names: frozenset[str],
        inventories: _Inventories,
    ) -> KeepRules:
        """Return what a plan must keep.

        What workloads name now is remembered for a time when the API server does not answer.
        """
        last_workload_images = self.loaded()
        if inventories.engine:
            engine_id = self.stock.info().id
            last_workload_images |= self.history.learn_workload_images(
                self.session.cluster, engine_id, workload_images
            )
        return KeepRules(
            workload_images=workload_images,
            needed_images=self.profile_images() | recipe_names,
            patterns=self.session.profile.protect,
            minimum_age=self.session.profile.keep_newer * 3600,
            last_workload_images=last_workload_images,
        )

    # Ledgers and disks

    def _ledgers(self, inventories: _Inventories, memory: _ImageMemory) -> Iterator[Ledger]:
        """Give the ledgers of the engine and of the nodes."""
        engine_ledger = self._engine_ledger(inventories, memory.nameless.former_names)
        if engine_ledger:
            yield engine_ledger
        for inventory in inventories.nodes:
            yield self._node_ledger(inventory, memory.returnable)

    def _host_ledger(self, folders: Sequence[tuple[str, int]]) -> Ledger:
        """Return the ledger of devenv's own folders. `folders`: paths with their bytes."""
        path = self.session.host.cache_dir()
        return Ledger(
            name=HOST,
            path=str(path),
            device=_device(path),
            space=self.session.host.space(path),
            budget=self.session.profile.budgets.host,
            shares=tuple(Share(_tilde(name), size, "devenv's own") for name, size in folders),
        )

    def _engine_ledger(self, inventories: _Inventories, former_names: NamesById) -> Ledger | None:
        """Return the ledger of the engine's disk, None if nothing can tell how full it is.

        The disk is one of this machine, or in a VM the one that the nodes are on.
        """
        if inventories.engine is None:
            return None
        root = self.stock.info().data_root
        shares = self._engine_shares(root, inventories.engine, inventories.nodes, former_names)
        reading = self._read_engine_disk(root, inventories.nodes)
        if reading is None:
            return None
        device, space = reading
        return Ledger(
            name=ENGINE,
            path=str(root),
            device=device,
            space=space,
            budget=self.session.profile.budgets.engine,
            shares=shares,
        )

    def _read_engine_disk(
        self, root: Path, nodes: Sequence[NodeInventory]
    ) -> tuple[str, Space] | None:
        """Return the device and the free space of the engine's disk."""
        if self._is_local and all(inventory.device == _device(root) for inventory in nodes):
            return _device(root), self.session.host.space(root)
        if nodes:
            return f"{_IN_ENGINE}{nodes[0].device}", nodes[0].space
        return None

    def _engine_shares(
        self,
        root: Path,
        inventory: EngineInventory,
        nodes: Sequence[NodeInventory],
        former_names: NamesById,
    ) -> tuple[Share, ...]:
        """Return the engine's shares, and remember the owners of volumes."""
        mounted = accounts.owners_by_volume(inventory.containers)
        engine_id = self.stock.info().id
        owners = self.history.learn_volume_owners(engine_id, inventory.volumes, mounted)
        node_of = self._nodes_of_ownerless_volumes(root, inventory, owners)
        surveyed = {node.node for node in nodes}
        return (
            *accounts.image_shares(inventory, former_names),
            *accounts.volume_shares(inventory, owners, node_of, surveyed),
            *accounts.container_shares(inventory),
            *self._log_shares(root, inventory),
        )

    def _nodes_of_ownerless_volumes(
        self, root: Path, inventory: EngineInventory, owners: Mapping[str, Owner]
    ) -> dict[str, str]:
        """Return the node that the content of each volume without an owner shows."""
        if not self._is_local:
            return {}
        folder = root / "volumes"
        ownerless_volumes = set(inventory.volumes) - owners.keys()
        return {volume: accounts.node_in(folder / volume) for volume in ownerless_volumes}

    def _log_shares(self, root: Path, inventory: EngineInventory) -> list[Share]:
        """Return the logs of the engine's containers; elsewhere nothing can measure them."""
        if not self._is_local:
            return [Share("containers' logs", None, "not on this machine")]
        return list(accounts.log_shares(root / "containers", inventory))

    def _node_ledger(self, inventory: NodeInventory, returnable: ReturnNames) -> Ledger:
        """Return a node's ledger. Packed and unpacked layers are counted apart."""
        image_count = f"{counted(len(inventory.images), 'image')}"
        shares = [
            Share("content (packed)", inventory.content),
            Share("snapshots (unpacked)", inventory.snapshots, image_count),
            Share("logs", inventory.logs),
        ]
        if inventory.ballast:
            shares.append(Share("ballast", inventory.ballast, "given back on a full disk"))
        shares += _returnable_shares(inventory, returnable)
        return Ledger(
            name=inventory.node,
            path="/var",
            device=self._node_device(inventory),
            space=inventory.space,
            budget=self.session.profile.budgets.node,
            shares=tuple(shares),
        )

    def _node_device(self, inventory: NodeInventory) -> str:
        """Return the host's own name of a node's device, if the host has that device."""
        if self._is_local and inventory.device == _device(self.stock.info().data_root):
            return inventory.device
        return f"{_IN_ENGINE}{inventory.device}"

    def _disks(self, ledgers: Sequence[Ledger]) -> tuple[Disk, ...]:
        """Return each disk once, and sample its use."""
        ledgers_by_device: dict[str, list[Ledger]] = {}
        for ledger in ledgers:
            ledgers_by_device.setdefault(ledger.device, []).append(ledger)
        groups = ledgers_by_device.items()
        return tuple(self._disk(device, group) for device, group in groups)

    def _disk(self, device: str, ledgers: Sequence[Ledger]) -> Disk:
        """Sample a disk's use, and return it with the strictest marks of its ledgers."""
        space = ledgers[0].space
        self.history.sample(device, taken(space), space.total)
        samples = self.history.samples(device)
        return Disk(
            device=device,
            names=tuple(ledger.name for ledger in ledgers),
            space=space,
            marks=strictest(marks(ledger.budget, space) for ledger in ledgers),
            full_in=full_in(samples, space.total, self.session.clock.now()),
        )


def _unknown(inventories: _Inventories, ledgers: Sequence[Ledger]) -> Reasons:
    """Return which ledgers could not be read, and why."""
    has_engine_ledger = any(ledger.name == ENGINE for ledger in ledgers)
    unknown = dict(inventories.unknown)
    if inventories.engine and not has_engine_ledger:
        unknown[ENGINE] = _ENGINE_DISK_UNKNOWN
    return unknown


def _returnable_shares(inventory: NodeInventory, returnable: ReturnNames) -> Iterator[Share]:
    """Give the images to which one can return. Their layers are among the snapshots already."""
    for image in inventory.images:
        for name in image.names:
            if name in returnable:
                yield Share(
                    f"image of {returnable[name]} to return to",
                    sum(image.layers.values()),
                    "of these; reload-image --undo returns to it",
                    included=True,
                )


def _image_things(
    inventories: _Inventories,
    memory: _ImageMemory,
    rules: KeepRules,
    recipe_names: frozenset[str],
    current_time: float,
) -> list[Thing]:
    """Return what the engine and the nodes keep."""
    things = []
    nameless = memory.nameless
    if inventories.engine:
        things += EngineThings(
            inventories.engine, rules, memory.uses, recipe_names, current_time, nameless
        ).list_all()
    for inventory in inventories.nodes:
        things += NodeThings(
            inventory,
            rules,
            memory.arrivals.get(inventory.node, {}),
            current_time,
            memory.returnable,
            nameless.former_names,
        ).list_all()
    return things


def _waste(
    inventories: _Inventories, memory: _ImageMemory, current_time: float
) -> tuple[Waste, ...]:
    """Return the waste in the engine and in nodes. These rules keep everything else."""
    rules = KeepRules(None, frozenset(), minimum_age=math.inf)
    return sum_up_waste(_image_things(inventories, memory, rules, frozenset(), current_time))


def _device(path: Path) -> str:
    return str(path.stat().st_dev)


def _tilde(path: str) -> str:
    home = str(Path.home())
    if path.startswith(f"{home}/"):
        return f"~{path.removeprefix(home)}"
    return path
