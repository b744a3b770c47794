"""A node's disk, asked of the node itself: Kubernetes will not tell (facts/gateway.md)."""

from devenv.errors import DevenvError
from devenv.ports import Containers, Space

_DF = ("df", "--output=avail,size,iavail,itotal", "--block-size=1", "/var")


def node_space(containers: Containers, node: str) -> Space:
    """Return what an ordinary user has left where the node keeps images, logs and volumes.

    Raises DevenvError where the node does not say.
    """
    done = containers.exec(node, _DF)
    figures = done.output.split()[-4:]
    if done.code != 0 or not all(f.isdigit() for f in figures):
        raise DevenvError(f"`df` in {node} failed.", done.output[-200:])
    return Space(*map(int, figures))
