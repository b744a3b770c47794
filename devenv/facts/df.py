"""Reads a node's disk from the node itself: Kubernetes does not tell (docs/facts/gateway.md)."""

from devenv.base.errors import DevenvError
from devenv.ports.containers import Containers
from devenv.ports.host import Space

DF = ("df", "--output=avail,size,iavail,itotal,used", "--block-size=1", "/var")
_COLUMNS = 5
# Bytes, inodes.
_LITTLE, _FEW_INODES = 256 << 20, 2000


def is_nearly_full(space: Space) -> bool:
    """Whether a disk has so little left that its use matters."""
    counts_inodes = space.total_inodes > 0
    has_few_inodes = counts_inodes and space.free_inodes < _FEW_INODES
    return space.free < _LITTLE or has_few_inodes


def node_space(containers: Containers, node: str) -> Space:
    """Return what an ordinary user has left where the node keeps images, logs and volumes.

    A busy engine now and then loses the output of a program that ends at once (seen with Docker
    20.10 at a load of 20), so the node is asked a second time. Raises DevenvError
    if it does not say even then.
    """
    answer = containers.exec(node, DF)
    if answer.failed or not _figures(answer.output):
        answer = containers.exec(node, DF)
    if answer.failed:
        raise _no_figures(node, answer.output)
    return parse(node, answer.output)


def parse(node: str, output: str) -> Space:
    """Read what DF printed. Raises DevenvError if the output is not five figures."""
    figures = _figures(output)
    if not figures:
        raise _no_figures(node, output)
    free, total, free_inodes, total_inodes, used = figures
    reserved = max(0, total - used - free)
    return Space(
        free=free,
        total=total,
        free_inodes=free_inodes,
        total_inodes=total_inodes,
        reserved=reserved,
    )


def _figures(output: str) -> list[int]:
    """Return the five figures that DF printed last, none if they are not there."""
    words = output.split()[-_COLUMNS:]
    if len(words) < _COLUMNS or not all(map(str.isdigit, words)):
        return []
    return list(map(int, words))


def _no_figures(node: str, output: str) -> DevenvError:
    return DevenvError(f"`df` in {node} failed.", output[-200:])
