"""Images into the nodes, in the profile's order, from the moment that containerd answers: kubeadm works on meanwhile."""

from dataclasses import dataclass, replace

from devenv.images.load import normalise, present, send
from devenv.images.sources import Source
from devenv.lifecycle.context import Context
from devenv.lifecycle.record import Record
from devenv.wait import Deadline, until

_NODE = 120.0  # seconds for the node's containerd: it answers 2 s after kind begins; kind may have to pull first


@dataclass(frozen=True)
class Loading:
    """Loads what the nodes lack."""

    context: Context

    def run(self, sources: dict[str, Source], note: list[str]) -> None:
        """Return when every node has every image; each is announced to those who wait for it as soon as it is there."""
        at = self.context
        until("The node's containerd", self._containerd_missing, Deadline(at.clock, _NODE), pause=0.1)
        loaded, images = 0, at.profile.cluster_images
        for number, image in enumerate(images):
            at.clock.check()
            at.reporter.update("images", number, len(images), "images")
            at.reporter.detail("images", image.name)
            loaded += self._load(sources[image.name])
            at.arrivals.arrive(normalise(image.ref))
        note.append(f"{loaded} loaded, {len(images) - loaded} were there")

    def _containerd_missing(self) -> str:
        nodes = self.context.nodes()
        self._note_nodes(tuple(n.id for n in nodes))
        wanted = len(self.context.profile.cluster.kind.get("nodes") or [1])
        if len([n for n in nodes if n.status == "running"]) < wanted:
            return "running nodes"
        for node in nodes:
            if self.context.containers.exec(node.name, ["ctr", "version"]).code != 0:
                return f"an answer from {node.name}"
        return ""

    def _note_nodes(self, ids: tuple[str, ...]) -> None:
        """While kind is still at it, note each node as soon as it is seen: a killed run must know its own."""

        def change(record: Record) -> Record:
            return record if record.made else replace(record, nodes=ids)

        if ids:
            self.context.records.update(self.context.cluster, change)

    def _load(self, source: Source) -> bool:
        """Load one image into the nodes that lack it; return whether any did."""
        at = self.context
        image_id, name = at.image_id(source), normalise(source.image.ref)
        lacking = [n for n in at.nodes() if not self._has(n.id, n.name, name, image_id)]
        for node in lacking:
            send(at.containers, at.engine, node.name, source.ref, [name])
            at.records.note_image(at.cluster, node.id, name, image_id)
        return bool(lacking)

    def _has(self, node_id: str, node: str, name: str, image_id: str) -> bool:
        record = self.context.records.read(self.context.cluster)
        known = record is not None and record.loaded.get(node_id, {}).get(name) == image_id
        return known and name in present(self.context.containers, node)
