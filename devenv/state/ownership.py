"""Whose a cluster is: what a command asks before it touches one."""

from contextlib import suppress
from dataclasses import dataclass

from devenv import DEFAULT_CLUSTER
from devenv.base.errors import DevenvError, NotReachableError
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine
from devenv.ports.kube import Kube
from devenv.state.absence import no_cluster, not_running
from devenv.state.record import Records, own_context, own_nodes


@dataclass(frozen=True)
class Ownership:
    """Compares devenv's records with the engine."""

    records: Records
    engine: Engine
    containers: Containers

    def nodes(self, cluster: str) -> list[Node]:
        """Return the nodes of devenv's own cluster.

        Raises DevenvError if another tool made one of that name.
        """
        return own_nodes(self.records, self.engine, self.containers, cluster)

    def require_existing(self, cluster: str) -> list[Node]:
        """Return the nodes of devenv's own cluster. Raises DevenvError if it does not exist."""
        nodes = self.nodes(cluster)
        if not nodes:
            raise no_cluster(cluster, self.records)
        return nodes

    def require_running(self, cluster: str) -> None:
        """Raise DevenvError unless devenv has a cluster of that name and one of its nodes runs."""
        nodes = self.require_existing(cluster)
        if not any(node.status == "running" for node in nodes):
            raise not_running(cluster)

    def require_own(self, cluster: str, kube: Kube) -> None:
        """Raise DevenvError unless the cluster runs and its context leads to it."""
        self.require_running(cluster)
        own_context(kube, self.containers.nodes(cluster), cluster)

    def refuse_unknown(self, cluster: str) -> None:
        """Raise DevenvError if the user named a cluster that does not exist.

        This is for commands that need no cluster. An engine that does not answer raises nothing: it
        may have the cluster.
        """
        known_clusters = {record.cluster for record in self.records.all()}
        if cluster == DEFAULT_CLUSTER or cluster in known_clusters:
            return
        with suppress(NotReachableError):
            if not self.containers.nodes(cluster):
                raise no_cluster(cluster, self.records)

    def refuse_foreign(self, cluster: str) -> None:
        """Raise DevenvError if a kind cluster of that name is not devenv's, or not on this engine.

        An engine that does not answer raises nothing: the facts tell of it.
        """
        try:
            self.nodes(cluster)
        except NotReachableError:
            return
        except DevenvError as error:
            fix = (
                f"Run `devenv doctor --context kind-{cluster}` to read it through its API server"
                " alone."
            )
            error.next_step = f"{error.next_step} {fix}".strip()
            raise
