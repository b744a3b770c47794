"""How images move into nodes: which layers, by which way, and whether they fit. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from devenv.disk.budget import marks, taken
from devenv.images.formats.image_file import StoredImage
from devenv.images.formats.layers import layers_to_send
from devenv.images.nodes.containerd import NodeImages
from devenv.ports.engine import Image
from devenv.ports.names import Names
from devenv.profiles.model import Budget
from devenv.profiles.quantities import show

# Bytes that stay free in a node beside the incoming layers.
_SPARE = 64 << 20
# containerd keeps a layer's blob until it is unpacked.
_COPIES = 2
# Whether the engine pushes these layers quickly, given their share of the image's bytes.
CanPush = Callable[[AbstractSet[str], float], bool]


class Way(StrEnum):
    """How an image gets into the nodes."""

    # Nothing to move.
    PRESENT = "present"
    # The node has the image under another name.
    RETAG = "retag"
    # The engine pushes the missing layers, blob by blob, to this host's loopback.
    PUSH = "push"
    # The engine's `docker save` stream, with only the missing layers.
    ARCHIVE = "archive"
    # The missing layers of a file.
    FILE = "file"


@dataclass(frozen=True)
class Source:
    """Where an image comes from: the engine, or the file `stored`.

    `sizes`: an upper bound of each layer's bytes, from the lowest layer up.
    """

    ref: str
    image: Image
    sizes: tuple[int, ...] = ()
    stored: StoredImage | None = None

    @property
    def layer_sizes(self) -> dict[str, int]:
        """Diff ID → an upper bound of the layer's bytes."""
        return dict(zip(self.image.layers, self.sizes, strict=True))


@dataclass(frozen=True)
class NamedSource:
    """An image, and the name that it is to get in the nodes."""

    source: Source
    name: str


class NodeGroup(NamedTuple):
    """Nodes that lack the same layers, by their diff IDs."""

    layers: frozenset[str]
    nodes: Names


@dataclass(frozen=True)
class Move:
    """How one image gets into the nodes."""

    source: Source
    # In the nodes.
    name: str
    way: Way
    # Node → diff IDs of the layers that it lacks. A node that has the image is not in it.
    missing_layers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # Node → config digest of the image that has the name now.
    old_digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The image as the user named it."""
        return self.source.ref

    @property
    def image(self) -> Image:
        """The image as its source describes it."""
        return self.source.image

    @property
    def image_layers(self) -> frozenset[str]:
        """The diff IDs of all of the image's layers."""
        return frozenset(self.image.layers)

    @property
    def nodes(self) -> Names:
        """The nodes that something moves into."""
        return tuple(self.missing_layers)

    @property
    def layers(self) -> frozenset[str]:
        """Diff IDs that at least one node lacks."""
        return frozenset().union(*self.missing_layers.values())

    def bytes(self, layers: AbstractSet[str]) -> int:
        """Return an upper bound of these layers' bytes."""
        return sum(self.sizes_of(layers).values())

    def sizes_of(self, layers: AbstractSet[str]) -> dict[str, int]:
        """Return an upper bound of each of these layers' bytes, by diff ID."""
        layer_sizes = self.source.layer_sizes
        return {diff_id: size for diff_id, size in layer_sizes.items() if diff_id in layers}

    def groups(self) -> list[NodeGroup]:
        """Group the nodes by the layers that they lack."""
        nodes_by_layers: dict[frozenset[str], list[str]] = {}
        for node, layers in self.missing_layers.items():
            nodes_by_layers.setdefault(layers, []).append(node)
        return [NodeGroup(layers, tuple(nodes)) for layers, nodes in nodes_by_layers.items()]


def plan_move(
    source: Source,
    name: str,
    nodes: Sequence[NodeImages],
    loaded_nodes: Collection[str],
    can_push: CanPush,
) -> Move:
    """Decide how an image gets into the nodes. Pure.

    `loaded_nodes`: nodes into which devenv loaded this very image under the name. The engine's ID
    of an image may differ from the node's, so comparing IDs is not enough.
    """
    image = source.image

    def is_outdated(node: NodeImages) -> bool:
        return not _has_image(node, name, image, loaded_nodes)

    outdated_nodes = list(filter(is_outdated, nodes))
    move = Move(source, name, Way.PRESENT, old_digests=digests_of(name, nodes))
    if not outdated_nodes:
        return move
    # An image without a name can't be given another one.
    if all(node.images.get(image.id) for node in outdated_nodes):
        no_layers = {node.node: frozenset[str]() for node in outdated_nodes}
        return replace(move, way=Way.RETAG, missing_layers=no_layers)
    missing_layers = {
        node.node: layers_to_send(image.layers, node.snapshots) for node in outdated_nodes
    }
    move = replace(move, way=Way.FILE, missing_layers=missing_layers)
    if source.stored:
        return move
    return replace(move, way=_way_from_engine(move, can_push))


def _has_image(node: NodeImages, name: str, image: Image, loaded_nodes: Collection[str]) -> bool:
    """Whether the node has this image under the name."""
    current_digest = node.id_of(name)
    if not current_digest:
        return False
    return node.node in loaded_nodes or current_digest == image.id


def digests_of(name: str, nodes: Sequence[NodeImages]) -> dict[str, str]:
    """Return the config digest of the image that each node has under the name."""
    digests = {}
    for node in nodes:
        digest = node.id_of(name)
        if digest:
            digests[node.node] = digest
    return digests


def _way_from_engine(move: Move, can_push: CanPush) -> Way:
    """Choose between a push and an archive: a push must be quick for every node."""
    all_bytes = move.bytes(move.image_layers)
    share = move.bytes(move.layers) / max(all_bytes, 1)
    if all(can_push(layers, share) for layers in move.missing_layers.values()):
        return Way.PUSH
    return Way.ARCHIVE


def find_space_problems(
    moves: Sequence[Move], nodes: Sequence[NodeImages], budget: Budget
) -> list[str]:
    """Return one line for each node that lacks free space or whose budget would be exceeded."""
    # kind's nodes share the engine's disk, so all of their images must fit there together.
    bytes_by_disk = _incoming_bytes_by_disk(moves, nodes)
    problems = []
    for node in nodes:
        if not _incoming_bytes(node.node, moves):
            continue
        incoming = bytes_by_disk[node.space.total]
        if problem := _space_problem(node, incoming, budget):
            problems.append(problem)
    return problems


def _incoming_bytes_by_disk(moves: Sequence[Move], nodes: Iterable[NodeImages]) -> Counter[int]:
    """Return the bytes that move into the nodes of each disk. Disks of one size count as one."""
    bytes_by_disk: Counter[int] = Counter()
    for node in nodes:
        bytes_by_disk[node.space.total] += _incoming_bytes(node.node, moves)
    return bytes_by_disk


def _incoming_bytes(node: str, moves: Iterable[Move]) -> int:
    """Return the bytes of the layers that move into the node, each counted once."""
    sizes_by_layer: dict[str, int] = {}
    for move in moves:
        missing_layers = move.missing_layers.get(node, frozenset())
        sizes_by_layer |= move.sizes_of(missing_layers)
    return sum(sizes_by_layer.values())


def _space_problem(node: NodeImages, incoming: int, budget: Budget) -> str:
    """Return what is wrong with the node's disk if so many bytes are added to it, "" if nothing."""
    needed = incoming * _COPIES + _SPARE
    if node.space.free < needed:
        free_space = show(node.space.free)
        return f"{node.node} has {free_space} free and needs {show(needed)}"
    limits = marks(budget, node.space)
    if not limits.over(node.space, incoming):
        return ""
    used_space, allowed = show(taken(node.space)), show(limits.high)
    use = f"{used_space} are in use and {show(incoming)} more are needed"
    return f"{node.node}: {use}, but its budget allows {allowed}"
