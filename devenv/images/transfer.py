"""Several images from the engine into several nodes at once: what they share once, and nothing that is there already."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from devenv.errors import DevenvError
from devenv.images.innode import NodeImages, Nodes, incoming_name, lost
from devenv.images.layers import lacking
from devenv.images.layout import Layout, renamed
from devenv.ports import Containers, Engine, Image


def transfer(
    containers: Containers,
    engine: Engine,
    nodes: Sequence[str],
    images: Mapping[str, Image],
    names: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Import the engine's images, by their refs, into the nodes under the names given for each.

    Returns the digests of the configs by name, where the engine calls the images otherwise. Raises DevenvError with
    containerd's own words; another run goes on from there.
    """
    configs: dict[str, str] = {}
    # The engine does not say which is which of several of them.
    digests = [ref for ref in images if "@" in ref]
    for refs in [[ref for ref in images if ref not in digests], *([ref] for ref in digests)]:
        if refs:
            configs |= _transfer(
                containers,
                engine,
                nodes,
                {ref: images[ref] for ref in refs},
                {ref: names[ref] for ref in refs},
            )
    return configs


def _transfer(
    containers: Containers,
    engine: Engine,
    nodes: Sequence[str],
    images: Mapping[str, Image],
    names: Mapping[str, Sequence[str]],
) -> Mapping[str, str]:
    inventories = Nodes(containers).looks(nodes)
    staged = _taken(names, inventories)
    coming = {
        ref: [incoming_name(n) if n in staged else n for n in given] for ref, given in names.items()
    }
    layout, configs = stream(engine, images, coming, inventories)
    results = Nodes(containers).receive(nodes, layout, staged)
    if lost(results):
        empty_inventories = [
            replace(inventory, snapshots=frozenset(), blobs=frozenset())
            for inventory in inventories
        ]
        layout, configs = stream(engine, images, coming, empty_inventories)
        results = Nodes(containers).receive(nodes, layout, staged)
    if failed := {node: d for node, d in results.items() if d.code != 0}:
        reason = "\n".join(f"{node}: {d.output[-1500:]}" for node, d in failed.items())
        raise DevenvError(
            f"{', '.join(images)} could not be loaded.", reason, "Run `devenv up` again."
        )
    own_names = {incoming_name(name): name for name in staged}
    return {own_names.get(name, name): digest for name, digest in configs.items()}


def _taken(names: Mapping[str, Sequence[str]], inventories: Sequence[NodeImages]) -> list[str]:
    """Return those of the names that some node has for another image. A name with a digest is never another's."""
    in_nodes = {
        name
        for inventory in inventories
        for image_names in inventory.images.values()
        for name in image_names
    }
    return [
        name for given in names.values() for name in given if name in in_nodes and "@" not in name
    ]


def stream(
    engine: Engine,
    images: Mapping[str, Image],
    names: Mapping[str, Sequence[str]],
    inventories: Sequence[NodeImages],
) -> tuple[Iterator[bytes], Mapping[str, str]]:
    """Return what the nodes are to import, and the digests of configs by name, once that was read.

    Where they lack everything, it passes through as the engine sends it, and an image's ID is its config's digest.
    """
    all_layers = frozenset(layer for image in images.values() for layer in image.layers)
    missing_layers = frozenset().union(
        *(
            lacking(image.layers, inventory.snapshots)
            for image in images.values()
            for inventory in inventories
        )
    )
    shared_blobs = frozenset.intersection(*(inventory.blobs for inventory in inventories))
    info = engine.info()
    saved = engine.save(list(images), f"linux/{info.architecture}")
    if missing_layers - shared_blobs == all_layers and not info.containerd_store:
        return renamed(saved, names), {}
    layout = Layout(names, all_layers, missing_layers, shared_blobs)
    return layout.convert(saved), layout.configs
