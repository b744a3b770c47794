"""A node's disk, asked of the node itself: Kubernetes will not tell (docs/facts/gateway.md)."""

from devenv.errors import DevenvError
from devenv.ports import Containers, Space

DF = ("df", "--output=avail,size,iavail,itotal,used", "--block-size=1", "/var")
_COLUMNS = 5
# Bytes, inodes.
_LITTLE, _FEW_INODES = 256 << 20, 2000


def is_nearly_full(space: Space) -> bool:
    """Whether a disk has so little left that its use matters."""
    return space.free < _LITTLE or (space.total_inodes > 0 and space.free_inodes < _FEW_INODES)


def node_space(containers: Containers, node: str) -> Space:
    """Return what an ordinary user has left where the node keeps images, logs and volumes.

    Raises DevenvError where the node does not say.
    """
    result = containers.exec(node, DF)
    return parse(node, result.output if result.code == 0 else "")


def parse(node: str, output: str) -> Space:
    """Read what DF printed. Raises DevenvError where that is not what it prints."""
    figures = output.split()[-_COLUMNS:]
    if len(figures) < _COLUMNS or not all(f.isdigit() for f in figures):
        raise DevenvError(f"`df` in {node} failed.", output[-200:])
    free, total, free_inodes, total_inodes, used = map(int, figures)
    return Space(free, total, free_inodes, total_inodes, max(0, total - used - free))
