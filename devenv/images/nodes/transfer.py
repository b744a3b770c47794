"""Loads several images from the engine into several nodes at once, and only what these lack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from devenv.base.errors import DevenvError
from devenv.base.image_names import DigestsByName
from devenv.images.formats.conversion import LayoutConverter, NodeNames, rename_images
from devenv.images.formats.layers import layers_to_send
from devenv.images.nodes.containerd import NodeImages, Nodes, has_lost_content, incoming_name
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine, ImagesByRef
from devenv.ports.processes import ResultsByNode


def transfer(
    containers: Containers,
    engine: Engine,
    nodes: Sequence[str],
    images: ImagesByRef,
    names: NodeNames,
) -> DigestsByName:
    """Load the engine's images into the nodes, each under the names given for its reference.

    Returns the digest of the config for each name whose image has another ID in the engine. Raises
    DevenvError with the output of containerd; another run resumes from there.
    """
    configs: dict[str, str] = {}
    for refs in _groups(images):
        group = _Transfer(
            containers=containers,
            engine=engine,
            nodes=nodes,
            images={ref: images[ref] for ref in refs},
            names={ref: names[ref] for ref in refs},
        )
        configs |= group.run()
    return configs


def _groups(refs: ImagesByRef) -> list[list[str]]:
    """Return the references that can be sent together.

    Of several images asked for by digest, the engine does not say which is which, so each of these
    is sent alone.
    """
    tagged_refs: list[str] = []
    groups = []
    for ref in refs:
        if "@" in ref:
            groups.append([ref])
        else:
            tagged_refs.append(ref)
    if tagged_refs:
        groups.insert(0, tagged_refs)
    return groups


@dataclass(frozen=True)
class _Transfer:
    """One stream of images into the nodes. `images` and `names` are by the engine's references."""

    containers: Containers
    engine: Engine
    nodes: Sequence[str]
    images: ImagesByRef
    names: NodeNames

    def run(self) -> DigestsByName:
        """Send what the nodes lack. If a node has lost layers meanwhile, send everything once."""
        nodes = Nodes(self.containers)
        inventories = nodes.inventories(self.nodes)
        taken_names = _taken_names(self.names, inventories)
        results, configs = self._send(inventories, taken_names)
        if has_lost_content(results):
            empty_inventories = list(map(_emptied, inventories))
            results, configs = self._send(empty_inventories, taken_names)
        self._refuse_failures(results)
        return _by_own_name(configs, taken_names)

    def _send(
        self, inventories: Sequence[NodeImages], taken_names: Sequence[str]
    ) -> tuple[ResultsByNode, DigestsByName]:
        """Send what these inventories lack.

        Returns how each node's import ended, and the digests of the configs by name.
        """
        arrival_names: dict[str, list[str]] = {}
        for ref, image_names in self.names.items():
            arrival_names[ref] = [_arrival_name(name, taken_names) for name in image_names]
        layout, configs = stream(self.engine, self.images, arrival_names, inventories)
        nodes = Nodes(self.containers)
        results = nodes.receive(self.nodes, layout, taken_names)
        return results, configs

    def _refuse_failures(self, results: ResultsByNode) -> None:
        """Raise DevenvError with the output of each failed node's import."""
        outputs = [
            f"{node}: {result.output[-1500:]}" for node, result in results.items() if result.failed
        ]
        if outputs:
            refs = ", ".join(self.images)
            what = f"{refs} could not be loaded."
            raise DevenvError(what, "\n".join(outputs), "Run `devenv up` again.")


def _by_own_name(configs: DigestsByName, taken_names: Sequence[str]) -> DigestsByName:
    """Return the digests of the configs by the images' own names, instead of temporary ones."""
    own_names = {incoming_name(name): name for name in taken_names}
    own_configs: dict[str, str] = {}
    for name, digest in configs.items():
        own_name = own_names.get(name, name)
        own_configs[own_name] = digest
    return own_configs


def _arrival_name(name: str, taken_names: Sequence[str]) -> str:
    """Return the name under which an image arrives: a temporary one if its own is taken."""
    if name in taken_names:
        return incoming_name(name)
    return name


def _emptied(inventory: NodeImages) -> NodeImages:
    """Return the inventory as if the node had no layers, so that everything is sent."""
    return replace(inventory, snapshots=frozenset(), blobs=frozenset())


def _taken_names(names: NodeNames, inventories: Sequence[NodeImages]) -> list[str]:
    """Return the names that a node has already, maybe for another image.

    A name with a digest is never that of another image.
    """
    names_in_nodes: set[str] = set()
    for inventory in inventories:
        names_in_nodes.update(*inventory.images.values())
    requested_names = chain.from_iterable(names.values())
    return [name for name in requested_names if name in names_in_nodes and "@" not in name]


def stream(
    engine: Engine,
    images: ImagesByRef,
    names: NodeNames,
    inventories: Sequence[NodeImages],
) -> tuple[Iterator[bytes], DigestsByName]:
    """Return what the nodes are to import, and the digests of the configs by name.

    The digests are complete once the stream is read. If the nodes lack everything, the engine's
    stream passes through, and digests are not needed: then an image's ID is the digest of its
    config.
    """
    all_layers: set[str] = set()
    for image in images.values():
        all_layers.update(image.layers)
    missing_layers = _missing_layers(images, inventories)
    shared_blobs = frozenset.intersection(*[inventory.blobs for inventory in inventories])
    info = engine.info()
    platform = f"linux/{info.architecture}"
    saved = engine.save(list(images), platform)
    needs_all_layers = missing_layers - shared_blobs == all_layers
    if needs_all_layers and not info.containerd_store:
        return rename_images(saved, names), {}
    layout = LayoutConverter(names, all_layers, missing_layers, shared_blobs)
    return layout.convert(saved), layout.configs


def _missing_layers(images: ImagesByRef, inventories: Sequence[NodeImages]) -> frozenset[str]:
    """Return the diff IDs of the layers that at least one node lacks."""
    missing_layers: set[str] = set()
    for image in images.values():
        for inventory in inventories:
            missing_layers |= layers_to_send(image.layers, inventory.snapshots)
    return frozenset(missing_layers)
