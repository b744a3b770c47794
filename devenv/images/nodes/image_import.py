"""Imports images from the engine into one node's containerd, as a stream without any file."""

from collections.abc import Sequence

from devenv.base.errors import DevenvError
from devenv.base.image_names import normalise
from devenv.images.formats.conversion import NodeNames
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine

CTR = ("ctr", "--namespace", "k8s.io", "images")


def image_names(containers: Containers, node: str) -> frozenset[str]:
    """Return the names of the images in the node.

    Raises DevenvError if its containerd does not answer.
    """
    output = _ctr(containers, node, ["list", "--quiet"])
    return frozenset(output.split())


def in_every_node(containers: Containers, cluster: str, image: str) -> bool:
    """Whether each node of a cluster has an image of that name."""
    name = normalise(image)
    return all(name in image_names(containers, node.name) for node in containers.nodes(cluster))


def send(
    containers: Containers,
    engine: Engine,
    node: str,
    images: NodeNames,
    *,
    unpack: bool = True,
) -> None:
    """Import the engine's images into the node. Layers that they share are sent once.

    `images`: the engine's name of an image → its names in the node. With `unpack`, layers are
    stored once, as snapshots. Without, they are stored as blobs: a node image needs that, because
    overlayfs cannot be unpacked onto overlayfs. Raises DevenvError with the output of containerd.
    """
    options = ["--no-unpack"]
    if unpack:
        options = ["--local", "--discard-unpacked-layers"]
    architecture = engine.info().architecture
    stream = engine.save(list(images), f"linux/{architecture}")
    argv = [*CTR, "import", *options, "-"]
    result = containers.exec(node, argv, stdin=stream)
    if result.failed:
        refs = ", ".join(images)
        what = f"{refs} could not be loaded into {node}."
        raise DevenvError(what, result.output[-1500:], "Run `devenv up` again.")
    for source, names in images.items():
        new_names = list(map(normalise, names))
        _rename(containers, node, normalise(source), new_names)


def _rename(containers: Containers, node: str, old_name: str, new_names: Sequence[str]) -> None:
    """Give an image its new names, and take its old one away."""
    for name in new_names:
        if name != old_name:
            _ctr(containers, node, ["tag", "--force", old_name, name])
    if old_name not in new_names:
        _ctr(containers, node, ["remove", old_name])


def _ctr(containers: Containers, node: str, argv: Sequence[str]) -> str:
    """Run `ctr images` in the node and return its output. Raises DevenvError if it fails."""
    result = containers.exec(node, [*CTR, *argv])
    if result.failed:
        arguments = " ".join(argv)
        what = f"containerd in {node} refused `{arguments}`."
        raise DevenvError(what, result.output[-1500:])
    return result.output
