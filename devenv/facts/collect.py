"""Collects the facts of one environment, side by side, within a budget of time. Changes nothing, takes no lock."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from devenv import __version__
from devenv.errors import DevenvError, ElsewhereError, ForbiddenError, NotFoundError
from devenv.facts import envoy
from devenv.facts.anywhere import concerning, discovered
from devenv.facts.df import is_nearly_full, node_space
from devenv.facts.live import Proof
from devenv.facts.looks import Looks
from devenv.facts.model import (
    ContainerLog,
    Declared,
    Facts,
    NodeFacts,
    ProxyFacts,
    WasteFacts,
    selects,
)
from devenv.facts.revisions import KEEPERS, lasting_pods
from devenv.facts.trim import revision, trimmed
from devenv.ports import (
    Clock,
    Containers,
    Engine,
    EngineInfo,
    Envoy,
    Holder,
    Host,
    Kube,
    Manifest,
    Node,
    Space,
)
from devenv.profiles.model import Component, LiveRequest, Profile
from devenv.profiles.quantities import lasting

GATEWAY_API = "gateway.networking.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
EXTENSIONS = "gateway.envoyproxy.io/v1alpha1"
KINDS = (
    ("v1", "Node"), ("v1", "Pod"), ("v1", "Service"), ("v1", "Event"), ("v1", "ConfigMap"), ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"), ("apps/v1", "ControllerRevision"),
    ("coordination.k8s.io/v1", "Lease"), (GATEWAY_API, "GatewayClass"), (GATEWAY_API, "Gateway"), (GATEWAY_API, "HTTPRoute"),
    ("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"), (EXTENSIONS, "EnvoyProxy"), (EXTENSIONS, "EnvoyPatchPolicy"),
    (EXTENSIONS, "EnvoyExtensionPolicy"), (EXTENSIONS, "ClientTrafficPolicy"), ("model.aibrix.ai/v1alpha1", "ModelAdapter"),
    ("discovery.k8s.io/v1", "EndpointSlice"), (ADMISSION, "MutatingWebhookConfiguration"),
    (ADMISSION, "ValidatingWebhookConfiguration"),
)  # fmt: skip
# Kinds that facts which older versions saved lack, and those that only AIBrix's own control plane has a part in.
NEWEST = {"DaemonSet", *KEEPERS.values()}
LATER = {"EndpointSlice", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
CRD = "CustomResourceDefinition"
Trouble = Literal["", "forbidden", "elsewhere"]
API, ENGINE, REQUESTS, NODES = "API server", "engine", "live requests", "nodes"
DECLARED = "the profile's manifests"
_IMAGES = ("ctr", "--namespace", "k8s.io", "images", "list", "--quiet")
# A `tail` that gets no inotify instance says so and goes on without; this file is no overlay's, where it would not ask for one.
_EFFORT = "cat /proc/loadavg /proc/meminfo; timeout 0.05 tail --lines=0 --follow /etc/hostname 2>&1 || true"
_NONE_LEFT = "inotify cannot be used"
# Of an image, without a digest.
_NAME = re.compile(r"(?!sha256:)[a-z0-9][\w./-]*:[\w.-]+")
_DEFINITIONS = ("apiextensions.k8s.io/v1", CRD)
_CONFIG = "envoy-gateway-config"
# In kind's nodes.
_API_PORT = 6443
# Seconds for one look.
_EACH = 6.0
# Seconds for a live request, and for the API server's first answer.
_ANSWER = 4.0
# Seconds.
_DAY = 86400
# Lines from a log's end, bytes from its beginning.
_TAIL, _HEAD = 600, 96 << 10
_TELLING = re.compile(
    r"error|fail|panic|fatal|denied|refused|no space|warn|deprecat", re.IGNORECASE
)
# Kubelets that are asked.
_AT_ONCE = 16
# Lines from a log's end that are kept whatever they say.
_KEPT = 60
# Telling lines that are kept, the first and the last of them.
_MOST = 120


class Requests(Protocol):
    """Who sends live requests; `api`: whether the API server can be asked for what proves them."""

    def probe(self, requests: Iterable[LiveRequest], timeout: float, *, api: bool) -> list[Proof]:
        """Send them, and return what each showed."""


@dataclass(frozen=True)
class Collector:
    """Looks at one cluster and what it stands on."""

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kube: Kube
    envoy: Envoy
    requests: Requests
    # What the profile's manifests have.
    declared: Callable[[], tuple[Declared, ...] | None] = lambda: None
    # Names in the nodes of images that were loaded and never proven, beside one to return to.
    returnable: Callable[[], tuple[str, ...]] = tuple
    # When `devenv stop` had stopped the cluster.
    stopped: Callable[[], float] = lambda: 0.0
    # What goes first on a full disk.
    waste: Callable[[], tuple[WasteFacts, ...]] = tuple

    def collect(self, seconds: float) -> Facts:
        """Return the facts; this takes at most about `seconds`. What could not be read is in `unknown`."""
        looks = Looks(self.clock, seconds, _EACH)
        taken = self.clock.now()
        trouble: list[Trouble] = []
        looks.begin(ENGINE, lambda: self._engine(trouble))
        looks.begin(NODES, lambda: self.containers.nodes(self.cluster))
        looks.begin(API, self._answers)
        looks.begin("context", self.kube.server_port)
        looks.begin("port", lambda: self.host.port_owner(self.profile.gateway.host_port) or "")
        engine = looks.get(ENGINE, _no_engine())
        nodes = looks.get(NODES, _no_nodes())
        local = engine if engine and engine.local else None
        looks.begin("engine's disk", lambda: self.host.space(local.data_root) if local else None)
        looks.begin("inotify", lambda: self.host.inotify() if local else None)
        looks.begin(DECLARED, self.declared)
        looks.begin("engine's images", self.engine.names)
        looks.begin("record", self.returnable)
        looks.begin("stop", self.stopped)
        looks.begin("lock", lambda: self.host.lock_holder(f"cluster-{self.cluster}"))
        running = [n for n in nodes if n.status == "running"]
        for node in nodes:
            looks.begin(f"node {node.name}", lambda node=node: self._node(node))  # type: ignore[misc]
        looks.begin("waste", lambda: self._waste_where_full(looks, nodes))
        context = looks.get("context", 0)
        api_ports = {outside for n in nodes for inside, outside in n.ports if inside == _API_PORT}
        foreign = running and "context" not in looks.unknown and context not in api_ports
        api = bool(running or not engine) and not foreign and looks.get(API, otherwise=False)
        if foreign:
            looks.unknown[API] = (
                f"the context kind-{self.cluster} leads to port {context or 'none'}, the nodes are at {sorted(api_ports)}"
            )
        if not api and API not in looks.unknown:
            looks.unknown[API] = "no node is running" if nodes else "there is no cluster"
        if running or not engine:
            looks.begin(
                REQUESTS, lambda: self.requests.probe(self.profile.requests, _ANSWER, api=api)
            )
        else:
            looks.begin(REQUESTS, list)
        if api:
            looks.begin(CRD, self._definitions)
        objects = {**self._objects(looks), CRD: looks.get(CRD, _no_objects())} if api else {}
        logs, proxies = self._insides(looks, objects) if api else ((), ())
        names = looks.get("engine's images", _no_names())
        stopped, holder = looks.get("stop", 0.0), looks.get("lock", _no_holder())
        # They only make a better hint.
        for hint in ("engine's images", "stop"):
            looks.unknown.pop(hint, None)
        return Facts(
            devenv=__version__,
            taken=taken,
            cluster=self.cluster,
            profile=self.profile,
            changing=str(holder) if holder and not holder.frozen else "",
            frozen=f"{holder}, for {lasting(holder.seconds)}" if holder and holder.frozen else "",
            engine=engine,
            engine_trouble=trouble[0] if trouble else "",
            engine_disk=looks.get("engine's disk", _no_space()),
            inotify=looks.get("inotify", _no_limits()),
            port_owner=looks.get("port", ""),
            nodes=tuple(_seen(looks, n) for n in nodes),
            stopped=stopped,
            context_port=context,
            api_ports=tuple(sorted(api_ports)),
            objects=objects,
            declared=looks.get(DECLARED, _not_read()),
            returnable=looks.get("record", ()),
            waste=self._own_waste(looks, objects),
            engine_images=None if names is None else tuple(akin(names, self.profile, objects)),
            logs=logs,
            proxies=proxies,
            proofs=tuple(looks.get(REQUESTS, _no_proofs())),
            unknown=looks.unknown,
        )

    def collect_api(self, seconds: float, context: str) -> Facts:
        """Return what the API server alone can tell of any cluster. Nothing is changed, and only read rights are needed."""
        looks = Looks(self.clock, seconds, seconds)
        taken = self.clock.now()
        looks.begin(API, self._answers)
        api = looks.get(API, otherwise=False)
        objects = self._objects(looks) if api else {}
        collector = replace(self, profile=discovered(context, objects))
        objects = concerning(objects, collector.profile)
        names = [str(n["metadata"]["name"]) for n in objects.get("Node", ())]
        looks.begin("nodes' disks", lambda: self._stats(names, looks))
        logs = collector._own_logs(looks, objects) if api else ()  # noqa: SLF001 - of its own class
        nodes = looks.get("nodes' disks", _no_node_facts())
        return Facts(
            devenv=__version__, taken=taken, cluster=context, context=context, profile=collector.profile, nodes=tuple(nodes),
            objects=objects, logs=logs, unknown=looks.unknown,
        )  # fmt: skip

    def _waste_where_full(self, looks: Looks, nodes: Sequence[Node]) -> tuple[WasteFacts, ...]:
        """Return what goes first, if a disk is full; otherwise ask nothing."""
        disks = [looks.get("engine's disk", _no_space()), *(_seen(looks, n).disk for n in nodes)]
        return self.waste() if any(disk and is_nearly_full(disk) for disk in disks) else ()

    def _own_waste(
        self,
        looks: Looks,
        objects: Mapping[str, tuple[Manifest, ...]],
    ) -> tuple[WasteFacts, ...]:
        """Return the waste that was seen, without the names of others' images."""
        waste = looks.get("waste", _no_waste())
        # It only makes a better finding.
        looks.unknown.pop("waste", None)
        own_names = set(akin([w.former_name for w in waste], self.profile, objects))
        names = [w.former_name if w.former_name in own_names else "" for w in waste]
        pairs = zip(waste, names, strict=True)
        return tuple(w.model_copy(update={"former_name": name}) for w, name in pairs)

    def _engine(self, trouble: list[Trouble]) -> EngineInfo:
        try:
            return self.engine.info()
        except ForbiddenError:
            trouble.append("forbidden")
            raise
        except ElsewhereError:
            trouble.append("elsewhere")
            raise

    def _stats(self, names: Sequence[str], looks: Looks) -> list[NodeFacts]:
        """Ask each node's kubelet, through the API server, a few at a time; what none tells is unknown."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return list(pool.map(lambda name: self._node_stats(name, looks), names))

    def _node_stats(self, name: str, looks: Looks) -> NodeFacts:
        try:
            stats = self.kube.node_stats(name).get("node") or {}
            disk, memory = stats.get("fs") or {}, stats.get("memory") or {}
            space = Space(
                int(disk["availableBytes"]),
                int(disk["capacityBytes"]),
                int(disk["inodesFree"]),
                int(disk["inodes"]),
            )
        except DevenvError as error:
            looks.unknown[f"disk of {name}"] = error.in_one_line
            return NodeFacts(name=name, status="running")
        except (LookupError, TypeError, ValueError):
            looks.unknown[f"disk of {name}"] = "its kubelet does not say"
            return NodeFacts(name=name, status="running")
        available = memory.get("availableBytes")
        return NodeFacts(name=name, status="running", disk=space, memory_available=available)

    def _own_logs(
        self, looks: Looks, objects: dict[str, tuple[Manifest, ...]]
    ) -> tuple[ContainerLog, ...]:
        names = []
        for component, pod in component_pods(self.profile, objects):
            for status in (pod.get("status") or {}).get("containerStatuses") or ():
                names.append(f"log {pod['metadata']['name']}/{status['name']}")
                looks.begin(names[-1], partial(self._logs, component.name, pod, status))
        return tuple(log for name in names for log in looks.get(name, _no_logs()))

    def _answers(self) -> bool:
        self.kube.get("v1", "Namespace", "", "kube-system")
        return True

    # The node, by the engine: Kubernetes tells neither of a full disk nor of anything once it is down

    def _node(self, node: Node) -> NodeFacts:
        state = self.containers.state(node.name)
        facts = NodeFacts(
            name=node.name,
            status=node.status,
            address=state.address,
            started=state.started,
            ended=state.ended,
        )
        if node.status != "running":
            return facts
        names = self.containers.exec(node.name, _IMAGES)
        images = (
            tuple(sorted(filter(_NAME.fullmatch, names.output.split())))
            if names.code == 0
            else None
        )
        details = {
            "disk": node_space(self.containers, node.name),
            "images": images,
            **self._effort(node.name),
        }
        return facts.model_copy(update=details)

    def _effort(self, node: str) -> dict[str, float]:
        """Return load, memory, and whether inotify is used up, as the kernel beneath the node tells it; nothing where not."""
        output = self.containers.exec(node, ["sh", "-c", _EFFORT]).output
        sizes = {
            name: int(kib) << 10
            for name, kib in re.findall(
                r"^(MemTotal|MemAvailable):\s+(\d+) kB", output, re.MULTILINE
            )
        }
        load = re.match(r"\d+\.\d+", output)
        if not load or len(sizes) < 2:  # noqa: PLR2004
            return {}
        memory = {"memory": sizes["MemTotal"], "memory_available": sizes["MemAvailable"]}
        return {"load": float(load[0]), **memory, "inotify_used_up": _NONE_LEFT in output}

    # What the API server knows

    def _objects(self, looks: Looks) -> dict[str, tuple[Manifest, ...]]:
        for api_version, kind in KINDS:
            looks.begin(kind, lambda v=api_version, k=kind: self._select(v, k))  # type: ignore[misc]
        return {kind: looks.get(kind, _no_objects()) for _, kind in KINDS}

    def _definitions(self) -> tuple[Manifest, ...]:
        """Return that definitions are there, not what they define, which is megabytes."""
        return tuple(
            trimmed({"metadata": o["metadata"]}) for o in self.kube.metadata(*_DEFINITIONS)
        )

    def _select(self, api_version: str, kind: str) -> tuple[Manifest, ...]:
        """Keep of each object what a diagnosis needs as it comes: of thousands, the rest would fill the memory."""
        objects = self.kube.each(api_version, kind)
        if kind == "Event":
            objects = (
                e
                for e in objects
                if e.get("type") == "Warning" or e.get("reason") == "ScalingReplicaSet"
            )
        if kind == "ConfigMap":
            objects = (c for c in objects if c["metadata"]["name"] == _CONFIG)
        trim = revision if kind in KEEPERS.values() else trimmed
        return tuple(trim(o) for o in objects)

    def _insides(
        self, looks: Looks, objects: dict[str, tuple[Manifest, ...]]
    ) -> tuple[tuple[ContainerLog, ...], tuple[ProxyFacts, ...]]:
        """Read the components' logs, and what each Envoy says of itself."""
        logs: list[str] = []
        proxies: list[str] = []
        for component, pod in component_pods(self.profile, objects):
            for status in (pod.get("status") or {}).get("containerStatuses") or ():
                name = f"log {pod['metadata']['name']}/{status['name']}"
                logs.append(name)
                looks.begin(name, lambda c=component, p=pod, s=status: self._logs(c.name, p, s))  # type: ignore[misc]
            if is_proxy(self.profile, pod) and (pod.get("status") or {}).get("phase") == "Running":
                name = f"Envoy {pod['metadata']['name']}"
                proxies.append(name)
                looks.begin(name, lambda p=pod: self._proxy(p))  # type: ignore[misc]
        log_groups = [looks.get(name, _no_logs()) for name in logs]
        proxy_facts = [looks.get(name, _no_proxy()) for name in proxies]
        return tuple(log for group in log_groups for log in group), tuple(
            p for p in proxy_facts if p
        )

    def _logs(self, component: str, pod: Manifest, status: Manifest) -> tuple[ContainerLog, ...]:
        meta, container = pod["metadata"], status["name"]
        state = status.get("state") or {}
        if "waiting" in state and not status.get("restartCount"):
            # It has not run yet.
            return ()
        logs = []
        for previous in [False, True] if status.get("restartCount") else [False]:
            # The earlier container's log may be gone before its pod is.
            gone = DevenvError if previous else NotFoundError
            with suppress(gone):
                lines = self._lines(meta["namespace"], meta["name"], container, previous=previous)
                logs.append(
                    ContainerLog(
                        component=component, namespace=meta["namespace"], pod=meta["name"], container=container,
                        previous=previous, lines=lines,
                    )
                )  # fmt: skip
        return tuple(logs)

    def _lines(
        self, namespace: str, pod: str, container: str, *, previous: bool
    ) -> tuple[str, ...]:
        """Read a log's end, and where that is not all of it, its beginning: what fails once, at the start, is said there."""
        end = self.kube.logs(
            namespace, pod, container, _DAY, _TAIL, timestamps=True, previous=previous
        ).splitlines()
        if len(end) >= _TAIL:
            head = self.kube.logs(
                namespace, pod, container, 0, 0, timestamps=True, previous=previous, head=_HEAD
            )
            end = [*(line for line in head.splitlines()[:-1] if line < end[0]), *end]
        return _telling(end)

    def _proxy(self, pod: Manifest) -> ProxyFacts:
        meta = pod["metadata"]
        return envoy.read(
            meta["name"], self.envoy.read(meta["namespace"], meta["name"], envoy.PATHS)
        )


def _telling(lines: Sequence[str]) -> tuple[str, ...]:
    """Return a log's last lines, and of those before them the telling ones."""
    telling = [line for line in lines[:-_KEPT] if _TELLING.search(line)]
    if len(telling) > _MOST:
        telling = [*telling[: _MOST // 2], *telling[-_MOST // 2 :]]
    return (*telling, *lines[-_KEPT:])


def component_pods(
    profile: Profile, objects: dict[str, tuple[Manifest, ...]]
) -> list[tuple[Component, Manifest]]:
    """Return the pods of the profile's workloads that are to run on, in the profile's order."""
    pairs = []
    for component in profile.components:
        for workload in (
            o for o in objects.get(component.resource.kind, ()) if is_of(component, o)
        ):
            pairs += [(component, pod) for pod in lasting_pods(workload, objects.get("Pod", ()))]
    return pairs


def is_of(component: Component, obj: Manifest) -> bool:
    """Whether an object is the component's workload."""
    return component.gate == "workload" and component.resource.names(obj["metadata"])


def is_proxy(profile: Profile, pod: Manifest) -> bool:
    """Whether Envoy Gateway made the pod for the profile's Gateway."""
    owner = "gateway.envoyproxy.io/owning-gateway"
    selector = {
        f"{owner}-name": profile.gateway.name,
        f"{owner}-namespace": profile.gateway.namespace,
    }
    return selects(selector, pod["metadata"].get("labels"))


def akin(
    names: Iterable[str], profile: Profile, objects: Mapping[str, tuple[Manifest, ...]]
) -> list[str]:
    """Return the images of those repositories that the profile and the cluster's pods name.

    What else the engine has is its owner's business.
    """
    containers = [c for pod in objects.get("Pod", ()) for c in containers_in(pod["spec"])]
    image_refs = [i.ref for i in profile.images] + [str(c.get("image")) for c in containers]
    repositories = {repository(name) for name in image_refs}
    return sorted(name for name in names if repository(name) in repositories)


def containers_in(spec: Manifest) -> list[Manifest]:
    """Return a pod's containers, init containers first."""
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def repository(image: str) -> str:
    """Return an image's name without tag, digest and the registry that is meant by default."""
    name = image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    name = head if colon and "/" not in tag else name
    return name.removeprefix("docker.io/").removeprefix("library/")


# What there is where nothing could be read


def _no_holder() -> Holder | None:
    return None


def _no_engine() -> EngineInfo | None:
    return None


def _no_space() -> Space | None:
    return None


def _not_read() -> tuple[Declared, ...] | None:
    return None


def _no_names() -> list[str] | None:
    return None


def _no_limits() -> tuple[int, int] | None:
    return None


def _no_nodes() -> list[Node]:
    return []


def _no_node_facts() -> list[NodeFacts]:
    return []


def _seen(looks: Looks, node: Node) -> NodeFacts:
    """Return what was seen of a node."""
    return looks.get(f"node {node.name}", NodeFacts(name=node.name, status=node.status))


def _no_waste() -> tuple[WasteFacts, ...]:
    return ()


def _no_proofs() -> list[Proof]:
    return []


def _no_objects() -> tuple[Manifest, ...]:
    return ()


def _no_logs() -> tuple[ContainerLog, ...]:
    return ()


def _no_proxy() -> ProxyFacts | None:
    return None
