"""Room on a node's full disk: its images that nobody uses, listed first, deleted by name, one by one, unforced."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.facts.df import node_space
from devenv.images.load import normalise
from devenv.ports import Containers, Space
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show

ENOUGH = 256 << 20  # bytes: twice of what counts as full
_INODES = 2000
_DEPTH = 2
_LARGEST = ("timeout", "20", "du", "-x", f"--max-depth={_DEPTH}")
_OWN = ("registry.k8s.io/", "docker.io/kindest/")  # Kubernetes' and kind's own are left, used or not


@dataclass(frozen=True)
class Unused:
    """An image in a node that no container has, by all its names. `size` in bytes, as containerd counts them."""

    node: str
    id: str
    names: tuple[str, ...]
    size: int

    def __str__(self) -> str:
        return ", ".join(self.names) or self.id[:19]


@dataclass(frozen=True)
class Room:
    """Looks into nodes, and deletes from them exactly what it is told."""

    containers: Containers
    profile: Profile

    def unused(self, node: str, named: set[str] | None) -> list[Unused]:
        """Return the images that no container has and nobody wants, the largest first.

        `named`: those that workloads name, which may have no container just now. None, where the API server can't say: then
        nothing counts as unused.
        """
        if named is None:
            return []
        wanted = {normalise(i.ref) for i in self.profile.images} | named
        used = self._used(node)
        found = [
            Unused(node, i["id"], tuple(i.get("repoTags") or ()), int(i.get("size") or 0))
            for i in self._crictl(node, "images").get("images") or ()
            if i["id"] not in used and not i.get("pinned")
        ]
        kept = [u for u in found if not any(n in wanted or n.startswith(_OWN) for n in u.names)]
        return sorted(kept, key=lambda u: -u.size)

    def _used(self, node: str) -> set[str]:
        listed = self._crictl(node, "ps", "-a").get("containers") or ()
        return {str(c[key]) for c in listed for key in ("imageRef", "imageId") if c.get(key)}

    def delete(self, image: Unused) -> bool:
        """Delete an image unless a container has it by now. Return whether it is gone."""
        if image.id in self._used(image.node):
            return False
        return self.containers.exec(image.node, ["crictl", "rmi", image.id]).code == 0

    def space(self, node: str) -> Space:
        """Return what an ordinary user has left."""
        return node_space(self.containers, node)

    def enough(self, node: str) -> bool:
        """Whether there is room, in bytes and inodes."""
        space = self.space(node)
        return space.free >= ENOUGH and (space.total_inodes == 0 or space.free_inodes >= _INODES)

    def could_be_enough(self, node: str, listed: Sequence[Unused]) -> bool:
        """Whether it is worth deleting anything at all. How many inodes an image has nobody knows beforehand."""
        return self.space(node).free + sum(u.size for u in listed) >= ENOUGH

    def largest(self, node: str, count: int = 4) -> list[str]:
        """Return the folders that take most of what is short, bytes or inodes, as lines, so that somebody may decide."""
        inodes = self.space(node).free >= ENOUGH
        argv = [*_LARGEST, *(["--inodes"] if inodes else ["--block-size=1"]), "/var"]
        sizes = [line.split("\t") for line in self.containers.exec(node, argv).output.splitlines() if "\t" in line]
        found = sorted(((int(n), path) for n, path in sizes if n.isdigit() and path.count("/") == _DEPTH), reverse=True)
        return [f"{f'{n} files' if inodes else show(n):>14}  {path}" for n, path in found[:count]]

    def _crictl(self, node: str, *argv: str) -> dict[str, list[dict[str, str]]]:
        done = self.containers.exec(node, ["crictl", *argv, "-o", "json"])
        try:
            content: dict[str, list[dict[str, str]]] = json.loads(done.output[done.output.index("{") :])
        except ValueError as error:
            raise DevenvError(f"containerd in {node} does not say what it has.", done.output[-300:]) from error
        return content
