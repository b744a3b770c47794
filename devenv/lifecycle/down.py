"""`down`: removes exactly what `up` made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from devenv.errors import DevenvError
from devenv.lifecycle.proven import ProvenImages
from devenv.lifecycle.record import Key, Record, Records, own_context, own_nodes
from devenv.lifecycle.replacing import Replacing
from devenv.lifecycle.steps import step
from devenv.lifecycle.withdraw import Withdraw, brought_images
from devenv.ports import Clock, Containers, Engine, Host, Kind, Kube, Node, Reporter
from devenv.wait import locked


@dataclass(frozen=True)
class Removal:
    """What goes: nodes with their volumes; or, from an adopted cluster, objects and images.

    `stayed` has objects that could not go, and why.
    """

    nodes: tuple[Node, ...] = ()
    objects: tuple[Key, ...] = ()
    images: tuple[str, ...] = ()
    stayed: Mapping[Key, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.nodes or self.objects or self.images)

    def is_same(self, other: "Removal") -> bool:
        """Whether the other removal removes the same things, whatever the state of its nodes."""
        node_ids = [{node.id for node in removal.nodes} for removal in (self, other)]
        return node_ids[0] == node_ids[1] and (self.objects, self.images) == (
            other.objects,
            other.images,
        )


@dataclass(frozen=True)
class Down:
    """Removes one cluster: its nodes with their volumes, and its context. Images and caches stay."""

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
        """What would be removed. Raises DevenvError where the cluster isn't devenv's own."""
        nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
        record = Records(self.host).read(self.cluster)
        if record and record.adopted:
            images = {name for node in nodes for name in brought_images(record, node)}
            return Removal((), record.objects, tuple(sorted(images))) if nodes else Removal()
        return Removal(tuple(nodes))

    def run(self, wait: float, listed: Removal | None = None) -> Removal:
        """Remove it and return what was removed; nothing where there is nothing. `wait`: seconds for the lock.

        `listed`: what the user has agreed to. Raises DevenvError, before anything changes, if that is no longer the same.
        """
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            removal, record = self.plan(), Records(self.host).read(self.cluster)
            if listed and not removal.is_same(listed):
                what = f"The cluster {self.cluster} has changed since it was listed."
                raise DevenvError(what, "Nothing was removed.", "Run the command again.")
            if removal.nodes and self.kind.version() is None:
                self.provide_kind()
            if removal.nodes:
                with step(self.reporter, f"remove cluster {self.cluster}"):
                    self.kind.delete(self.cluster, lambda _: None)
            elif record and (removal.objects or removal.images):
                self._finish_killed_load()
                removal = self._withdraw(
                    Records(self.host).read(self.cluster) or record, self.plan()
                )
            if not removal.stayed:
                Records(self.host).remove(self.cluster)
            return removal

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed: the old images may belong to the cluster's owner."""
        records = Records(self.host)
        proven = ProvenImages(self.cluster, records, self.containers, self.clock, self.reporter)
        if problems := Replacing(self.cluster, records, self.containers, proven).undo():
            what = "An interrupted load could not be undone."
            raise DevenvError(what, "\n".join(problems), "Run the command again.")

    def _withdraw(self, record: Record, removal: Removal) -> Removal:
        nodes = self.containers.nodes(self.cluster)
        own_context(self.kube, nodes, self.cluster)
        with step(self.reporter, f"take devenv's own out of {self.cluster}"):
            stayed = Withdraw(self.kube, self.containers, self.clock).run(record, nodes)
        # Another `down` tries again.
        if stayed:
            Records(self.host).write(replace(record, objects=tuple(stayed), loaded={}))
        return replace(
            removal, objects=tuple(k for k in removal.objects if k not in stayed), stayed=stayed
        )
