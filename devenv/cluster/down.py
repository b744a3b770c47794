"""`down`: remove exactly what `up` made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from devenv.base.errors import DevenvError
from devenv.base.steps import step
from devenv.base.wait import locked
from devenv.cluster.kubeconfig import KubeconfigFile
from devenv.cluster.withdraw import Withdraw, brought_images
from devenv.install.context import node_ids
from devenv.install.replacing import Replacing
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.kind import Kind
from devenv.ports.kube import Kube, ObjectKey
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter
from devenv.state.proven import ProvenImages
from devenv.state.record import Record, Records, own_context, own_nodes


@dataclass(frozen=True)
class Removal:
    """What is removed: nodes with their volumes; or, from an adopted cluster, objects and images.

    `stayed` has objects that could not be removed, and why.
    """

    nodes: tuple[Node, ...] = ()
    objects: tuple[ObjectKey, ...] = ()
    images: Names = ()
    stayed: Mapping[ObjectKey, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.nodes or self.objects or self.images)

    def is_same(self, listed: "Removal") -> bool:
        """Whether it removes the same things as the listed one, whatever the nodes' status."""
        same_nodes = set(node_ids(self.nodes)) == set(node_ids(listed.nodes))
        return same_nodes and self.objects == listed.objects and self.images == listed.images


@dataclass(frozen=True)
class Down:
    """Removes one cluster: its nodes with their volumes, and its context.

    The engine's images and devenv's caches stay.
    """

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kind: Kind
    kube: Kube
    provide_kind: Callable[[], object]
    reporter: Reporter

    def plan(self) -> Removal:
        """Return what would be removed. Raises DevenvError if the cluster isn't devenv's own."""
        nodes = own_nodes(self._records, self.engine, self.containers, self.cluster)
        record = self._records.read(self.cluster)
        if not record or not record.adopted:
            return Removal(tuple(nodes))
        if not nodes:
            return Removal()
        images: set[str] = set()
        for node in nodes:
            images.update(brought_images(record, node))
        sorted_images = tuple(sorted(images))
        return Removal(objects=record.objects, images=sorted_images)

    def run(self, wait: float, listed: Removal | None = None) -> Removal:
        """Remove the cluster and return what was removed. `wait`: seconds for the lock.

        `listed`: what the user has agreed to. Raises DevenvError, before anything changes, if that
        has changed since.
        """
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            removal = self.plan()
            record = self._records.read(self.cluster)
            if listed and not removal.is_same(listed):
                what = f"The cluster {self.cluster} has changed since it was listed."
                raise DevenvError(what, "Nothing was removed.", "Run the command again.")
            if removal.nodes:
                self._delete_cluster()
            elif record and not removal.is_empty:
                self._finish_killed_load()
                # Read and planned again, since both may have changed with that.
                record = self._records.read(self.cluster) or record
                removal = self._withdraw(record, self.plan())
            if not removal.stayed:
                self._records.remove(self.cluster)
                KubeconfigFile(self.host, self.cluster).remove()
            return removal

    @property
    def _records(self) -> Records:
        return Records(self.host)

    def _delete_cluster(self) -> None:
        if self.kind.version() is None:
            self.provide_kind()
        with step(self.reporter, f"remove cluster {self.cluster}"):
            self.kind.delete(self.cluster, lambda _: None)

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed: the old images may belong to the cluster's owner."""
        records = self._records
        proven = ProvenImages(self.cluster, records, self.containers, self.clock, self.reporter)
        if problems := Replacing(self.cluster, records, self.containers, proven).undo():
            what = "An interrupted load could not be undone."
            raise DevenvError(what, "\n".join(problems), "Run the command again.")

    def _withdraw(self, record: Record, removal: Removal) -> Removal:
        """Remove what devenv brought into an adopted cluster; return what went and what stayed."""
        nodes = self.containers.nodes(self.cluster)
        own_context(self.kube, nodes, self.cluster)
        with step(self.reporter, f"take devenv's own out of {self.cluster}"):
            stayed = Withdraw(self.kube, self.containers, self.clock).run(record, nodes)
        if stayed:
            # Another `down` tries again.
            self._records.write(replace(record, objects=tuple(stayed), loaded={}))
        removed_objects = tuple(key for key in removal.objects if key not in stayed)
        return replace(removal, objects=removed_objects, stayed=stayed)
