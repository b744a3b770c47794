"""A node's disk, asked of the node itself: Kubernetes will not tell (facts/gateway.md)."""

from devenv.errors import DevenvError
from devenv.ports import Containers, Space

DF = ("df", "--output=avail,size,iavail,itotal", "--block-size=1", "/var")


def node_space(containers: Containers, node: str) -> Space:
    """Return what an ordinary user has left where the node keeps images, logs and volumes.

    Raises DevenvError where the node does not say.
    """
    done = containers.exec(node, DF)
    return parse(node, done.output if done.code == 0 else "")


def parse(node: str, output: str) -> Space:
    """Read what DF printed. Raises DevenvError where that is not what it prints."""
    figures = output.split()[-4:]
    if len(figures) < 4 or not all(f.isdigit() for f in figures):  # noqa: PLR2004 - the columns that DF asks for
        raise DevenvError(f"`df` in {node} failed.", output[-200:])
    return Space(*map(int, figures))
