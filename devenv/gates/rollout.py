"""When a rollout is over, as pure functions: each returns what is missing, "" when nothing is.

Available pods are not the end of a rollout. The old ones still answer for some seconds, Services
and Envoy's clusters point at them, and a leader's lease outlives its pod (docs/facts/gateway.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from devenv.base.json_types import JsonMap
from devenv.facts.labels import is_ready
from devenv.facts.model import ProxyFacts, owns, selects
from devenv.facts.objects import (
    Fields,
    fields_of,
    items_of,
    labels_of,
    name_of,
    namespace_of,
    status_of,
)
from devenv.facts.revisions import is_ending, is_lasting
from devenv.ports.kube import Manifest, NamespacedName
from devenv.profiles.model import GatewayPorts

_CONNECTED_STAT = "control_plane.connected_state"
# The path of Envoy's admin interface whose answer `connection` reads.
CONNECTED = f"/stats?format=json&filter={_CONNECTED_STAT}"
# An EndpointSlice's label with the name of its Service.
_SERVICE = "kubernetes.io/service-name"
# The type of an upstream whose hosts come from the requests' own headers. Envoy forgets a host that
# no request uses.
_BY_HEADER = "ORIGINAL_DST"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Backend:
    """A Service that Envoy must reach, by its own address or by those of all its new pods."""

    name: str
    service_address: str
    pod_addresses: frozenset[str]


@dataclass(frozen=True)
class _Endpoint:
    """One pod in a Service's EndpointSlices."""

    pod: str
    uid: str
    is_ready: bool
    is_terminating: bool


def live(pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods that run or will run.

    Kubernetes keeps a pod that failed or was evicted in the list, so that its log can be read.
    """
    return list(filter(is_lasting, pods))


def leaving(workload: Manifest, pods: Iterable[Manifest]) -> str:
    """Return which of the workload's pods are still terminating."""
    leaving_pods = filter(is_ending, _pods_of(workload, pods))
    names = ", ".join(map(name_of, leaving_pods))
    if not names:
        return ""
    return f"the old pod {names} is still terminating"


def services_of(workload: Manifest, services: Iterable[Manifest]) -> list[Manifest]:
    """Return the Services that select a workload's pods."""
    return [service for service in services if _selects_pods_of(workload, service)]


def _selects_pods_of(workload: Manifest, service: Manifest) -> bool:
    if namespace_of(service) != namespace_of(workload):
        return False
    labels = labels_of(workload["spec"]["template"])
    return selects(service["spec"].get("selector"), labels)


def endpoints(
    workload: Manifest,
    pods: Sequence[Manifest],
    services: Iterable[Manifest],
    slices: Sequence[Manifest],
) -> str:
    """Return which old pod the workload's Services still lead to, or which ready pod they lack."""
    live_uids = set(map(_uid, live(pods)))
    ready_pods = _ready_pods(workload, pods)
    for service in services_of(workload, services):
        service_endpoints = list(_endpoints_of(service, slices))
        shortfall = _old_endpoint(service_endpoints, live_uids)
        shortfall = shortfall or _absent_pod(service_endpoints, ready_pods)
        if shortfall:
            return f"the Service {name_of(service)} {shortfall}"
    return ""


def _old_endpoint(service_endpoints: Iterable[_Endpoint], live_uids: set[str]) -> str:
    for endpoint in service_endpoints:
        if endpoint.uid not in live_uids or endpoint.is_terminating:
            return f"still leads to the old pod {endpoint.pod}"
    return ""


def _absent_pod(service_endpoints: Iterable[_Endpoint], ready_pods: Iterable[Manifest]) -> str:
    ready_uids = {endpoint.uid for endpoint in service_endpoints if endpoint.is_ready}
    for pod in ready_pods:
        if _uid(pod) not in ready_uids:
            return f"does not lead to {name_of(pod)} yet"
    return ""


def _endpoints_of(service: Manifest, slices: Iterable[Manifest]) -> Iterator[_Endpoint]:
    for endpoint_slice in slices:
        if not _is_slice_of(service, endpoint_slice):
            continue
        for endpoint in items_of(endpoint_slice, "endpoints"):
            target = fields_of(endpoint, "targetRef")
            if target.get("kind") == "Pod":
                yield _endpoint(target, fields_of(endpoint, "conditions"))


def _is_slice_of(service: Manifest, endpoint_slice: Manifest) -> bool:
    if namespace_of(endpoint_slice) != namespace_of(service):
        return False
    return labels_of(endpoint_slice).get(_SERVICE) == name_of(service)


def _endpoint(target: Fields, conditions: Fields) -> _Endpoint:
    """Return one endpoint of a pod, as an EndpointSlice has it."""
    return _Endpoint(
        pod=str(target.get("name")),
        uid=str(target.get("uid")),
        # Kubernetes says to take an unknown state for ready.
        is_ready=conditions.get("ready") is not False,
        is_terminating=bool(conditions.get("terminating")),
    )


def _uid(pod: Manifest) -> str:
    return str(pod["metadata"].get("uid"))


def _ready_pods(workload: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    return list(filter(is_ready, _pods_of(workload, live(pods))))


def _pods_of(workload: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    return [pod for pod in pods if owns(workload, pod)]


# The leader


def holder(lease: Manifest | None) -> str:
    """Return the pod that holds a lease, "" if none does. Its holder calls itself POD_RANDOM."""
    identity = fields_of(lease, "spec").get("holderIdentity") or ""
    return str(identity).rpartition("_")[0]


def leadership(
    name: str,
    lease: Manifest | None,
    workload: Manifest,
    pods: Iterable[Manifest],
) -> str:
    """Return whether the lease still waits for a live pod of the workload to hold it."""
    candidates = set(map(name_of, _pods_of(workload, live(pods))))
    if holder(lease) in candidates:
        return ""
    return f"the new pod does not hold the lease {name} yet"


# Envoy


def networks(nodes: Iterable[Manifest]) -> list[Network]:
    """Return the networks from which pods get their addresses."""
    pod_networks: list[Network] = []
    for node in nodes:
        pod_networks += map(ip_network, items_of(node.get("spec"), "podCIDRs"))
    return pod_networks


def named_backends(objects: Iterable[Manifest], gateway: GatewayPorts) -> set[NamespacedName]:
    """Return the Services that accepted routes and extension policies of the Gateway lead to."""
    keys: set[NamespacedName] = set()
    for obj in objects:
        if _is_accepted(obj, gateway):
            keys.update(_backends_of(obj))
    return keys


def _backends_of(obj: Manifest) -> Iterator[NamespacedName]:
    """Yield the Services of a route's rules, or of a policy's external processors."""
    spec = obj["spec"]
    for part in [*items_of(spec, "rules"), *items_of(spec, "extProc")]:
        for ref in items_of(part, "backendRefs"):
            # A weight of 0 switches a backend off.
            if ref.get("weight") != 0:
                namespace = ref.get("namespace") or namespace_of(obj)
                yield namespace, ref["name"]


def _is_accepted(obj: Manifest, gateway: GatewayPorts) -> bool:
    """Whether every condition is true that the object has as a part of this Gateway.

    A route's status has a part for each of its `parents`, a policy's one for each of its
    `ancestors`.
    """
    status = status_of(obj)
    for field, reference in (("parents", "parentRef"), ("ancestors", "ancestorRef")):
        for part in items_of(status, field):
            target = fields_of(part, reference)
            refers = _refers_to(gateway, target, namespace_of(obj))
            if refers and _has_only_true_conditions(part):
                return True
    return False


def _has_only_true_conditions(part: Fields) -> bool:
    conditions = items_of(part, "conditions")
    return all(condition["status"] == "True" for condition in conditions)


def _refers_to(gateway: GatewayPorts, reference: Fields, default_namespace: str) -> bool:
    namespace = reference.get("namespace", default_namespace)
    return (namespace, reference.get("name")) == (gateway.namespace, gateway.name)


def backend(service: Manifest, workload: Manifest, pods: Iterable[Manifest]) -> Backend:
    """Return a Service with the addresses of a workload's ready pods."""
    service_address = str(service["spec"].get("clusterIP"))
    pod_addresses = frozenset(map(_address, _ready_pods(workload, pods)))
    return Backend(name_of(service), service_address, pod_addresses)


def upstreams(
    proxy: ProxyFacts,
    pods: Sequence[Manifest],
    pod_networks: Sequence[Network],
    backends: Iterable[Backend],
) -> str:
    """Return which old pod one Envoy still leads to, or which new pod it does not lead to yet."""
    live_addresses = set(map(_address, live(pods)))
    addresses: set[str] = set()
    for upstream, address in _hosts(proxy):
        if address not in live_addresses and _is_within(address, pod_networks):
            return f"{upstream} of {proxy.pod} still leads to {address}, whose pod is gone"
        addresses.add(address)
    return _unreached(proxy.pod, backends, addresses)


def _hosts(proxy: ProxyFacts) -> Iterator[tuple[str, str]]:
    """Yield the name of each upstream with each of its addresses, without their ports."""
    for upstream in proxy.upstreams:
        if upstream.type == _BY_HEADER:
            continue
        for host in upstream.hosts:
            address, _, _ = host.rpartition(":")
            yield upstream.name, address.strip("[]")


def _unreached(proxy: str, backends: Iterable[Backend], addresses: set[str]) -> str:
    """Return the first backend that Envoy reaches neither by its own address nor by all pods'."""
    for target in backends:
        missing_addresses = ", ".join(sorted(target.pod_addresses - addresses))
        if missing_addresses and target.service_address not in addresses:
            return f"{proxy} does not lead to {missing_addresses} (Service {target.name}) yet"
    return ""


def _address(pod: Manifest) -> str:
    return str(status_of(pod).get("podIP"))


def _is_within(address: str, pod_networks: Iterable[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in pod_networks)


def connection(pod: str, stats: JsonMap) -> str:
    """Return whether an Envoy has lost its controller. It works on with its last configuration.

    `stats` is the answer to CONNECTED.
    """
    for entry in items_of(stats, "stats"):
        if entry.get("name") == _CONNECTED_STAT and not entry.get("value"):
            return f"{pod} is not connected to Envoy Gateway"
    return ""
