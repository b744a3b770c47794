"""`down`: removes exactly what `up` made."""

from dataclasses import dataclass

from devenv.lifecycle.record import Records, own_nodes
from devenv.lifecycle.steps import step
from devenv.ports import Containers, Host, Kind, Node, Reporter


@dataclass(frozen=True)
class Down:
    """Removes one cluster: its nodes with their volumes, and its context. Images and caches stay."""

    cluster: str
    host: Host
    containers: Containers
    kind: Kind
    reporter: Reporter

    def plan(self) -> list[Node]:
        """What would be removed. Raises DevenvError where the cluster isn't devenv's own."""
        return own_nodes(Records(self.host), self.containers, self.cluster)

    def run(self) -> list[Node]:
        """Remove it and return what was removed; nothing where there is nothing."""
        with self.host.lock(f"cluster-{self.cluster}"):
            nodes = self.plan()
            if nodes:
                with step(self.reporter, f"remove cluster {self.cluster}"):
                    self.kind.delete(self.cluster, lambda _: None)
            Records(self.host).remove(self.cluster)
            return nodes
