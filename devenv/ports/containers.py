"""The containers that are devenv's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from devenv.ports.processes import Completed

# The network of kind's nodes, unless an environment variable of kind's names another.
KIND_NETWORK = "kind"


@dataclass(frozen=True)
class Node:
    """A container that kind made."""

    name: str
    # The container's ID.
    id: str
    # Docker's word: running, exited, paused, created.
    status: str
    cluster: str
    # Seconds since 1970.
    created: int = 0
    # Pairs of a port in the node and the host's port that leads there; none unless it runs.
    ports: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class ContainerState:
    """What the engine says of one container alone, beyond the list of all."""

    # An IP address, "" if the container has none.
    address: str = ""
    # Seconds since 1970; 0 if it never started.
    started: float = 0
    # Seconds since 1970; 0 if it never ended.
    ended: float = 0
    # The networks that it is to be in, as pairs of name and ID. It starts only if all exist.
    networks: tuple[tuple[str, str], ...] = ()


class Containers(Protocol):
    """devenv's own containers: kind's nodes, and helpers in which node images are made.

    Every call raises NotReachableError if the engine does not answer.
    """

    def nodes(self, cluster: str) -> list[Node]:
        """Return the nodes of a cluster; those of all clusters if `cluster` is ""."""

    def state(self, container: str) -> ContainerState: ...

    def start(self, container: str) -> None:
        """Start a stopped container, or wake a paused one."""

    def stop(self, container: str) -> None: ...

    def networks(self) -> dict[str, str]:
        """Return the engine's networks: ID → name."""

    def create_network(self, subnet: str) -> None:
        """Create the network `kind` as kind does. Does nothing if the engine has one.

        `subnet`: of IPv4, "" for one that the engine chooses.
        """

    def reconnect(self, container: str, network: str) -> None:
        """Connect a stopped container to the network of a name in place of a former one."""

    def read_file(self, container: str, path: str) -> bytes:
        """Return a small file of a container, which need not run.

        Raises NotFoundError if the container lacks it.
        """

    def exec(
        self, container: str, argv: Sequence[str], stdin: Iterable[bytes] | None = None
    ) -> Completed:
        """Run a program in a container to its end, with `stdin` streamed into it."""

    def exec_detached(self, container: str, argv: Sequence[str]) -> None:
        """Start a program in a container and leave it running."""

    def run_helper(self, image: str, name: str, argv: Sequence[str]) -> str:
        """Start a helper, which is privileged and without a network. Return the container's ID."""

    def remove_helper(self, name: str) -> None:
        """Remove a helper, running or not. Does nothing if it is not there.

        Raises DevenvError if a container of that name is not devenv's own.
        """

    def commit(self, container: str, tag: str, changes: Sequence[str]) -> None:
        """Make an image of a container's file system; `changes` are lines of a Dockerfile."""
