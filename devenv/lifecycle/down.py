"""`down`: removes exactly what `up` made."""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.lifecycle.record import Records, own_nodes
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Containers, Engine, Host, Kind, Node, Reporter
from devenv.wait import locked


@dataclass(frozen=True)
class Down:
    """Removes one cluster: its nodes with their volumes, and its context. Images and caches stay."""

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kind: Kind
    provide_kind: Callable[[], object]
    reporter: Reporter

    def plan(self) -> list[Node]:
        """What would be removed. Raises DevenvError where the cluster isn't devenv's own."""
        return own_nodes(Records(self.host), self.engine, self.containers, self.cluster)

    def run(self, wait: float) -> list[Node]:
        """Remove it and return what was removed; nothing where there is nothing. `wait`: seconds for the lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            nodes = self.plan()
            if nodes and self.kind.version() is None:
                self.provide_kind()
            if nodes:
                with step(self.reporter, f"remove cluster {self.cluster}"):
                    self.kind.delete(self.cluster, lambda _: None)
            Records(self.host).remove(self.cluster)
            return nodes
