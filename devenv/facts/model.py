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
# Seconds since 1970: what is later is no time.
_LATEST = 1e11


class NodeFacts(Model):
    """A container that kind made. Times are in seconds since 1970, 0 where there is none."""

    name: str
    # Docker's word: running, exited, paused, created.
    status: str
    address: str = ""
    started: float = Field(default=0, ge=0, le=_LATEST)
    ended: float = Field(default=0, ge=0, le=_LATEST)
    disk: Space | None = None
    load: float | None = (
        # Processes that ran or waited to, over the last minute; of the machine that the engine is on.
        None
    )
    # Bytes; of that machine too.
    memory: int | None = None
    memory_available: int | None = None
    # No program of its root gets an instance any more.
    inotify_used_up: bool = False
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
    # Of the container that ran before the last restart.
    previous: bool = False
    lines: tuple[str, ...] = ()


class RouteFacts(Model):
    """A route that Envoy has. `filters`: names in its typed_per_filter_config."""

    name: str
    # The route configuration that it is in.
    table: str
    cluster: str = ""
    filters: tuple[str, ...] = ()
    # That it matches on.
    headers: tuple[str, ...] = ()


class UpstreamFacts(Model):
    """A cluster that Envoy has, with its endpoints' addresses, each with whether Envoy takes it for healthy."""

    name: str
    type: str = ""
    hosts: Mapping[str, bool] = {}


class ProxyFacts(Model):
    """What one Envoy says of itself (admin interface: /ready, /config_dump, /clusters)."""

    pod: str
    ready: str
    # Listener → its HTTP filters.
    listeners: Mapping[str, tuple[str, ...]] = {}
    routes: tuple[RouteFacts, ...] = ()
    upstreams: tuple[UpstreamFacts, ...] = ()
    # Configuration that it refused, in its own words.
    rejected: tuple[str, ...] = ()

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
    # Of a Service.
    selector: Mapping[str, str] = {}
    # The kind that a definition is of.
    defines: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


class Facts(Model):
    """One environment at one moment."""

    version: int = Field(default=VERSION, ge=1, le=VERSION)
    # The version that collected them.
    devenv: str
    # Seconds since 1970.
    taken: float = Field(ge=0, le=_LATEST)
    cluster: str
    profile: Profile
    # Of somebody else's cluster, of which only the API server was asked.
    context: str = ""
    # Who was changing the cluster.
    changing: str = ""
    # Who held the cluster's lock and did nothing: stopped, or hanging.
    frozen: str = ""
    engine: EngineInfo | None = None
    # Why it does not answer, where that is the user's to change.
    engine_trouble: Literal["", "forbidden", "elsewhere"] = ""
    engine_disk: Space | None = None
    # How many instances and watches a user may have.
    inotify: tuple[int, int] | None = None
    # Who listens on the gateway's port.
    port_owner: str = ""
    nodes: tuple[NodeFacts, ...] = ()
    # When `devenv stop` had stopped the cluster, in seconds since 1970; 0 where it has not
    stopped: float = Field(default=0, ge=0, le=_LATEST)
    # Where the context kind-NAME leads, 0 where there is none.
    context_port: int = 0
    # Where the nodes' API server is.
    api_ports: tuple[int, ...] = ()
    # Kind → all of that kind, trimmed.
    objects: Mapping[str, tuple[Manifest, ...]] = {}
    # None where the profile's manifests were not read.
    declared: tuple[Declared, ...] | None = None
    # Names in the nodes of images that were loaded and never proven, beside one to return to.
    returnable: tuple[str, ...] = ()
    # Names in the engine, of repositories that the pods and the profile name; None where not asked
    engine_images: tuple[str, ...] | None = None
    # What goes first on a full disk; asked for only there.
    waste: tuple[WasteFacts, ...] = ()
    logs: tuple[ContainerLog, ...] = ()
    proxies: tuple[ProxyFacts, ...] = ()
    proofs: tuple[Proof, ...] = ()
    # What could not be read → why.
    unknown: Mapping[str, str] = {}

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


# Whose pods are to run on.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


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
