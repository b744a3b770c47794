"""Whether a node's disk has enough space, and what takes it if `prune` can't free enough."""

from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.facts.df import node_space
from devenv.ports.containers import Containers
from devenv.ports.host import Space
from devenv.profiles.quantities import show

# Bytes: twice of what counts as full.
ENOUGH = 256 << 20
_ENOUGH_INODES = 2000
# Levels of folders below / that `du` tells apart, such as /var/log.
_DEPTH = 2
_DISK_USE = ("timeout", "20", "du", "-x", f"--max-depth={_DEPTH}")


@dataclass(frozen=True)
class NodeSpace:
    """Measures the disks of nodes."""

    containers: Containers

    def free(self, node: str) -> Space:
        """Return what an ordinary user has left."""
        return node_space(self.containers, node)

    def has_enough(self, node: str) -> bool:
        """Whether a node has enough bytes and enough inodes."""
        space = self.free(node)
        # A disk with 0 inodes in total does not limit them.
        has_inodes = space.total_inodes == 0 or space.free_inodes >= _ENOUGH_INODES
        return space.free >= ENOUGH and has_inodes

    def would_have_enough(self, node: str, removable: int) -> bool:
        """Whether a node had enough bytes after `removable` more were freed.

        Inodes do not count here: how many an image has is unknown until it is removed.
        """
        return self.free(node).free + removable >= ENOUGH

    def largest_folders(self, node: str, count: int = 4) -> list[str]:
        """Return lines with the folders that take most of what is short, bytes or inodes."""
        lacks_inodes = self.free(node).free >= ENOUGH
        unit = "--inodes" if lacks_inodes else "--block-size=1"
        output = self.containers.exec(node, [*_DISK_USE, unit, "/var"]).output
        folders = sorted(_folder_sizes(output), reverse=True)[:count]
        return [_folder_line(size, path, is_inodes=lacks_inodes) for size, path in folders]


def _folder_sizes(output: str) -> list[tuple[int, str]]:
    """Return the sizes and paths in what `du` printed, only of folders at full depth."""
    sizes = []
    for line in output.splitlines():
        number, tab, path = line.partition("\t")
        if tab and number.isdigit() and path.count("/") == _DEPTH:
            sizes.append((int(number), path))
    return sizes


def _folder_line(size: int, path: str, *, is_inodes: bool) -> str:
    amount = counted(size, "file") if is_inodes else show(size)
    return f"{amount:>14}  {path}"
