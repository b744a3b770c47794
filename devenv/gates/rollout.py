"""When a rollout is over, as pure functions: each returns what is missing, "" when nothing is.

Available pods are not the end of a rollout. The old ones still answer for some seconds, Services
and Envoy's clusters point at them, and a leader's lease outlives its pod (docs/facts/gateway.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from devenv.facts.labels import is_ready
from devenv.facts.model import ProxyFacts, owns, selects
from devenv.facts.revisions import is_ending, is_lasting
from devenv.ports import Manifest
from devenv.profiles.model import GatewayPorts

# Of Envoy's admin interface.
CONNECTED = "/stats?format=json&filter=control_plane.connected_state"
# A slice's label.
_SERVICE = "kubernetes.io/service-name"
# Its hosts come from the requests' own headers, and Envoy forgets each that is not used.
_BY_HEADER = "ORIGINAL_DST"

Network = IPv4Network | IPv6Network
# Namespace, name.
ServiceKey = tuple[str, str]
_Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Backend:
    """A Service that Envoy must reach. `own`: its address; `pods`: those of its new pods."""

    name: str
    own: str
    pods: frozenset[str]


def live(pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods that run or will run. One that failed or was evicted stays to be read."""
    return [p for p in pods if is_lasting(p)]


def leaving(workload: Manifest, pods: Iterable[Manifest]) -> str:
    """The end of a workload's old pods."""
    names = [p["metadata"]["name"] for p in pods if owns(workload, p) and is_ending(p)]
    return f"the end of the pod {', '.join(names)}" if names else ""


def services_of(workload: Manifest, services: Iterable[Manifest]) -> list[Manifest]:
    """Return the Services that select a workload's pods."""
    labels = (workload["spec"]["template"].get("metadata") or {}).get("labels")
    namespace = workload["metadata"].get("namespace")
    same_place = (s for s in services if s["metadata"].get("namespace") == namespace)
    return [s for s in same_place if selects(s["spec"].get("selector"), labels)]


def endpoints(
    workload: Manifest,
    pods: Sequence[Manifest],
    services: Iterable[Manifest],
    slices: Sequence[Manifest],
) -> str:
    """Endpoints of a workload's Services that name no old pod, and all of its ready ones."""
    live_pods = live(pods)
    live_uids = {_uid(p) for p in live_pods}
    ready_pods = [p for p in live_pods if owns(workload, p) and is_ready(p)]
    for service in services_of(workload, services):
        name = service["metadata"]["name"]
        targets = list(_targets(service, slices))
        for target, conditions in targets:
            if target.get("uid") not in live_uids or conditions.get("terminating"):
                return f"the end of {target.get('name')} in the endpoints of the Service {name}"
        ready_targets = (target for target, state in targets if state.get("ready") is not False)
        ready_uids = {target.get("uid") for target in ready_targets}
        for pod in ready_pods:
            if _uid(pod) not in ready_uids:
                return f"{pod['metadata']['name']} in the endpoints of the Service {name}"
    return ""


def _targets(service: Manifest, slices: Iterable[Manifest]) -> Iterator[tuple[_Fields, _Fields]]:
    """Yield the pods that a Service leads to, each with its conditions as an endpoint."""
    meta = service["metadata"]
    for endpoint_slice in slices:
        slice_meta = endpoint_slice["metadata"]
        owner = (slice_meta.get("namespace"), (slice_meta.get("labels") or {}).get(_SERVICE))
        if owner != (meta.get("namespace"), meta["name"]):
            continue
        for endpoint in endpoint_slice.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            if target.get("kind") == "Pod":
                yield target, endpoint.get("conditions") or {}


def _uid(pod: Manifest) -> Any:
    return pod["metadata"].get("uid")


# The leader


def holder(lease: Manifest | None) -> str:
    """Return the pod that holds a lease, "" where none does. Its holder calls itself POD_RANDOM."""
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]


def leadership(
    name: str,
    lease: Manifest | None,
    workload: Manifest,
    pods: Iterable[Manifest],
) -> str:
    """A lease that a live pod of the workload holds."""
    candidates = {p["metadata"]["name"] for p in live(pods) if owns(workload, p)}
    return "" if holder(lease) in candidates else f"the lease {name}, held by the new pod"


# Envoy


def networks(nodes: Iterable[Manifest]) -> list[Network]:
    """Return the networks from which pods get their addresses."""
    ranges = [r for n in nodes for r in (n.get("spec") or {}).get("podCIDRs") or ()]
    return [ip_network(r) for r in ranges]


def named_backends(objects: Iterable[Manifest], gateway: GatewayPorts) -> set[ServiceKey]:
    """Return the Services that accepted routes and extension policies of the Gateway lead to."""
    keys: set[ServiceKey] = set()
    for obj in objects:
        if not _is_accepted(obj, gateway):
            continue
        namespace = obj["metadata"].get("namespace", "")
        spec = obj["spec"]
        for part in [*(spec.get("rules") or ()), *(spec.get("extProc") or ())]:
            refs = [r for r in part.get("backendRefs") or () if r.get("weight") != 0]
            keys |= {(r.get("namespace") or namespace, r["name"]) for r in refs}
    return keys


def _is_accepted(obj: Manifest, gateway: GatewayPorts) -> bool:
    status = obj.get("status") or {}
    parts = [(part, part.get("parentRef") or {}) for part in status.get("parents") or ()]
    parts += [(part, part.get("ancestorRef") or {}) for part in status.get("ancestors") or ()]
    own_namespace = obj["metadata"].get("namespace")
    for part, ref in parts:
        target = (ref.get("namespace", own_namespace), ref.get("name"))
        is_gateway = target == (gateway.namespace, gateway.name)
        if is_gateway and all(c["status"] == "True" for c in part.get("conditions") or ()):
            return True
    return False


def backend(service: Manifest, workload: Manifest, pods: Iterable[Manifest]) -> Backend:
    """Return a Service with the addresses of a workload's ready pods."""
    ready_pods = [p for p in live(pods) if owns(workload, p) and is_ready(p)]
    addresses = frozenset(str(p["status"].get("podIP")) for p in ready_pods)
    return Backend(service["metadata"]["name"], str(service["spec"].get("clusterIP")), addresses)


def upstreams(
    proxy: ProxyFacts,
    pods: Sequence[Manifest],
    pod_networks: Sequence[Network],
    backends: Iterable[Backend],
) -> str:
    """Clusters of an Envoy's that lead to every backend, and to no pod that is leaving or gone."""
    live_addresses = {str((p.get("status") or {}).get("podIP")) for p in live(pods)}
    hosts: set[str] = set()
    for upstream in (u for u in proxy.upstreams if u.type != _BY_HEADER):
        for host in upstream.hosts:
            address = host.rpartition(":")[0].strip("[]")
            if address not in live_addresses and _is_within(address, pod_networks):
                return f"the end of {address}, whose pod is gone, in {upstream.name} of {proxy.pod}"
            hosts.add(address)
    for target in backends:
        missing_hosts = sorted(target.pods - hosts)
        if missing_hosts and target.own not in hosts:
            return (
                f"{', '.join(missing_hosts)} (Service {target.name}) in the clusters of {proxy.pod}"
            )
    return ""


def _is_within(address: str, pod_networks: Iterable[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in pod_networks)


def connection(pod: str, stats: Mapping[str, Any]) -> str:
    """Envoy's connection to its controller: without it, Envoy works on with what it had.

    `stats`: the answer to CONNECTED.
    """
    entries = (
        s for s in stats.get("stats") or () if s.get("name") == "control_plane.connected_state"
    )
    values = [s.get("value") for s in entries]
    return "" if all(values) else f"the connection of {pod} to Envoy Gateway"
