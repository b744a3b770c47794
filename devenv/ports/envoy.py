"""The admin interface of an Envoy in the cluster."""

from collections.abc import Iterable
from typing import Protocol


class Envoy(Protocol):
    """The admin interface of an Envoy in the cluster."""

    def read(self, namespace: str, pod: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the answers by path. Raises NotReachableError if any of them did not come."""
