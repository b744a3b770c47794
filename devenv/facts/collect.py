"""Collects the facts of one environment, side by side, within a time limit.

It changes nothing and takes no lock.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, Protocol

from devenv import __version__
from devenv.base.counting import ports_in_words
from devenv.base.errors import (
    DevenvError,
    ElsewhereError,
    ForbiddenError,
    RefusedError,
    UntrustedError,
)
from devenv.facts import envoy, traffic
from devenv.facts.anywhere import concerning, discovered
from devenv.facts.container_logs import ContainerLogReader
from devenv.facts.df import is_nearly_full
from devenv.facts.labels import GATEWAY_NAME, GATEWAY_NAMESPACE
from devenv.facts.leases import LEASE, expired
from devenv.facts.live import Proof
from devenv.facts.looks import Looks
from devenv.facts.model import (
    ContainerLog,
    Declared,
    Facts,
    NodeFacts,
    ProxyFacts,
    TrafficFacts,
    WasteFacts,
    selects,
)
from devenv.facts.nodes import KubeletReader, NodeReader, is_in_trouble
from devenv.facts.objects import items_of, name_of, namespace_of, status_of
from devenv.facts.references import SECRET
from devenv.facts.revisions import KEEPERS, lasting_pods
from devenv.facts.trim import config_map, only_metadata, revision, trimmed
from devenv.ports.containers import Node
from devenv.ports.engine import EngineInfo
from devenv.ports.envoy import Envoy
from devenv.ports.host import Holder, Space
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component, LiveRequest, Profile
from devenv.profiles.quantities import lasting
from devenv.session import Session

GATEWAY_API = "gateway.networking.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
EXTENSIONS = "gateway.envoyproxy.io/v1alpha1"
KINDS = (
    ("v1", "Node"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "Event"),
    ("v1", "ConfigMap"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ResourceQuota"),
    ("v1", "ServiceAccount"),
    ("v1", SECRET),
    ("storage.k8s.io/v1", "StorageClass"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "ControllerRevision"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("coordination.k8s.io/v1", "Lease"),
    (GATEWAY_API, "GatewayClass"),
    (GATEWAY_API, "Gateway"),
    (GATEWAY_API, "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"),
    (EXTENSIONS, "EnvoyProxy"),
    (EXTENSIONS, "EnvoyPatchPolicy"),
    (EXTENSIONS, "EnvoyExtensionPolicy"),
    (EXTENSIONS, "ClientTrafficPolicy"),
    ("model.aibrix.ai/v1alpha1", "ModelAdapter"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    (ADMISSION, "MutatingWebhookConfiguration"),
    (ADMISSION, "ValidatingWebhookConfiguration"),
)
# Kinds of which only the metadata is read: whether an object exists is enough.
BARE = {"ServiceAccount", SECRET, "StorageClass", "PriorityClass"}
# Kinds that facts saved by older versions lack.
NEWEST = {
    "DaemonSet",
    *KEEPERS.values(),
    "Namespace",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "ResourceQuota",
    *BARE,
}
# Kinds that few may list. Without them a diagnosis knows less, which is neither fault nor unknown.
_OPTIONAL = {SECRET}
# Events that are not warnings, and tell why a pod had to end or since when a workload is scaled.
_TELLING_REASONS = {"ScalingReplicaSet", "Preempted", "TaintManagerEviction"}
_PROBE_KILL = "failed"
# Kinds that those lack too, and that matter only for AIBrix's own control plane.
LATER = {"EndpointSlice", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
CRD = "CustomResourceDefinition"
# What was to be read of long requests, and the name of its look.
LONG_REQUESTS = "long requests"
# Names of looks, which are also keys of `Facts.unknown`.
API, ENGINE, REQUESTS, NODES = "API server", "engine", "live requests", "nodes"
DECLARED = "the profile's manifests"
_DEFINITIONS = ("apiextensions.k8s.io/v1", CRD)
# In kind's nodes.
_API_PORT = 6443
# Seconds for one look.
_EACH = 6.0
# Seconds after which an API server counts as silent for a closer look at its node.
_SOON = 2.0
# Seconds for a live request.
_ANSWER = 4.0
# Seconds until a long answer begins: more than the 15 that Envoy Gateway allows by default.
LONG_ANSWER = 16.0
# Seconds for a long answer, and for the look that waits for it.
_LONG_LIMIT, _LONG_LOOK = LONG_ANSWER + 6, LONG_ANSWER + 12
_NO_MOCK = "none was sent: no model of the profile runs devenv's mock, and others cost tokens"

EngineTrouble = Literal["", "forbidden", "elsewhere"]
# Kind → its objects.
Objects = Mapping[str, tuple[Manifest, ...]]


class Requests(Protocol):
    """Sends live requests."""

    def probe(self, requests: Iterable[LiveRequest], timeout: float, *, api: bool) -> list[Proof]:
        """Send them, and return what each showed.

        `timeout` is in seconds. `api`: whether the API server can be asked for what proves them.
        """

    def probe_long(
        self, requests: Iterable[LiveRequest], delay: float, timeout: float
    ) -> list[Proof]:
        """Send those that ask devenv's mock, each for an answer after `delay` seconds."""


@dataclass(frozen=True)
class _Cluster:
    """What the engine tells of a cluster, and the port that the cluster's context leads to."""

    engine: EngineInfo | None
    nodes: Sequence[Node]
    # 0 if the context leads nowhere or could not be read.
    context_port: int

    @property
    def may_run(self) -> bool:
        """Whether a node runs, or may run because the engine does not answer."""
        return not self.engine or self.has_running_node

    @property
    def has_running_node(self) -> bool:
        return any(node.status == "running" for node in self.nodes)

    @property
    def why_stopped(self) -> str:
        """Why the API server of a cluster without a running node can't be asked."""
        if self.nodes:
            return "no node is running"
        return "the cluster does not exist"

    @property
    def api_ports(self) -> list[int]:
        """The ports of the host that lead to the API server of a node."""
        ports: set[int] = set()
        for node in self.nodes:
            for inside, outside in node.ports:
                if inside == _API_PORT:
                    ports.add(outside)
        return sorted(ports)


@dataclass(frozen=True)
class Collector:
    """Looks at one cluster, and at the engine and the host beneath it."""

    session: Session
    envoy: Envoy
    requests: Requests
    # The objects that the profile's manifests have.
    declared: Callable[[], tuple[Declared, ...] | None] = lambda: None
    # Names in the nodes of images that were loaded and never proven, beside one to return to.
    returnable: Callable[[], tuple[str, ...]] = tuple
    # When `devenv stop` had stopped the cluster.
    stopped: Callable[[], float] = lambda: 0.0
    # What goes first on a full disk.
    waste: Callable[[], tuple[WasteFacts, ...]] = tuple

    def collect(self, seconds: float, *, long: bool = False) -> Facts:
        """Return the facts within about `seconds`; `unknown` names what could not be read.

        `long`: whether requests whose answers take long are sent, too.
        """
        looks = Looks(self.session.clock, seconds, _EACH)
        taken = self.session.clock.now()
        engine_troubles: list[EngineTrouble] = []
        api_errors: list[DevenvError] = []
        self._begin_first_looks(looks, engine_troubles, api_errors)
        engine: EngineInfo | None = looks.get(ENGINE, None)
        nodes: list[Node] = looks.get(NODES, [])
        self._begin_further_looks(looks, engine, nodes)
        cluster = _Cluster(engine, nodes, looks.get("context", 0))
        api = self._wait_for_api(looks, cluster)
        self._begin_requests(looks, cluster, api=api)
        if long and api:
            self._begin_long_requests(looks)
        objects: dict[str, tuple[Manifest, ...]] = {}
        logs: tuple[ContainerLog, ...] = ()
        proxies: tuple[ProxyFacts, ...] = ()
        traffic_looks: list[str] = []
        if api:
            objects = self._all_objects(looks)
            traffic_looks = self._begin_traffic(looks, self.session.profile, objects)
            logs, proxies = self._read_pods(looks, objects)
        engine_images = self._engine_images(looks, objects)
        stopped = looks.get("stop", 0.0)
        changing, frozen = _lock_state(looks)
        # Without these two, only a hint is missing.
        for hint in ("engine's images", "stop"):
            looks.unknown.pop(hint, None)
        return Facts(
            devenv=__version__,
            taken=taken,
            cluster=self.session.cluster,
            profile=self.session.profile,
            changing=changing,
            frozen=frozen,
            engine=engine,
            engine_trouble=next(iter(engine_troubles), ""),
            engine_disk=looks.get("engine's disk", None),
            inotify=looks.get("inotify", None),
            port_owner=looks.get("port", ""),
            nodes=tuple(_node_facts(looks, node) for node in nodes),
            stopped=stopped,
            context_port=cluster.context_port,
            api_ports=tuple(cluster.api_ports),
            **_api_answer(looks, api_errors),
            objects=objects,
            declared=looks.get(DECLARED, None),
            returnable=looks.get("record", ()),
            waste=self._own_waste(looks, objects),
            engine_images=engine_images,
            logs=logs,
            proxies=proxies,
            traffic=_gathered_traffic(looks, traffic_looks),
            proofs=tuple(looks.get(REQUESTS, ())),
            long_proofs=_long_proofs(looks) if long and api else (),
            unknown=looks.unknown,
        )

    def collect_api(self, seconds: float, context: str) -> Facts:
        """Return what the API server alone can tell of any cluster.

        This needs no more than the right to read.
        """
        looks = Looks(self.session.clock, seconds, seconds)
        taken = self.session.clock.now()
        api_errors: list[DevenvError] = []
        looks.begin(API, partial(self._answers, api_errors))
        api = looks.get(API, otherwise=False) or any(map(_is_about_rights, api_errors))
        if api:
            # Each kind tells by itself what may not be read.
            looks.unknown.pop(API, None)
        all_objects = self._objects(looks) if api else {}
        profile = discovered(context, all_objects)
        objects = concerning(all_objects, profile)
        node_names = list(map(name_of, objects.get("Node", ())))
        kubelets = KubeletReader(self.session.kube, looks.unknown)
        looks.begin("nodes' disks", lambda: kubelets.read_all(node_names))
        traffic_looks = self._begin_traffic(looks, profile, objects)
        logs = self._read_logs(looks, profile, objects)
        nodes: list[NodeFacts] = looks.get("nodes' disks", [])
        return Facts(
            devenv=__version__,
            taken=taken,
            cluster=context,
            context=context,
            profile=profile,
            **_api_answer(looks, api_errors),
            nodes=tuple(nodes),
            objects=objects,
            logs=logs,
            traffic=_gathered_traffic(looks, traffic_looks),
            unknown=looks.unknown,
        )

    # The engine and the host

    def _begin_first_looks(
        self, looks: Looks, engine_troubles: list[EngineTrouble], api_errors: list[DevenvError]
    ) -> None:
        """Begin the looks that need nothing else to be known."""
        session = self.session
        port = session.profile.gateway.host_port
        looks.begin(ENGINE, partial(self._ask_engine, engine_troubles))
        looks.begin(NODES, partial(session.containers.nodes, session.cluster))
        looks.begin(API, partial(self._answers, api_errors))
        looks.begin("context", session.kube.server_port)
        looks.begin("port", lambda: session.host.port_owner(port) or "")

    def _begin_further_looks(
        self, looks: Looks, engine: EngineInfo | None, nodes: Sequence[Node]
    ) -> None:
        """Begin the looks that need the engine and the nodes, and those that may wait for them."""
        if engine and engine.local:
            looks.begin("engine's disk", partial(self.session.host.space, engine.data_root))
            looks.begin("inotify", self.session.host.inotify)
        else:
            looks.begin("engine's disk", _nothing)
            looks.begin("inotify", _nothing)
        looks.begin(DECLARED, self.declared)
        looks.begin("engine's images", self.session.engine.names)
        looks.begin("record", self.returnable)
        looks.begin("stop", self.stopped)
        lock = f"cluster-{self.session.cluster}"
        looks.begin("lock", partial(self.session.host.lock_holder, lock))
        reader = NodeReader(self.session.containers, self.session.clock)
        for node in nodes:
            looks.begin(f"node {node.name}", partial(reader.read, node))
            looks.begin(
                f"programs of {node.name}", partial(self._programs_if_troubled, looks, node)
            )
        looks.begin("waste", partial(self._waste_if_full, looks, nodes))

    def _begin_requests(self, looks: Looks, cluster: _Cluster, *, api: bool) -> None:
        if cluster.may_run:
            requests = self.session.profile.requests
            looks.begin(REQUESTS, lambda: self.requests.probe(requests, _ANSWER, api=api))
        else:
            looks.begin(REQUESTS, list)

    def _begin_long_requests(self, looks: Looks) -> None:
        requests = self.session.profile.requests
        ask = partial(self.requests.probe_long, requests, LONG_ANSWER, _LONG_LIMIT)
        looks.begin(LONG_REQUESTS, ask, _LONG_LOOK)

    def _ask_engine(self, engine_troubles: list[EngineTrouble]) -> EngineInfo:
        """Return the engine's description. Why it did not answer goes to `engine_troubles`."""
        try:
            return self.session.engine.info()
        except ForbiddenError:
            engine_troubles.append("forbidden")
            raise
        except ElsewhereError:
            engine_troubles.append("elsewhere")
            raise

    def _waste_if_full(self, looks: Looks, nodes: Sequence[Node]) -> tuple[WasteFacts, ...]:
        """Return what goes first if a disk is full; otherwise ask nothing."""
        disks: list[Space | None] = [looks.get("engine's disk", None)]
        disks += [_first_facts(looks, node).disk for node in nodes]
        known_disks = filter(None, disks)
        if any(map(is_nearly_full, known_disks)):
            return self.waste()
        return ()

    def _programs_if_troubled(self, looks: Looks, node: Node) -> NodeFacts | None:
        """Return a node's facts after a closer look, None if nothing calls for one."""
        facts = _first_facts(looks, node)
        is_silent = not looks.succeeds(API, _SOON)
        if node.status != "running" or not (facts.units or facts.static_pods):
            return None
        now = self.session.clock.now() + (facts.clock_lead or 0)
        if is_in_trouble(facts, now) or is_silent or self._has_expired_leases():
            reader = NodeReader(self.session.containers, self.session.clock)
            return reader.look_closely(facts)
        return None

    def _has_expired_leases(self) -> bool:
        return bool(expired(self.session.kube.select(*LEASE)))

    def _own_waste(self, looks: Looks, objects: Objects) -> tuple[WasteFacts, ...]:
        """Return the waste on the full disk, without the names of other projects' images."""
        waste: tuple[WasteFacts, ...] = looks.get("waste", ())
        # Without it, a finding only says less.
        looks.unknown.pop("waste", None)
        former_names = [entry.former_name for entry in waste]
        own_names = related_images(former_names, self.session.profile, objects)
        return tuple(_without_foreign_name(entry, own_names) for entry in waste)

    def _engine_images(self, looks: Looks, objects: Objects) -> tuple[str, ...] | None:
        names: list[str] | None = looks.get("engine's images", None)
        if names is None:
            return None
        return tuple(related_images(names, self.session.profile, objects))

    # The API server

    def _answers(self, api_errors: list[DevenvError]) -> bool:
        """Return True. Raises DevenvError if the API server does not answer, or with an error.

        An error that is an answer goes to `api_errors`.
        """
        try:
            self.session.kube.get("v1", "Namespace", "", "kube-system")
        except (RefusedError, UntrustedError) as error:
            api_errors.append(error)
            raise
        return True

    def _wait_for_api(self, looks: Looks, cluster: _Cluster) -> bool:
        """Wait for the API server's answer. If it can't be asked, `unknown` gets the reason."""
        if not cluster.may_run:
            looks.unknown[API] = cluster.why_stopped
            return False
        port, api_ports = cluster.context_port, cluster.api_ports
        is_port_known = "context" not in looks.unknown
        if cluster.has_running_node and is_port_known and port not in api_ports:
            looks.unknown[API] = (
                f"the context kind-{self.session.cluster} leads to port {port or 'none'},"
                f" but the nodes are at {ports_in_words(api_ports)}"
            )
            return False
        return looks.get(API, otherwise=False)

    def _all_objects(self, looks: Looks) -> dict[str, tuple[Manifest, ...]]:
        """Return the objects of all kinds, and the definitions."""
        looks.begin(CRD, self._definitions)
        return {**self._objects(looks), CRD: looks.get(CRD, ())}

    def _objects(self, looks: Looks) -> dict[str, tuple[Manifest, ...]]:
        for api_version, kind in KINDS:
            looks.begin(kind, partial(self._select, api_version, kind))
        objects: dict[str, tuple[Manifest, ...]] = {}
        for _, kind in KINDS:
            objects[kind] = looks.get(kind, ())
            if kind in _OPTIONAL and kind in looks.unknown:
                # Without the kind, no check takes its objects for missing.
                del objects[kind], looks.unknown[kind]
        return objects

    def _definitions(self) -> tuple[Manifest, ...]:
        """Return the definitions without what they define, which is megabytes."""
        definitions = self.session.kube.metadata(*_DEFINITIONS)
        return tuple(trimmed({"metadata": obj["metadata"]}) for obj in definitions)

    def _select(self, api_version: str, kind: str) -> tuple[Manifest, ...]:
        """Return what a diagnosis needs of each object.

        Each is trimmed as it comes: thousands of whole objects would fill the memory.
        """
        if kind in BARE:
            return tuple(map(only_metadata, self.session.kube.metadata(api_version, kind)))
        objects = self.session.kube.each(api_version, kind)
        trim = trim_of(kind)
        return tuple(trim(obj) for obj in objects if _is_needed(kind, obj))

    # The pods

    def _read_pods(
        self, looks: Looks, objects: Objects
    ) -> tuple[tuple[ContainerLog, ...], tuple[ProxyFacts, ...]]:
        """Read the components' logs, and what each Envoy says of itself."""
        log_looks: list[str] = []
        proxy_looks: list[str] = []
        for component, pod in component_pods(self.session.profile, objects):
            log_looks += self._begin_logs(looks, component, pod)
            is_running = status_of(pod).get("phase") == "Running"
            if is_running and is_proxy(self.session.profile, pod):
                look_name = f"Envoy {name_of(pod)}"
                proxy_looks.append(look_name)
                looks.begin(look_name, partial(self._proxy, pod))
        return _gathered_logs(looks, log_looks), _gathered_proxies(looks, proxy_looks)

    def _read_logs(
        self, looks: Looks, profile: Profile, objects: Objects
    ) -> tuple[ContainerLog, ...]:
        log_looks: list[str] = []
        for component, pod in component_pods(profile, objects):
            log_looks += self._begin_logs(looks, component, pod)
        return _gathered_logs(looks, log_looks)

    def _begin_traffic(self, looks: Looks, profile: Profile, objects: Objects) -> list[str]:
        """Begin to read what each Envoy logged of requests; return the names of these looks."""
        names: list[str] = []
        for _, pod in component_pods(profile, objects):
            if is_proxy(profile, pod) and status_of(pod).get("phase") == "Running":
                look_name = f"traffic {name_of(pod)}"
                names.append(look_name)
                looks.begin(look_name, partial(traffic.read, self.session.kube, pod))
        return names

    def _begin_logs(self, looks: Looks, component: Component, pod: Manifest) -> list[str]:
        """Begin to read the logs of a pod's containers; return the names of these looks."""
        reader = ContainerLogReader(self.session.kube)
        names: list[str] = []
        for status in items_of(status_of(pod), "containerStatuses"):
            container = status["name"]
            look_name = f"log {name_of(pod)}/{container}"
            names.append(look_name)
            looks.begin(look_name, partial(reader.read, component.name, pod, status))
        return names

    def _proxy(self, pod: Manifest) -> ProxyFacts:
        answers = self.envoy.read(namespace_of(pod), name_of(pod), envoy.PATHS)
        return envoy.read(name_of(pod), answers)


def _api_answer(looks: Looks, errors: Iterable[DevenvError]) -> dict[str, Any]:
    """Return the facts' fields of what the API server answered instead of an object."""
    error = next(iter(errors), None)
    if error is None or looks.unknown.get(API) != error.in_one_line:
        return {}
    status = error.status if isinstance(error, RefusedError) else 0
    return {
        "api_answer": f"{status or ''} {error.why or error.what}".strip(),
        "api_distrust": status in {0, HTTPStatus.UNAUTHORIZED},
    }


def _is_about_rights(error: DevenvError) -> bool:
    return isinstance(error, RefusedError) and error.status == HTTPStatus.FORBIDDEN


def _nothing() -> None:
    return None


def _node_facts(looks: Looks, node: Node) -> NodeFacts:
    """Return a node's facts. If only the closer look fails, no more than evidence is missing."""
    first_facts = _first_facts(looks, node)
    look_name = f"programs of {node.name}"
    closer_facts: NodeFacts | None = looks.get(look_name, None)
    looks.unknown.pop(look_name, None)
    return closer_facts or first_facts


def _first_facts(looks: Looks, node: Node) -> NodeFacts:
    return looks.get(f"node {node.name}", NodeFacts(name=node.name, status=node.status))


def _lock_state(looks: Looks) -> tuple[str, str]:
    """Return who is changing the cluster, and who holds its lock without doing anything."""
    holder: Holder | None = looks.get("lock", None)
    if holder is None:
        return "", ""
    if holder.frozen:
        return "", f"{holder}, for {lasting(holder.seconds)}"
    return str(holder), ""


def _gathered_logs(looks: Looks, names: Iterable[str]) -> tuple[ContainerLog, ...]:
    gathered: list[ContainerLog] = []
    for name in names:
        container_logs: tuple[ContainerLog, ...] = looks.get(name, ())
        gathered += container_logs
    return tuple(gathered)


def _gathered_traffic(looks: Looks, names: Iterable[str]) -> tuple[TrafficFacts, ...]:
    gathered: list[TrafficFacts] = []
    for name in names:
        summary: TrafficFacts | None = looks.get(name, None)
        if summary:
            gathered.append(summary)
    return tuple(gathered)


def _long_proofs(looks: Looks) -> tuple[Proof, ...]:
    proofs: list[Proof] = looks.get(LONG_REQUESTS, [])
    if not proofs:
        looks.unknown.setdefault(LONG_REQUESTS, _NO_MOCK)
    return tuple(proofs)


def _gathered_proxies(looks: Looks, names: Iterable[str]) -> tuple[ProxyFacts, ...]:
    gathered: list[ProxyFacts] = []
    for name in names:
        proxy: ProxyFacts | None = looks.get(name, None)
        if proxy:
            gathered.append(proxy)
    return tuple(gathered)


def trim_of(kind: str) -> Callable[[Manifest], Manifest]:
    """Return the function that cuts an object of a kind down, for kinds not in `BARE`."""
    if kind in KEEPERS.values():
        return revision
    if kind == "ConfigMap":
        return config_map
    return trimmed


def _is_needed(kind: str, obj: Manifest) -> bool:
    """Whether a diagnosis reads the object: most events are of no use."""
    if kind != "Event" or obj.get("type") == "Warning":
        return True
    reason = obj.get("reason")
    # Every pod that ends has an event Killing; one that its probe kills says so.
    by_probe = reason == "Killing" and _PROBE_KILL in str(obj.get("message"))
    return by_probe or reason in _TELLING_REASONS


def _without_foreign_name(waste: WasteFacts, own_names: Sequence[str]) -> WasteFacts:
    if waste.former_name in own_names:
        return waste
    return waste.model_copy(update={"former_name": ""})


def component_pods(profile: Profile, objects: Objects) -> list[tuple[Component, Manifest]]:
    """Return the pods of the profile's workloads that are to run on, in the profile's order."""
    pairs: list[tuple[Component, Manifest]] = []
    for component in profile.components:
        for obj in objects.get(component.resource.kind, ()):
            if is_of(component, obj):
                pods = lasting_pods(obj, objects.get("Pod", ()))
                pairs += [(component, pod) for pod in pods]
    return pairs


def is_of(component: Component, obj: Manifest) -> bool:
    """Whether an object is the component's workload."""
    return component.gate == "workload" and component.resource.names(obj["metadata"])


def is_proxy(profile: Profile, pod: Manifest) -> bool:
    """Whether Envoy Gateway made the pod for the profile's Gateway."""
    gateway = profile.gateway
    selector = {GATEWAY_NAME: gateway.name, GATEWAY_NAMESPACE: gateway.namespace}
    return selects(selector, pod["metadata"].get("labels"))


def related_images(names: Iterable[str], profile: Profile, objects: Objects) -> list[str]:
    """Return the images whose repository the profile or one of the cluster's pods names.

    The engine's other images are none of devenv's business.
    """
    repositories = set(map(repository, _image_references(profile, objects)))
    return sorted(name for name in names if repository(name) in repositories)


def _image_references(profile: Profile, objects: Objects) -> Iterator[str]:
    for image in profile.images:
        yield image.ref
    for pod in objects.get("Pod", ()):
        for container in containers_in(pod["spec"]):
            yield str(container.get("image"))


def containers_in(spec: Manifest) -> list[Manifest]:
    """Return a pod's containers, init containers first."""
    return [*items_of(spec, "initContainers"), *items_of(spec, "containers")]


def repository(image: str) -> str:
    """Return an image's name without tag, digest and the registry that is meant by default."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    # A colon before a slash begins a port.
    if colon and "/" not in tag:
        name = head
    return name.removeprefix("docker.io/").removeprefix("library/")
