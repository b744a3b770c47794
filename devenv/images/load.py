"""Puts an image from the engine into a node's containerd, as a stream: no file on the host, none in the node."""

from collections.abc import Mapping, Sequence

from devenv.errors import DevenvError
from devenv.ports import Containers, Engine

CTR = ("ctr", "--namespace", "k8s.io", "images")


def normalise(ref: str) -> str:
    """Return the name as containerd has it: redis → docker.io/library/redis:latest."""
    name, digest, sha = ref.partition("@")
    name = (
        name.removeprefix("index.").removeprefix("docker.io/")
        if name.startswith(("docker.io/", "index.docker.io/"))
        else name
    )
    host, slash, path = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in host or ":" in host or host == "localhost"):
        name = f"docker.io/{host}/{path}"
    if not digest and ":" not in name.rsplit("/", 1)[-1]:
        name += ":latest"
    return name + digest + sha


def present(containers: Containers, node: str) -> frozenset[str]:
    """Names of the images in the node. Raises DevenvError where its containerd does not answer."""
    return frozenset(_ctr(containers, node, ["list", "--quiet"]).split())


def send(
    containers: Containers,
    engine: Engine,
    node: str,
    images: Mapping[str, Sequence[str]],
    *,
    unpack: bool = True,
) -> None:
    """Import the engine's images into `node`, each under the names given for it. Layers that they share go once.

    With `unpack`, layers are kept once, as snapshots; without, as blobs (a node image is made so: overlayfs cannot be
    unpacked onto overlayfs). Raises DevenvError with containerd's own words.
    """
    how = ["--local", "--discard-unpacked-layers"] if unpack else ["--no-unpack"]
    stream = engine.save(list(images), f"linux/{engine.info().architecture}")
    result = containers.exec(node, [*CTR, "import", *how, "-"], stdin=stream)
    if result.code != 0:
        what = f"{', '.join(images)} could not be loaded into {node}."
        raise DevenvError(what, result.output[-1500:], "Run `devenv up` again.")
    for source, names in images.items():
        _rename(containers, node, normalise(source), [normalise(name) for name in names])


def _rename(containers: Containers, node: str, old_name: str, new_names: Sequence[str]) -> None:
    for name in new_names:
        if name != old_name:
            _ctr(containers, node, ["tag", "--force", old_name, name])
    if old_name not in new_names:
        _ctr(containers, node, ["remove", old_name])


def _ctr(containers: Containers, node: str, argv: Sequence[str]) -> str:
    result = containers.exec(node, [*CTR, *argv])
    if result.code != 0:
        raise DevenvError(
            f"containerd in {node} refused `{' '.join(argv)}`.", result.output[-1500:]
        )
    return result.output
