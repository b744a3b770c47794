"""Everything that takes room: three ledgers, host, engine and nodes, on the disks that they really share."""

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from devenv.disk import accounts, engine, node
from devenv.disk.accounts import Share
from devenv.disk.ballast import Ballast
from devenv.disk.budget import Marks, marks, strictest, taken
from devenv.disk.engine import EngineStock, Past, Stored
from devenv.disk.forecast import full_in
from devenv.disk.history import History
from devenv.disk.host import HostStock
from devenv.disk.keep import Keep
from devenv.disk.node import Kept, NodeStock
from devenv.disk.plan import ENGINE, HOST, Thing
from devenv.disk.waste import Waste, waste
from devenv.errors import DevenvError, NotReachableError
from devenv.facts.df import node_space
from devenv.images.stamp import is_of_a_push
from devenv.ports import Clock, Containers, Host, Node, Space, Stock
from devenv.profiles.model import Budget, Profile

# Seconds for the engine to measure volumes and containers.
_MEASURE = 5.0
# Seconds: an engine remembers only its last events.
_NAMES_SINCE = 86400.0


@dataclass(frozen=True)
class Ledger:
    """What somebody keeps on one disk. `name` is host, engine, or a node's."""

    name: str
    path: str
    device: str
    space: Space
    budget: Budget
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Disk:
    """A file system, once, with all who keep something on it. `full_in` in seconds, None where nothing can be said."""

    device: str
    names: tuple[str, ...]
    space: Space
    marks: Marks
    full_in: float | None = None

    @property
    def over(self) -> bool:
        """Whether it is above its high mark."""
        return self.marks.over(self.space)

    @property
    def goal(self) -> int:
        """Bytes that must go, so that it is at its low mark; 0 below its high one."""
        return self.goal_for(0)

    def goal_for(self, incoming: int) -> int:
        """Return the bytes that must go before `incoming` are written.

        Where nothing is left for users, nobody knows how much of root's part is taken too.
        """
        if not self.marks.over(self.space, incoming):
            return 0
        hidden = max(0, self.space.total // 20 - self.space.reserved) if self.space.free == 0 else 0
        return max(0, taken(self.space) + incoming - self.marks.low) + hidden


@dataclass(frozen=True)
class Survey:
    """What was seen. `unknown`: ledger → why it could not be looked at."""

    ledgers: tuple[Ledger, ...]
    disks: tuple[Disk, ...]
    things: tuple[Thing, ...]
    unknown: Mapping[str, str] = field(default_factory=dict)
    # Nodes that do not run.
    down: tuple[str, ...] = ()
    # What goes first, and whose it was.
    waste: tuple[Waste, ...] = ()

    def on(self, disk: Disk) -> list[Thing]:
        """Return what lies on the disk."""
        return [t for t in self.things if t.place in disk.names]


@dataclass(frozen=True)
class Surveyor:
    """Looks at everything, and changes nothing.

    `named`: images that workloads of the cluster name, None where the API server can't say; `current`: the names and files
    of devenv's recipes; `wanted`: the profile's images; `loaded`: those that devenv put into nodes; `nodes`: the cluster's,
    where it is devenv's own.
    """

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    stock: Stock
    containers: Containers
    named: Callable[[], frozenset[str] | None]
    current: Callable[[], tuple[frozenset[str], frozenset[Path]]]
    history: History
    wanted: Callable[[], frozenset[str]]
    loaded: Callable[[], frozenset[str]]
    nodes: Callable[[], list[Node]]
    # Name under which nodes keep a superseded image → the image's own name, of those that one can return to.
    returnable: Callable[[], Mapping[str, str]] = dict
    # IDs of the engine's images that one can return to, in any cluster.
    returnable_in_engine: Callable[[], frozenset[str]] = frozenset

    def look(self, *, plan: bool, caches: bool = False) -> Survey:
        """Return what is there. `plan`: also what a plan must know of it; `caches`: devenv's own may go too."""
        unknown: dict[str, str] = {}
        current_time, newer = self.clock.now(), self.profile.keep_newer * 3600
        with ThreadPoolExecutor(6) as pool:
            engines = pool.submit(self._engine, unknown, tagged=plan, measure=not plan)
            own_folders = pool.submit(self._host.own)
            named_images = pool.submit(self.named if plan else lambda: None)
            nodes = self._nodes(unknown)
            down = tuple(n.name for n in nodes if n.status != "running")
            inventories = [
                inventory
                for inventory in pool.map(
                    lambda n: self._node(n, unknown), [n for n in nodes if n.name not in down]
                )
                if inventory
            ]
            stored = engines.result()
        ledgers = [self._host_ledger(own_folders.result())]
        uses = self._uses(stored, inventories) if stored else {}
        past = self._past(stored, inventories)
        if stored:
            ledgers += self._engine_ledger(stored, inventories, past.former_names)
            if not any(x.name == ENGINE for x in ledgers):
                unknown[ENGINE] = (
                    "It is not on this machine, and no node runs that could tell how full its disk is."
                )
        ledgers += [self._node_ledger(inventory) for inventory in inventories]
        disks = self._disks(ledgers)
        returnable = self.returnable() if inventories else {}
        waste = _waste(stored, inventories, returnable, past, current_time)
        if not plan:
            return Survey(tuple(ledgers), disks, (), unknown, down, waste)
        names, files = self.current()
        previous_names = self._named_before(named_images.result(), stored)
        keep = Keep(
            named_images.result(),
            self.wanted() | names,
            self.profile.protect,
            newer,
            previous_names,
        )
        things = self._host.things(files, current_time, newer, caches=caches)
        if stored:
            things += engine.things(stored, keep, uses, names, current_time, past)
        for inventory in inventories:
            things += node.things(
                inventory, keep, uses, current_time, returnable, past.former_names
            )
        return Survey(tuple(ledgers), disks, tuple(things), unknown, down, waste)

    def waste(self) -> tuple[Waste, ...]:
        """Return what goes first, and whose it was, as far as the engine and the nodes say."""
        unknown: dict[str, str] = {}
        running = [n for n in self._nodes(unknown) if n.status == "running"]
        with ThreadPoolExecutor(6) as pool:
            engines = pool.submit(self._engine, unknown, tagged=False, measure=False)
            inventories = [
                inventory
                for inventory in pool.map(lambda n: self._node(n, unknown), running)
                if inventory
            ]
            stored = engines.result()
        returnable = self.returnable() if inventories else {}
        return _waste(
            stored, inventories, returnable, self._past(stored, inventories), self.clock.now()
        )

    def _past(self, stored: Stored | None, inventories: Sequence[Kept]) -> Past:
        """Return what is known of images that have lost their names; remember the names of others."""
        if stored is None:
            return Past()
        given: dict[str, str] = {}
        with suppress(DevenvError):
            pairs = self.stock.names_given(self.clock.now() - _NAMES_SINCE)
            given = {image: name for image, name in pairs if not is_of_a_push(name)}
        current_names = engine.names_by_id(stored)
        for inventory in inventories:
            current_names |= node.names_by_id(inventory)
        former_names = self.history.former_names(self.stock.info().id, current_names, given)
        return Past(self.returnable_in_engine(), former_names)

    def space(self, disk: Disk, survey: Survey) -> Space:
        """Return what is free on a disk now. Raises DevenvError where it does not say."""
        ledger = next(x for x in survey.ledgers if x.device == disk.device)
        if ledger.name == HOST or (
            ledger.name == ENGINE and not ledger.device.startswith("engine ")
        ):
            return self.host.space(Path(ledger.path))
        inside = next(
            (
                x.name
                for x in survey.ledgers
                if x.device == disk.device and x.name not in {HOST, ENGINE}
            ),
            "",
        )
        return node_space(self.containers, inside)

    # One ledger each

    @property
    def _host(self) -> HostStock:
        return HostStock(self.host)

    @cached_property
    def _local(self) -> bool:
        return self.stock.info().local

    @property
    def engine_stock(self) -> EngineStock:
        """What lies in the engine."""
        return EngineStock(self.stock, self.host.cache_dir() / "layers.json")

    def _engine(self, unknown: dict[str, str], *, tagged: bool, measure: bool) -> Stored | None:
        try:
            self.stock.info()
            stored = self.engine_stock.look(tagged=tagged)
            if not measure:
                return stored
            # After the look: an engine of an older API measures all of it, and only once at a time.
            return replace(stored, measured=self.stock.measure(_MEASURE))
        except DevenvError as error:
            unknown[ENGINE] = error.in_one_line
            return None

    def _nodes(self, unknown: dict[str, str]) -> list[Node]:
        """The nodes of devenv's own cluster: others' are not looked into."""
        try:
            return self.nodes()
        except NotReachableError as error:
            unknown.setdefault(ENGINE, error.what)
        except DevenvError as error:
            unknown[self.cluster] = error.what
        return []

    def _node(self, cluster_node: Node, unknown: dict[str, str]) -> Kept | None:
        try:
            return NodeStock(self.containers).look(cluster_node.name)
        except DevenvError as error:
            unknown[cluster_node.name] = error.what
            return None

    def _uses(self, stored: Stored, inventories: list[Kept]) -> dict[str, float]:
        """Return when images were last used or came: by ID or name in the engine, by node and ID in the nodes."""
        engine_id = self.stock.info().id
        uses = self.history.learn(engine_id, self.stock.uses)
        for image, time in self.history.came(engine_id, [i.id for i in stored.images]).items():
            uses[image] = max(time, uses.get(image, 0.0))
        for inventory in inventories:
            uses |= {
                f"{inventory.node} {i}": time
                for i, time in self.history.came(
                    inventory.node, [i.id for i in inventory.images]
                ).items()
            }
        return uses

    def _named_before(
        self, image_names: frozenset[str] | None, stored: Stored | None
    ) -> frozenset[str]:
        """Return what this cluster's workloads named last, and what devenv put into this one and all others."""
        return (
            self.history.named(self.cluster, self.stock.info().id, image_names)
            if stored
            else frozenset()
        ) | self.loaded()

    def _host_ledger(self, folders: list[tuple[str, int]]) -> Ledger:
        path = self.host.cache_dir()
        shares = tuple(Share(_tilde(name), size, "devenv's own") for name, size in folders)
        return Ledger(
            HOST, str(path), _device(path), self.host.space(path), self.profile.budgets.host, shares
        )

    def _engine_shares(
        self,
        root: Path,
        stored: Stored,
        inventories: list[Kept],
        former_names: Mapping[str, str],
    ) -> tuple[Share, ...]:
        mounted = accounts.mounts(stored.containers)
        owners = self.history.volume_owners(self.stock.info().id, stored.volumes, mounted)
        ownerless = [volume for volume in stored.volumes if self._local and volume not in owners]
        node_of = {volume: accounts.node_in(root / "volumes" / volume) for volume in ownerless}
        logs = [Share("containers' logs", None, "not on this machine")]
        if self._local:
            logs = list(accounts.log_shares(root / "containers", stored))
        surveyed = {inventory.node for inventory in inventories}
        volumes = accounts.volume_shares(stored, owners, node_of, surveyed)
        images = accounts.image_shares(stored, former_names)
        return (*images, *volumes, *accounts.container_shares(stored), *logs)

    def _engine_ledger(
        self,
        stored: Stored,
        inventories: list[Kept],
        former_names: Mapping[str, str],
    ) -> list[Ledger]:
        """The engine's disk: a path of this machine, or in a VM the one that its nodes are on."""
        root, budget = self.stock.info().data_root, self.profile.budgets.engine
        shares = self._engine_shares(root, stored, inventories, former_names)
        if self._local and all(inventory.device == _device(root) for inventory in inventories):
            return [Ledger(ENGINE, str(root), _device(root), self.host.space(root), budget, shares)]
        if inventories:
            return [
                Ledger(
                    ENGINE,
                    str(root),
                    f"engine {inventories[0].device}",
                    inventories[0].space,
                    budget,
                    shares,
                )
            ]
        return []

    def _node_ledger(self, inventory: Kept) -> Ledger:
        same = self._local and inventory.device == _device(self.stock.info().data_root)
        device = inventory.device if same else f"engine {inventory.device}"
        shares = [
            Share("content (packed)", inventory.content),
            Share("snapshots (unpacked)", inventory.snapshots, f"{len(inventory.images)} images"),
            Share("logs", inventory.logs),
            *(
                [Share("ballast", inventory.ballast, "given back on a full disk")]
                if inventory.ballast
                else []
            ),
            *self._returnable_shares(inventory),
        ]
        return Ledger(
            inventory.node,
            "/var",
            device,
            inventory.space,
            self.profile.budgets.node,
            tuple(shares),
        )

    def _returnable_shares(self, inventory: Kept) -> list[Share]:
        """Return the images to which one can return. Their layers are among the snapshots already."""
        returnable = self.returnable()
        names = [
            (image, returnable[n])
            for image in inventory.images
            for n in image.names
            if n in returnable
        ]
        note = "of these; reload-image --undo returns to it"
        shares = []
        for image, name in names:
            what, size = f"image of {name} to return to", sum(image.layers.values())
            shares.append(Share(what, size, note, included=True))
        return shares

    def _disks(self, ledgers: list[Ledger]) -> tuple[Disk, ...]:
        disks = []
        for device in dict.fromkeys(x.device for x in ledgers):
            disk_ledgers = [x for x in ledgers if x.device == device]
            space = disk_ledgers[0].space
            limits = strictest(marks(x.budget, space) for x in disk_ledgers)
            self.history.sample(device, taken(space), space.total)
            rate = full_in(self.history.samples(device), space.total, self.clock.now())
            disks.append(Disk(device, tuple(x.name for x in disk_ledgers), space, limits, rate))
        return tuple(disks)

    @property
    def ballast(self) -> Ballast:
        """What is given back on a full disk."""
        return Ballast(self.host, self.containers)


def _waste(
    stored: Stored | None,
    inventories: Sequence[Kept],
    returnable: Mapping[str, str],
    past: Past,
    current_time: float,
) -> tuple[Waste, ...]:
    """Return the waste in the engine and in nodes. All else is kept here."""
    keep = Keep(None, frozenset(), newer=math.inf)
    things = engine.things(stored, keep, {}, frozenset(), current_time, past) if stored else []
    for inventory in inventories:
        things += node.things(inventory, keep, {}, current_time, returnable, past.former_names)
    return waste(things)


def _device(path: Path) -> str:
    return str(path.stat().st_dev)


def _tilde(path: str) -> str:
    home = str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path
