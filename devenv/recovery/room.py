"""Whether there is room on a node's disk, and what takes it where `prune` can't make enough."""

from dataclasses import dataclass

from devenv.facts.df import node_space
from devenv.ports import Containers, Space
from devenv.profiles.quantities import show

# Bytes: twice of what counts as full.
ENOUGH = 256 << 20
_INODES = 2000
_DEPTH = 2
_LARGEST = ("timeout", "20", "du", "-x", f"--max-depth={_DEPTH}")


@dataclass(frozen=True)
class Room:
    """Looks into nodes."""

    containers: Containers

    def space(self, node: str) -> Space:
        """Return what an ordinary user has left."""
        return node_space(self.containers, node)

    def enough(self, node: str) -> bool:
        """Whether there is room, in bytes and inodes."""
        space = self.space(node)
        return space.free >= ENOUGH and (space.total_inodes == 0 or space.free_inodes >= _INODES)

    def could_be_enough(self, node: str, freed: int) -> bool:
        """Whether it is worth removing anything at all. How many inodes an image has nobody knows beforehand."""
        return self.space(node).free + freed >= ENOUGH

    def largest(self, node: str, count: int = 4) -> list[str]:
        """Return the folders that take most of what is short, bytes or inodes, as lines, so that somebody may decide."""
        inodes = self.space(node).free >= ENOUGH
        argv = [*_LARGEST, *(["--inodes"] if inodes else ["--block-size=1"]), "/var"]
        sizes = [
            line.split("\t")
            for line in self.containers.exec(node, argv).output.splitlines()
            if "\t" in line
        ]
        folders = sorted(
            ((int(n), path) for n, path in sizes if n.isdigit() and path.count("/") == _DEPTH),
            reverse=True,
        )
        return [f"{f'{n} files' if inodes else show(n):>14}  {path}" for n, path in folders[:count]]
