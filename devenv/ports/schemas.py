"""The shapes of Kubernetes' own kinds."""

from typing import Protocol

from devenv.ports.kube import Manifest


class Schemas(Protocol):
    """The shapes of Kubernetes' own kinds."""

    def problems(self, manifest: Manifest) -> list[str]:
        """Return what is wrong with an object, each with its field; nothing of unknown kinds."""
