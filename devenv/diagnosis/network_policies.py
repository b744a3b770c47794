"""What NetworkPolicies let through, by their words, whether or not anything enforces them."""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from devenv.diagnosis.workloads import Workload
from devenv.facts.collect import containers_in
from devenv.facts.model import Facts
from devenv.facts.objects import (
    Fields,
    fields_of,
    full_name,
    items_of,
    labels_of,
    name_of,
    namespace_of,
    status_of,
)
from devenv.ports.kube import Manifest

KIND = "NetworkPolicy"
# The label of each namespace with its name, which Kubernetes sets itself.
NAMESPACE_NAME = "kubernetes.io/metadata.name"
_DEFAULT_PROTOCOL = "TCP"
_KINDNET = "kindnet"
# Words in the names of other DaemonSets that enforce policies.
_ENFORCERS = ("calico", "canal", "cilium", "antrea", "weave", "kube-router", "ovn", "netpol")
# kind's own network enforces policies from this version of its image on, which kind v0.24 brought.
_ENFORCING = "v20240813"


class Direction(StrEnum):
    """Which end of a connection a policy is for; its value is the key of the rules in a spec."""

    IN = "ingress"
    OUT = "egress"

    @property
    def peers(self) -> str:
        """The key in a rule under which the other ends are."""
        return "from" if self is Direction.IN else "to"


@dataclass(frozen=True)
class Port:
    """A port of a pod."""

    number: int
    protocol: str = _DEFAULT_PROTOCOL


@dataclass(frozen=True)
class Connection:
    """What one workload asks of another. `source`: None for what comes from outside."""

    source: Workload | None
    target: Workload
    port: Port

    def own_end(self, direction: Direction) -> Workload | None:
        """Return the end whose policies count in a direction."""
        return self.target if direction is Direction.IN else self.source

    def other_end(self, direction: Direction) -> Workload | None:
        """Return the end that rules of a direction name."""
        return self.source if direction is Direction.IN else self.target


@dataclass(frozen=True)
class Barrier:
    """Policies of one direction, none of which lets a connection through."""

    direction: Direction
    policies: tuple[Manifest, ...]
    connection: Connection

    @property
    def names(self) -> tuple[str, ...]:
        """NAMESPACE/NAME of each policy."""
        return tuple(map(full_name, self.policies))


def barriers(facts: Facts, connection: Connection) -> Iterator[Barrier]:
    """Yield what is in a connection's way, by direction."""
    for direction in (Direction.OUT, Direction.IN):
        own_end = connection.own_end(direction)
        if own_end is None or _is_on_hosts_network(own_end):
            continue
        policies = [p for p in facts.of(KIND) if _isolates(p, own_end, direction)]
        if policies and not any(_admits(facts, p, connection, direction) for p in policies):
            yield Barrier(direction, tuple(policies), connection)


def are_enforced(facts: Facts) -> bool:
    """Whether something in the cluster may enforce policies.

    devenv's own nodes have a plain bridge, and kind's network ignored policies for a long time.
    In a cluster of another kind, something that is not seen may.
    """
    daemon_sets = facts.of("DaemonSet")
    if any(program in name_of(d) for d in daemon_sets for program in _ENFORCERS):
        return True
    versions = [_kindnet_version(d) for d in daemon_sets if name_of(d) == _KINDNET]
    if not versions:
        return bool(facts.context) or not daemon_sets
    return not any(version and version < _ENFORCING for version in versions)


def _kindnet_version(daemon_set: Manifest) -> str:
    """Return the version in the tag of kindnet's image, such as v20250512; "" for another one."""
    for container in containers_in(daemon_set["spec"]["template"]["spec"]):
        _, _, tag = str(container.get("image")).rpartition(":")
        version = tag.partition("-")[0]
        if len(version) == len(_ENFORCING) and version[1:].isdecimal():
            return version
    return ""


def _is_on_hosts_network(workload: Workload) -> bool:
    """Whether its pods have the address of their node: then no policy is for them."""
    statuses = [status_of(pod) for pod in workload.pods]
    return any(s.get("podIP") and s.get("podIP") == s.get("hostIP") for s in statuses)


# One policy


def _isolates(policy: Manifest, workload: Workload, direction: Direction) -> bool:
    """Whether only what rules allow reaches a workload's pods, or leaves them."""
    if namespace_of(policy) != workload.namespace:
        return False
    spec = fields_of(policy, "spec")
    types = items_of(spec, "policyTypes") or _default_types(spec)
    is_of_direction = direction.value in [str(kind).lower() for kind in types]
    return is_of_direction and _matches(fields_of(spec, "podSelector"), workload.pod_labels)


def _default_types(spec: Fields) -> list[str]:
    return [Direction.IN, Direction.OUT] if spec.get(Direction.OUT) else [Direction.IN]


def _admits(facts: Facts, policy: Manifest, connection: Connection, direction: Direction) -> bool:
    other_end = connection.other_end(direction)
    for rule in items_of(fields_of(policy, "spec"), direction):
        peers = items_of(rule, direction.peers)
        has_peer = not peers or any(
            _is_peer(facts, namespace_of(policy), peer, other_end) for peer in peers
        )
        if has_peer and _has_port(items_of(rule, "ports"), connection):
            return True
    return False


def _is_peer(facts: Facts, namespace: str, peer: Fields, workload: Workload | None) -> bool:
    """Whether a peer of a rule is a workload; `namespace` is the policy's."""
    block = fields_of(peer, "ipBlock")
    if workload is None:
        # Which address a client has is unknown.
        return bool(block)
    if block:
        addresses = [str(status_of(pod).get("podIP") or "") for pod in workload.pods]
        return any(_is_in_block(address, block) for address in addresses)
    if peer.get("namespaceSelector") is None:
        is_in_namespace = workload.namespace == namespace
    else:
        labels = _namespace_labels(facts, workload.namespace)
        is_in_namespace = _matches(peer["namespaceSelector"], labels)
    return is_in_namespace and _matches(fields_of(peer, "podSelector"), workload.pod_labels)


def _is_in_block(address: str, block: Fields) -> bool:
    """Whether an address is in a range and in none of the exceptions from it."""
    try:
        ip = ipaddress.ip_address(address)
        exceptions = [
            ipaddress.ip_network(text, strict=False) for text in items_of(block, "except")
        ]
        is_in_range = ip in ipaddress.ip_network(str(block.get("cidr")), strict=False)
    except ValueError:
        return False
    return is_in_range and not any(ip in exception for exception in exceptions)


def _namespace_labels(facts: Facts, namespace: str) -> Mapping[str, str]:
    for obj in facts.of("Namespace"):
        if name_of(obj) == namespace:
            return {NAMESPACE_NAME: namespace, **labels_of(obj)}
    return {NAMESPACE_NAME: namespace}


def _has_port(ports: Iterable[Fields], connection: Connection) -> bool:
    """Whether the ports of a rule, if it names any, include the connection's."""
    entries = list(ports)
    return not entries or any(_is_port(entry, connection) for entry in entries)


def _is_port(entry: Fields, connection: Connection) -> bool:
    port = connection.port
    if (entry.get("protocol") or _DEFAULT_PROTOCOL) != port.protocol:
        return False
    first = entry.get("port")
    if isinstance(first, str):
        return port_number(connection.target, first, port.protocol) == port.number
    if isinstance(first, int):
        return first <= port.number <= (entry.get("endPort") or first)
    return True


def port_number(workload: Workload, name: str, protocol: str) -> int:
    """Return the port to which a workload's containers gave a name, 0 if none has it."""
    for container in containers_in(workload.manifest["spec"]["template"]["spec"]):
        for entry in items_of(container, "ports"):
            own_protocol = entry.get("protocol") or _DEFAULT_PROTOCOL
            if (entry.get("name"), own_protocol) == (name, protocol):
                return int(entry.get("containerPort") or 0)
    return 0


# Selectors


def _matches(selector: Fields, labels: Mapping[str, str]) -> bool:
    """Whether a selector of a policy selects labels. An empty one selects all."""
    pairs = fields_of(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in pairs.items()):
        return False
    return all(_fits(entry, labels) for entry in items_of(selector, "matchExpressions"))


def _fits(expression: Fields, labels: Mapping[str, str]) -> bool:
    key, operator = expression.get("key"), expression.get("operator")
    value, values = labels.get(str(key)), items_of(expression, "values")
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator == "NotIn":
        return value not in values
    return value in values
