"""What the steps of `up` share, and what they ask of nodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from devenv.base.errors import DevenvError
from devenv.base.steps import Arrivals
from devenv.base.wait import StoppableClock
from devenv.images.sources.provider import Source
from devenv.install.replacing import Replacing
from devenv.ports.containers import Node
from devenv.ports.engine import Image
from devenv.ports.kind import Kind
from devenv.ports.names import Names
from devenv.profiles.variant import Variant
from devenv.session import Session
from devenv.state.proven import ProvenImages
from devenv.state.record import Record, Records


@dataclass(frozen=True, kw_only=True)
class Context(Session):
    """A session with what `up` needs besides."""

    # What the record calls the profile: its name, or the absolute path of a file.
    profile_name: str
    variant: Variant
    clock: StoppableClock
    kind: Kind
    records: Records
    arrivals: Arrivals
    # The engine's images by name, as last seen.
    last_images: dict[str, Image] = field(default_factory=dict)

    @property
    def chosen(self) -> dict[str, Any]:
        """What the record keeps of the profile, as fields of a Record."""
        return {
            "profile": self.profile_name,
            "variant": self.variant,
            "base": self.profile.base,
            "version": self.profile.version,
        }

    @property
    def record(self) -> Record | None:
        """The cluster's record as it is now, None if it has none."""
        return self.records.read(self.cluster)

    def nodes(self) -> list[Node]:
        """Return the cluster's nodes as they are now."""
        return self.containers.nodes(self.cluster)

    @property
    def is_adopted(self) -> bool:
        """Whether devenv adopted the cluster: another tool or user made it."""
        record = self.record
        return record is not None and record.adopted

    @property
    def proven(self) -> ProvenImages:
        """The images that were proven in this cluster."""
        return ProvenImages(self.cluster, self.records, self.containers, self.clock, self.reporter)

    @property
    def replacing(self) -> Replacing:
        """The loads that replace images in the nodes, all or none, and can be undone."""
        return Replacing(self.cluster, self.records, self.containers, self.proven)

    def image(self, source: Source) -> Image:
        """Return the engine's image, or what the engine last said of one that it no longer has.

        Once the nodes hold an image, the engine need not keep it. Raises DevenvError if the engine
        never had it.
        """
        image = self.engine.image(source.ref) or self.last_images.get(source.ref)
        if image is None:
            what = f"The engine no longer has the image {source.ref}."
            raise DevenvError(what, next_step="Run `devenv up` again.")
        self.last_images[source.ref] = image
        return image

    def abandon(self) -> None:
        """Give up everything that is under way: waits, loads and programs."""
        self.clock.stop()
        self.arrivals.abandon()
        self.host.stop_children()


def node_ids(nodes: Iterable[Node]) -> Names:
    """Return the IDs of the nodes' containers."""
    return tuple(node.id for node in nodes)


def node_names(nodes: Iterable[Node]) -> Names:
    """Return the names of the nodes' containers."""
    return tuple(node.name for node in nodes)


def is_running(node: Node) -> bool:
    """Whether Docker runs the node; a paused one does not count."""
    return node.status == "running"


def is_control_plane(node: Node) -> bool:
    """Whether the node runs an API server. kind says so in the node's name."""
    return "control-plane" in node.name


def running_nodes(nodes: Sequence[Node]) -> list[Node]:
    """Return those of the nodes that run."""
    return list(filter(is_running, nodes))


def are_running(nodes: Sequence[Node]) -> bool:
    """Whether a cluster has nodes, and all of them run."""
    return bool(nodes) and len(running_nodes(nodes)) == len(nodes)
