"""Facts: what can be seen of an environment at one moment, frozen, as JSON the same on every machine.

A saved file is the support bundle, and `doctor` reads it exactly as it reads a live cluster. What could not be read is in
`unknown`, with the reason: it is never taken for fine.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from devenv.facts.live import PATCHED_ROUTE, Proof
from devenv.ports import EngineInfo, Manifest, Space
from devenv.profiles.base import Model
from devenv.profiles.model import Profile

VERSION = 1
_LATEST = 1e11  # seconds since 1970: what is later is no time


class NodeFacts(Model):
    """A container that kind made. Times are in seconds since 1970, 0 where there is none."""

    name: str
    status: str  # Docker's word: running, exited, paused, created
    address: str = ""
    started: float = Field(default=0, ge=0, le=_LATEST)
    ended: float = Field(default=0, ge=0, le=_LATEST)
    disk: Space | None = None
    load: float | None = (
        None  # processes that ran or waited to, over the last minute; of the machine that the engine is on
    )
    memory: int | None = None  # bytes; of that machine too
    memory_available: int | None = None
    inotify_used_up: bool = False  # no program of its root gets an instance any more
    images: tuple[str, ...] | None = None


class WasteFacts(Model):
    """Images that have lost their names to newer builds, or build cache that no image needs.

    `place`: "engine", or a node; `former_name`: the images' name, "" where it is not known or not
    this cluster's business; `size`: bytes that go with them; `oldest`, `newest`: when they came, in
    seconds since 1970.
    """

    place: str
    former_name: str = ""
    count: int = Field(ge=0)
    size: int = Field(ge=0)
    oldest: float = Field(default=0, ge=0, le=_LATEST)
    newest: float = Field(default=0, ge=0, le=_LATEST)
    build_cache: bool = False


class ContainerLog(Model):
    """Lines of one container's log, each beginning with Kubernetes' timestamp."""

    component: str
    namespace: str
    pod: str
    container: str
    previous: bool = False  # of the container that ran before the last restart
    lines: tuple[str, ...] = ()


class RouteFacts(Model):
    """A route that Envoy has. `filters`: names in its typed_per_filter_config."""

    name: str
    table: str  # the route configuration that it is in
    cluster: str = ""
    filters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # that it matches on


class UpstreamFacts(Model):
    """A cluster that Envoy has, with its endpoints' addresses, each with whether Envoy takes it for healthy."""

    name: str
    type: str = ""
    hosts: Mapping[str, bool] = {}


class ProxyFacts(Model):
    """What one Envoy says of itself (admin interface: /ready, /config_dump, /clusters)."""

    pod: str
    ready: str
    listeners: Mapping[str, tuple[str, ...]] = {}  # listener → its HTTP filters
    routes: tuple[RouteFacts, ...] = ()
    upstreams: tuple[UpstreamFacts, ...] = ()
    rejected: tuple[str, ...] = ()  # configuration that it refused, in its own words

    @property
    def dangling(self) -> list[str]:
        """Filters that routes configure and no listener has (docs/facts/gateway.md)."""
        listener_filters = {name for filters in self.listeners.values() for name in filters}
        return sorted({f for r in self.routes for f in r.filters} - listener_filters)

    @property
    def patched(self) -> bool:
        """Whether it has the route that AIBrix's patch adds."""
        return any(r.name == PATCHED_ROUTE for r in self.routes)


class Declared(Model):
    """An object that the profile's manifests have: a definition, a Service or a workload."""

    kind: str
    namespace: str = ""
    name: str
    selector: Mapping[str, str] = {}  # of a Service
    defines: str = ""  # the kind that a definition is of

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class Facts(Model):
    """One environment at one moment."""

    version: int = Field(default=VERSION, ge=1, le=VERSION)
    devenv: str  # the version that collected them
    taken: float = Field(ge=0, le=_LATEST)  # seconds since 1970
    cluster: str
    profile: Profile
    context: str = ""  # of somebody else's cluster, of which only the API server was asked
    changing: str = ""  # who was changing the cluster
    frozen: str = ""  # who held the cluster's lock and did nothing: stopped, or hanging
    engine: EngineInfo | None = None
    # Why it does not answer, where that is the user's to change.
    engine_trouble: Literal["", "forbidden", "elsewhere"] = ""
    engine_disk: Space | None = None
    inotify: tuple[int, int] | None = None  # (instances, watches)
    port_owner: str = ""  # who listens on the gateway's port
    nodes: tuple[NodeFacts, ...] = ()
    # When `devenv stop` had stopped the cluster, in seconds since 1970; 0 where it has not
    stopped: float = Field(default=0, ge=0, le=_LATEST)
    context_port: int = 0  # where the context kind-NAME leads, 0 where there is none
    api_ports: tuple[int, ...] = ()  # where the nodes' API server is
    objects: Mapping[str, tuple[Manifest, ...]] = {}  # kind → all of that kind, trimmed
    declared: tuple[Declared, ...] | None = None  # None where the profile's manifests were not read
    # Names in the nodes of images that were loaded and never proven, beside one to return to.
    returnable: tuple[str, ...] = ()
    # Names in the engine, of repositories that the pods and the profile name; None where not asked
    engine_images: tuple[str, ...] | None = None
    # What goes first on a full disk; asked for only there.
    waste: tuple[WasteFacts, ...] = ()
    logs: tuple[ContainerLog, ...] = ()
    proxies: tuple[ProxyFacts, ...] = ()
    proofs: tuple[Proof, ...] = ()
    unknown: Mapping[str, str] = {}  # what could not be read → why

    def of(self, kind: str) -> tuple[Manifest, ...]:
        """Return the objects of that kind; none where they could not be read, which `knows` tells."""
        return self.objects.get(kind, ())

    def knows(self, what: str) -> bool:
        """Whether that could be read."""
        return what not in self.unknown

    def one(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return the object of that name."""
        key = (namespace, name)
        return next(
            (
                o
                for o in self.of(kind)
                if (o["metadata"].get("namespace", ""), o["metadata"]["name"]) == key
            ),
            None,
        )

    def declares(self, kind: str) -> list[Declared]:
        """Return what the profile's manifests have of a kind; nothing where they were not read."""
        return [d for d in self.declared or () if d.kind == kind]

    def lines(self, component: str = "") -> Iterator[tuple[ContainerLog, str]]:
        """Yield the log lines of one component, or of all."""
        for log in self.logs:
            if component in {"", log.component}:
                yield from ((log, line) for line in log.lines)


def dump(facts: Facts) -> str:
    """Return the facts as JSON, one key a line at the top, so that two files can be compared."""
    content = json.loads(facts.model_dump_json(by_alias=True))
    return (
        "{\n"
        + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
        + "\n}\n"
    )


def parse(text: str) -> Facts:
    """Return the facts that `dump` wrote. Raises pydantic.ValidationError, which is a ValueError, with all that is wrong."""
    return Facts.model_validate_json(text)


WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")  # whose pods are to run on


def owns(workload: Manifest, pod: Manifest) -> bool:
    """Whether a workload made the pod: labels alone may fit others' pods too."""
    meta, labels = pod["metadata"], pod["metadata"].get("labels") or {}
    if meta.get("namespace") != workload["metadata"].get("namespace"):
        return False
    name = workload["metadata"]["name"]
    by = {
        ("ReplicaSet", f"{name}-{labels.get('pod-template-hash')}"),
        ("StatefulSet", name),
        ("DaemonSet", name),
    }
    return any((o.get("kind"), o.get("name")) in by for o in meta.get("ownerReferences") or ())


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a plain map of labels selects these; an empty one selects nothing, as in a Service."""
    return bool(selector) and all((labels or {}).get(k) == v for k, v in (selector or {}).items())
