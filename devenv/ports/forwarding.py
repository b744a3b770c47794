"""Ports of the host's loopback that lead elsewhere."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ForwardTarget:
    """A port of the host's loopback, and what it leads to: a pod of a Service, or another port."""

    # The port on which devenv listens.
    port: int
    namespace: str
    # "" for the host itself.
    service: str
    # The port to which `port` leads.
    target: int


class Forwarding(Protocol):
    """Makes ports of the host's loopback lead elsewhere."""

    def opened(self, targets: Sequence[ForwardTarget]) -> AbstractContextManager[None]:
        """Listen on all ports for as long as the context lasts.

        Raises DevenvError if it can't listen on a port; then it listens on none.
        """
