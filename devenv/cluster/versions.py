"""`version`: the versions of devenv, of the programs that it uses, and of what a cluster runs."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from devenv import __version__
from devenv.base.errors import DevenvError, NotFoundError
from devenv.base.image_names import tag_of
from devenv.facts.looks import Looks
from devenv.facts.objects import fields_of, items_of
from devenv.install.context import is_control_plane
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine
from devenv.ports.kind import Kind
from devenv.ports.kube import Kube
from devenv.ports.names import Names
from devenv.state.record import Record, Records, own_context, own_nodes

# Seconds for everything that is asked.
_SECONDS = 3.0
# Where kind's node images say which Kubernetes they have; kind itself reads it, too.
_VERSION_FILE = "/kind/version"
# Envoy Gateway's Deployment, and the container in it.
_NAMESPACE, _CONTROLLER = "envoy-gateway-system", "envoy-gateway"
# What is asked, by the names that outputs have.
ENGINE, KIND, NODES = "engine", "kind", "nodes"
KUBERNETES, ENVOY_GATEWAY = "kubernetes", "envoy_gateway"


@dataclass(frozen=True)
class ClusterVersions:
    """The versions in a cluster, "" for what it does not have or does not tell."""

    name: str
    profile: str
    kubernetes: str = ""
    envoy_gateway: str = ""
    # "" if the profile does not install AIBrix.
    aibrix: str = ""
    # The folder that AIBrix was built from.
    checkout: str = ""


@dataclass(frozen=True)
class Versions:
    """All versions. What is not installed, or did not answer, is ""."""

    kind: str
    engine: str
    # None if devenv has no such cluster.
    cluster: ClusterVersions | None
    # The names of what did not answer.
    no_answer: Names
    devenv: str = __version__
    python: str = platform.python_version()


@dataclass(frozen=True)
class VersionReader:
    """Asks for versions, all at once. Silence is not an error."""

    cluster: str
    clock: Clock
    engine: Engine
    containers: Containers
    kind: Kind
    kube: Kube
    records: Records

    def read(self) -> Versions:
        """Return the versions within about 3 s."""
        looks = Looks(self.clock, _SECONDS, _SECONDS)
        looks.begin(ENGINE, lambda: self.engine.info().version)
        looks.begin(KIND, self.kind.version)
        record = self._record()
        cluster = self._cluster(looks, record) if record else None
        kind, engine = looks.get(KIND, None) or "", looks.get(ENGINE, "")
        return Versions(kind, engine, cluster, tuple(looks.unknown))

    def _record(self) -> Record | None:
        """Return the cluster's record, None if it has none that can be read."""
        try:
            return self.records.read(self.cluster)
        except DevenvError:
            return None

    def _cluster(self, looks: Looks, record: Record) -> ClusterVersions | None:
        """Return the cluster's versions, None if the engine does not have it."""
        looks.begin(NODES, self._nodes)
        nodes: list[Node] | None = looks.get(NODES, None)
        # It may exist if the engine does not answer.
        if nodes == []:
            return None
        looks.begin(KUBERNETES, lambda: self._read_kubernetes(nodes or ()))
        looks.begin(ENVOY_GATEWAY, lambda: self._read_envoy_gateway(nodes or ()))
        return ClusterVersions(
            name=record.cluster,
            profile=record.profile,
            kubernetes=looks.get(KUBERNETES, ""),
            envoy_gateway=looks.get(ENVOY_GATEWAY, ""),
            aibrix=record.version,
            checkout=record.variant.checkout,
        )

    def _nodes(self) -> list[Node]:
        return own_nodes(self.records, self.engine, self.containers, self.cluster)

    def _read_kubernetes(self, nodes: Sequence[Node]) -> str:
        """Return the version that the node image names, which needs no API server."""
        control_planes = filter(is_control_plane, nodes)
        node = next(control_planes, None)
        if node is None:
            raise NotFoundError("No node was seen.")
        return self.containers.read_file(node.name, _VERSION_FILE).decode().strip()

    def _read_envoy_gateway(self, nodes: Sequence[Node]) -> str:
        """Return the tag of the controller's image, "" without a controller."""
        own_context(self.kube, nodes, self.cluster)
        deployment = self.kube.get("apps/v1", "Deployment", _NAMESPACE, _CONTROLLER)
        template = fields_of(fields_of(deployment, "spec"), "template")
        for container in items_of(fields_of(template, "spec"), "containers"):
            if container.get("name") == _CONTROLLER:
                return tag_of(str(container.get("image") or ""))
        return ""
