"""What a node has of images, and how it gets more: through its own containerd."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Queue
from typing import Any

from devenv.errors import DevenvError
from devenv.facts.df import node_space
from devenv.images.load import CTR
from devenv.ports import Completed, Containers, Space

KEPT = "devenv.local/superseded"  # a name under which a node keeps the image of before, until the new one is proven
_SNAPSHOTS = ("ctr", "--namespace", "k8s.io", "snapshots", "--snapshotter")
_IMPORT = (*CTR, "import", "--local", "--discard-unpacked-layers", "-")
_AHEAD = 16  # chunks of 1 MiB that a node may be behind the engine


@dataclass(frozen=True)
class NodeImages:
    """A node's images: config digest → names; and the chain IDs of its snapshots."""

    node: str
    images: Mapping[str, tuple[str, ...]]
    snapshots: frozenset[str]
    space: Space

    def id_of(self, name: str) -> str:
        """Return the config digest of the image of that name, "" where there is none."""
        return next((digest for digest, names in self.images.items() if name in names), "")


@dataclass(frozen=True)
class Nodes:
    """Talks to the containerd of each node. Raises DevenvError with its own words."""

    containers: Containers

    def look(self, node: str) -> NodeImages:
        """Return what the node has."""
        with ThreadPoolExecutor(3) as pool:  # each takes 0.1 s
            images = pool.submit(self.images, node)
            snapshots = pool.submit(self._snapshots, node)
            space = pool.submit(node_space, self.containers, node)
            return NodeImages(node, images.result(), snapshots.result(), space.result())

    def images(self, node: str) -> dict[str, tuple[str, ...]]:
        """Return the node's images as the CRI knows them: config digest → names."""
        listed = self._json(node, ["crictl", "images", "-o", "json"]).get("images") or ()
        return {i["id"]: (*(i.get("repoTags") or ()), *(i.get("repoDigests") or ())) for i in listed}

    def _snapshots(self, node: str) -> frozenset[str]:
        lines = self._run(node, [*_SNAPSHOTS, self._snapshotter(node), "ls"]).splitlines()
        return frozenset(line.split()[0] for line in lines if line.startswith("sha256:"))

    def _snapshotter(self, node: str) -> str:
        for line in self._run(node, ["containerd", "config", "dump"]).splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "snapshotter" and value.strip(" '\""):
                return value.strip(" '\"")
        return "overlayfs"

    def receive(self, nodes: Sequence[str], stream: Iterable[bytes]) -> dict[str, Completed]:
        """Import one layout into all nodes at once: it is read once, and no node may fall behind by more than 16 MiB."""
        queues: dict[str, Queue[bytes | None]] = {node: Queue(_AHEAD) for node in nodes}
        gone: set[str] = set()

        def run(node: str) -> Completed:
            try:
                return self.containers.exec(node, list(_IMPORT), stdin=_until_none(queues[node]))
            finally:
                gone.add(node)
                while queues[node].get() is not None:  # so that nobody waits for a node that has given up
                    pass

        with ThreadPoolExecutor(len(nodes)) as pool:
            running = {node: pool.submit(run, node) for node in nodes}
            try:
                for chunk in stream:
                    for node in nodes:
                        if node not in gone:
                            queues[node].put(chunk)
                    if len(gone) == len(nodes):
                        break
            finally:
                for node in nodes:
                    queues[node].put(None)
            return {node: future.result() for node, future in running.items()}

    def tag(self, node: str, name: str, new: str) -> None:
        """Give an image another name."""
        self._run(node, [*CTR, "tag", "--force", name, new])

    def untag(self, node: str, name: str) -> None:
        """Remove a name, and with the last one the image; nothing where there is none."""
        self.containers.exec(node, [*CTR, "remove", "--sync", name])

    def leftovers(self, node: str) -> list[str]:
        """Return the names of superseded images that a killed run has left."""
        return [n for n in self._run(node, [*CTR, "list", "--quiet"]).split() if n.startswith(f"{KEPT}:")]

    def running(self, node: str) -> list[dict[str, Any]]:
        """Return the node's containers that run, as the CRI has them."""
        found: list[dict[str, Any]] = self._json(node, ["crictl", "ps", "-o", "json"]).get("containers") or []
        return found

    def _json(self, node: str, argv: Sequence[str]) -> dict[str, Any]:
        output = self._run(node, argv)
        try:
            content: dict[str, Any] = json.loads(output[output.index("{") :])
        except ValueError as error:
            raise DevenvError(f"`{' '.join(argv)}` in {node} gave no JSON.", output[-300:]) from error
        return content

    def _run(self, node: str, argv: Sequence[str]) -> str:
        done = self.containers.exec(node, list(argv))
        if done.code != 0:
            raise DevenvError(f"`{' '.join(argv)}` in {node} failed.", done.output[-500:])
        return done.output


def _until_none(queue: "Queue[bytes | None]") -> Iterator[bytes]:
    get: Callable[[], bytes | None] = queue.get
    while (chunk := get()) is not None:
        yield chunk
    queue.put(None)  # for whoever empties the queue afterwards
