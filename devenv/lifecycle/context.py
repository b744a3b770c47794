"""What the steps of `up` share."""

from dataclasses import dataclass, field
from typing import Any

from devenv.errors import DevenvError
from devenv.images.sources import Source
from devenv.lifecycle.proven import ProvenImages
from devenv.lifecycle.record import Records
from devenv.lifecycle.replacing import Replacing
from devenv.lifecycle.steps import Arrivals
from devenv.ports import Containers, Engine, Host, Image, Kind, Kube, Node, Reporter
from devenv.profiles.model import Profile
from devenv.profiles.variant import Variant
from devenv.wait import StoppableClock


@dataclass(frozen=True)
class Context:
    """One cluster, its profile, and the world around them."""

    cluster: str
    profile: Profile
    # As it is remembered.
    profile_name: str
    variant: Variant
    host: Host
    clock: StoppableClock
    engine: Engine
    containers: Containers
    kind: Kind
    kube: Kube
    reporter: Reporter
    records: Records
    arrivals: Arrivals
    # The engine's images by name, as last seen.
    seen: dict[str, Image] = field(default_factory=dict)

    @property
    def chosen(self) -> dict[str, Any]:
        """What the record keeps of the profile."""
        p = self.profile
        return {
            "profile": self.profile_name,
            "variant": self.variant,
            "base": p.base,
            "version": p.version,
        }

    def nodes(self) -> list[Node]:
        """Return the cluster's nodes as they are now."""
        return self.containers.nodes(self.cluster)

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else made the cluster."""
        record = self.records.read(self.cluster)
        return record is not None and record.adopted

    @property
    def proven(self) -> ProvenImages:
        """The images that were proven in the cluster."""
        return ProvenImages(self.cluster, self.records, self.containers, self.clock, self.reporter)

    @property
    def replacing(self) -> Replacing:
        """What gives the nodes back the images that they had."""
        return Replacing(self.cluster, self.records, self.containers, self.proven)

    def image(self, source: Source) -> Image:
        """Return the engine's image as last seen: once the nodes hold it, the engine need not have it.

        Raises DevenvError where the engine never had it.
        """
        image = self.engine.image(source.ref) or self.seen.get(source.ref)
        if image is None:
            raise DevenvError(
                f"The engine has lost the image {source.ref}.", next_step="Run `devenv up` again."
            )
        self.seen[source.ref] = image
        return image

    def abandon(self) -> None:
        """Give up what is under way: waits, loads and programs."""
        self.clock.stop()
        self.arrivals.abandon()
        self.host.stop_children()
