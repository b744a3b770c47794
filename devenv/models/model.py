"""The two records of a model: one that is to be added, and one as AIBrix's parts see it."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from devenv.base.digests import sha256_of
from devenv.facts.live import Proof
from devenv.ports.names import Names

# A Service's name. With `-router` appended it still has at most 63 characters.
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,54}[a-z0-9])?")


@dataclass(frozen=True)
class NewModel:
    """A model to add."""

    name: str
    # Empty for a mock.
    image: str = ""
    replicas: int = 1
    port: int = 8000
    namespace: str = "default"
    # In the engine. If the image is rebuilt under the same name, the new ID replaces the pods.
    image_id: str = ""

    @property
    def slug(self) -> str:
        """The name of its objects: the model's own if a Service can have it, else a hashed one."""
        if _SERVICE_NAME.fullmatch(self.name):
            return self.name
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].strip("-")
        checksum = sha256_of(self.name)[:6]
        return f"m-{plain}-{checksum}".replace("--", "-")

    @property
    def has_own_name(self) -> bool:
        """Whether its objects have the model's own name."""
        return self.slug == self.name

    @property
    def route_name(self) -> str:
        """The name of its HTTPRoute, unless a controller that reads annotations hashes one."""
        return f"{self.slug}-router"


class PodCount(NamedTuple):
    """How many pods a model has, and how many of them are ready."""

    ready: int
    total: int


@dataclass(frozen=True)
class ListedModel:
    """A model as each part of AIBrix sees it. A part that does not see the model says why."""

    name: str
    # The plugin's view.
    pods: PodCount
    # The controller's view: Deployments as NAMESPACE/NAME.
    workloads: Names
    route: str
    service: str
    # Empty if no pod is ready.
    proofs: tuple[Proof, ...]
    is_added_by_devenv: bool

    @property
    def answers(self) -> bool:
        """Whether requests of every kind proved their routes."""
        return bool(self.proofs) and all(proof.ok for proof in self.proofs)
