"""Facts: all that was seen of an environment at one moment, frozen and serialisable.

A saved file is the support bundle, and `doctor` reads it exactly as it reads a live cluster. What
could not be read is in `unknown`, with the reason: it is never taken for fine.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Literal

from pydantic import Field

from devenv.facts.live import PATCHED_ROUTE, Proof
from devenv.facts.objects import labels_of, name_of, namespace_of, owners_of
from devenv.ports.engine import EngineInfo
from devenv.ports.host import Space
from devenv.ports.kube import Manifest
from devenv.profiles.base import Model
from devenv.profiles.model import Profile

VERSION = 1
# Seconds since 1970. A later value is not a time.
_LATEST = 1e11


class UnitFacts(Model):
    """A systemd unit of a node, as systemd describes it."""

    # kubelet, containerd.
    name: str
    # systemd's words: active, activating, deactivating, inactive, failed; auto-restart, dead …
    state: str
    detail: str = ""
    # Its last end: success, exit-code, signal, oom-kill …
    result: str = ""
    exit_code: int = 0
    # How often systemd has restarted it by itself.
    restarts: int = 0
    # Since when it is active, or since when it is not; in seconds since 1970, 0 if unknown.
    since: float = Field(default=0, ge=0, le=_LATEST)
    # The end of its journal; read only if something in the node is wrong.
    lines: tuple[str, ...] = ()


class StaticPodFacts(Model):
    """A part of the control plane that a node's kubelet runs from a file, such as etcd.

    All but `name`, `manifest` and `changed` is read only if something in the node is wrong. Times
    are in seconds since 1970, 0 if unknown.
    """

    name: str
    # Whether the kubelet's folder has its manifest.
    manifest: bool = True
    # When the manifest was last written; without it, when the folder lost or got a file.
    changed: float = Field(default=0, ge=0, le=_LATEST)
    # When kubeadm's own settings were last written: a later manifest was edited.
    configured: float = Field(default=0, ge=0, le=_LATEST)
    # Of its newest container: running, exited, created; "" for no container, None if not read.
    state: str | None = None
    exit_code: int = 0
    # How often the kubelet has restarted it.
    restarts: int = 0
    started: float = Field(default=0, ge=0, le=_LATEST)
    ended: float = Field(default=0, ge=0, le=_LATEST)
    # Whether it answers when its node asks for its health; None if it was not asked, or refuses.
    answers: bool | None = None
    # The end of its log, each line beginning with its time.
    lines: tuple[str, ...] = ()


class NodeFacts(Model):
    """A container that kind made. Times are in seconds since 1970, 0 if unknown."""

    name: str
    # Docker's word: running, exited, paused, created.
    status: str
    address: str = ""
    started: float = Field(default=0, ge=0, le=_LATEST)
    ended: float = Field(default=0, ge=0, le=_LATEST)
    disk: Space | None = None
    # Processes of the engine's machine that ran or waited to run, over the last minute.
    load: float | None = None
    # Bytes of the engine's machine.
    memory: int | None = None
    memory_available: int | None = None
    # Whether none of root's programs gets an inotify instance any more.
    inotify_used_up: bool = False
    images: tuple[str, ...] | None = None
    # Seconds by which its clock is ahead of the host's, None if not read.
    clock_lead: float | None = None
    units: tuple[UnitFacts, ...] = ()
    # Of a node with a control plane.
    static_pods: tuple[StaticPodFacts, ...] = ()
    # Networks of the engine that it belongs to and that do not exist any more.
    missing_networks: tuple[str, ...] = ()


class WasteFacts(Model):
    """Images that have lost their names to newer builds, or build cache that no image needs.

    `place` is "engine" or a node. `former_name` is the images' name, "" if it is unknown or another
    project's. `size` is the bytes that go with them. `oldest` and `newest` say when they came, in
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
    # Whether it is of the run before the last restart.
    previous: bool = False
    lines: tuple[str, ...] = ()


class RouteFacts(Model):
    """A route that Envoy has. `filters`: names in its typed_per_filter_config."""

    name: str
    # The route configuration that it is in.
    table: str
    cluster: str = ""
    filters: tuple[str, ...] = ()
    # Headers that it matches on.
    headers: tuple[str, ...] = ()


class UpstreamFacts(Model):
    """A cluster that Envoy has."""

    name: str
    type: str = ""
    # Address of an endpoint → whether Envoy takes it for healthy.
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
        listener_filters = set(chain.from_iterable(self.listeners.values()))
        route_filters = set(chain.from_iterable(route.filters for route in self.routes))
        return sorted(route_filters - listener_filters)

    @property
    def patched(self) -> bool:
        """Whether it has the route that AIBrix's patch adds."""
        return any(route.name == PATCHED_ROUTE for route in self.routes)


class LaterAnswers(Model):
    """Requests that a server answered well after the last failed one of a group, by its route.

    `users` and `own` count those of users and devenv's own. `longest` is in ms, `largest` is the
    bytes of a request's body.
    """

    users: int = 0
    own: int = 0
    longest: int = 0
    largest: int = 0


class FailedRequests(Model):
    """Requests of users that failed alike, by Envoy's access log. Times: seconds since 1970."""

    # The rule of Envoy's route, "" if no route fits them.
    route: str = ""
    # Of a request without a route.
    path: str = ""
    # Who made the answers: a Maker of devenv/facts/traffic.py.
    maker: str
    status: int = 0
    flags: str = ""
    details: str = ""
    count: int = Field(ge=1)
    # All requests of users by that route, from the first of these to the last.
    requests: int = Field(ge=1)
    first_time: float = Field(default=0, ge=0, le=_LATEST)
    last_time: float = Field(default=0, ge=0, le=_LATEST)
    # The longest took so many ms.
    longest: int = Field(default=0, ge=0)
    # The largest body had so many bytes when Envoy answered.
    largest: int = Field(default=0, ge=0)
    # The last one, in words.
    text: str = ""
    later: LaterAnswers = LaterAnswers()


class TrafficFacts(Model):
    """What one Envoy's access log of the last minutes says of users' requests.

    `since`: the time of the earliest line that was read, in seconds since 1970; 0 if there is none.
    `requests` counts those of users.
    """

    pod: str
    since: float = Field(default=0, ge=0, le=_LATEST)
    requests: int = Field(default=0, ge=0)
    failed: tuple[FailedRequests, ...] = ()


class Declared(Model):
    """An object that the profile's manifests have, of a kind that facts hold."""

    kind: str
    namespace: str = ""
    name: str
    # A Service's selector.
    selector: Mapping[str, str] = {}
    # The kind that a definition defines.
    defines: str = ""
    # The object, trimmed as a live one; {} for a definition, and in facts of older versions.
    content: Mapping[str, Any] = {}
    # The limit that it sets to requests (devenv/facts/limits.py), 0 for none.
    limit: float = 0.0

    def __str__(self) -> str:
        if not self.namespace:
            return f"{self.kind} {self.name}"
        return f"{self.kind} {self.namespace}/{self.name}"


class Facts(Model):
    """One environment at one moment."""

    version: int = Field(default=VERSION, ge=1, le=VERSION)
    # The version of devenv that collected them.
    devenv: str
    # Seconds since 1970.
    taken: float = Field(ge=0, le=_LATEST)
    cluster: str
    profile: Profile
    # The context of a cluster that devenv does not own: only its API server was asked.
    context: str = ""
    # The process that was changing the cluster.
    changing: str = ""
    # The process that held the cluster's lock and did nothing, because it was stopped or hung.
    frozen: str = ""
    engine: EngineInfo | None = None
    # Why the engine does not answer, if the user can change that.
    engine_trouble: Literal["", "forbidden", "elsewhere"] = ""
    engine_disk: Space | None = None
    # How many inotify instances and watches a user may have.
    inotify: tuple[int, int] | None = None
    # The process that listens on the gateway's port.
    port_owner: str = ""
    nodes: tuple[NodeFacts, ...] = ()
    # When `devenv stop` had stopped the cluster, in seconds since 1970; 0 if it has not.
    stopped: float = Field(default=0, ge=0, le=_LATEST)
    # The port that the context kind-NAME leads to, 0 if there is none.
    context_port: int = 0
    # The ports of the nodes' API servers.
    api_ports: tuple[int, ...] = ()
    # What the API server answered instead of an object, in its own words; "" if it did not.
    api_answer: str = ""
    # Whether the context's credentials or certificate are what it does not accept.
    api_distrust: bool = False
    # Kind → all objects of that kind, trimmed.
    objects: Mapping[str, tuple[Manifest, ...]] = {}
    # None if the profile's manifests were not read.
    declared: tuple[Declared, ...] | None = None
    # Names in the nodes of images that were loaded and never proven, beside one to return to.
    returnable: tuple[str, ...] = ()
    # Names in the engine, of repositories that the pods and the profile name; None if not asked.
    engine_images: tuple[str, ...] | None = None
    # What goes first on a full disk. It is read only if a disk is full.
    waste: tuple[WasteFacts, ...] = ()
    logs: tuple[ContainerLog, ...] = ()
    proxies: tuple[ProxyFacts, ...] = ()
    # Facts saved by older versions have none.
    traffic: tuple[TrafficFacts, ...] = ()
    proofs: tuple[Proof, ...] = ()
    # Of requests whose answers take long; none unless they were asked for.
    long_proofs: tuple[Proof, ...] = ()
    # What could not be read → why.
    unknown: Mapping[str, str] = {}

    @property
    def now(self) -> float:
        """`taken` by the nodes' clock, by which the times of objects, logs and nodes are told."""
        leads = [node.clock_lead for node in self.nodes if node.clock_lead]
        return self.taken + (leads[0] if leads else 0.0)

    def of(self, kind: str) -> tuple[Manifest, ...]:
        """Return the objects of that kind; none if they could not be read, which `knows` tells."""
        return self.objects.get(kind, ())

    def knows(self, what: str) -> bool:
        """Whether a look of that name, such as a kind, could be read."""
        return what not in self.unknown

    def one(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return the object of that name, or None."""
        for obj in self.of(kind):
            if (namespace_of(obj), name_of(obj)) == (namespace, name):
                return obj
        return None

    def declares(self, kind: str) -> list[Declared]:
        """Return the objects of a kind that the profile's manifests have; none if unread."""
        return [d for d in self.declared or () if d.kind == kind]

    def lines(self, component: str = "") -> Iterator[tuple[ContainerLog, str]]:
        """Yield the log lines of one component, or of all."""
        for log in self.logs:
            if component in {"", log.component}:
                for line in log.lines:
                    yield log, line


def dump(facts: Facts) -> str:
    """Return the facts as JSON, one top-level key a line, so that two files can be compared."""
    content = json.loads(facts.model_dump_json(by_alias=True))
    entries = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(entries) + "\n}\n"


def parse(text: str) -> Facts:
    """Return the facts that `dump` wrote.

    Raises pydantic.ValidationError, which is a ValueError, with all that is wrong.
    """
    return Facts.model_validate_json(text)


# Kinds whose pods are to run on.
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def owns(workload: Manifest, pod: Manifest) -> bool:
    """Whether a workload made the pod. Its labels alone may fit another workload's pods too."""
    if namespace_of(pod) != namespace_of(workload):
        return False
    name = name_of(workload)
    # A Deployment's pods belong to its ReplicaSet.
    template_hash = labels_of(pod).get("pod-template-hash")
    replica_set = f"{name}-{template_hash}"
    makers = {("ReplicaSet", replica_set), ("StatefulSet", name), ("DaemonSet", name)}
    return any((owner.get("kind"), owner.get("name")) in makers for owner in owners_of(pod))


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str] | None) -> bool:
    """Whether a map of labels, as a Service has it, selects these. An empty one selects nothing."""
    if not selector:
        return False
    present_labels = labels or {}
    return all(present_labels.get(key) == value for key, value in selector.items())
