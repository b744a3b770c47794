"""kind's own program."""

from typing import Protocol

from devenv.ports.processes import OnLine


class Kind(Protocol):
    """kind's own program. Every call but `version` raises DevenvError if it is missing or fails."""

    def version(self) -> str | None:
        """Return kind's version such as v0.33.0. If kind is not installed, return None."""

    def create(self, name: str, config: str, image: str, log: OnLine) -> None:
        """Create a cluster from the text of a config in kind's own format."""

    def delete(self, name: str, log: OnLine) -> None: ...

    def export_kubeconfig(self, name: str, log: OnLine) -> None:
        """Write the cluster's context to the user's kubeconfig."""
