"""The network between the programs on a request's way: NetworkPolicies that let nothing through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import json_word, kubectl_command
from devenv.diagnosis.keys import Key
from devenv.diagnosis.loose_pods import loose_pods
from devenv.diagnosis.manifests import Backend, backends_of, created_at
from devenv.diagnosis.model import Evidence, Finding, Fix, Place, Subject, Verdict
from devenv.diagnosis.network_policies import (
    KIND,
    NAMESPACE_NAME,
    Barrier,
    Connection,
    Direction,
    Port,
    are_enforced,
    barriers,
    port_number,
)
from devenv.diagnosis.roles import (
    Role,
    effects_of_failure,
    place_of,
    requests_through,
    role_of,
    workloads_of_role,
)
from devenv.diagnosis.suffering import suffers
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.model import Facts, selects
from devenv.facts.objects import fields_of, full_name, items_of, name_of, namespace_of
from devenv.ports.kube import Manifest

# Where Envoy Gateway configures the proxy.
_XDS = Port(18000)
_REDIS = 6379
_DNS = Port(53, "UDP")
_DNS_APP = "kube-dns"


@dataclass(frozen=True)
class _Need:
    """A connection without which requests fail. `requests`: keys of those."""

    connection: Connection
    requests: frozenset[Key]


@dataclass(frozen=True)
class _Broken:
    """A connection that requests need, and what is in its way."""

    need: _Need
    barrier: Barrier


@check
def find_shutting_policies(facts: Facts) -> Iterator[Finding]:
    """DE418: NetworkPolicies shut off what requests need. If none suffers, that is harmless."""
    if not facts.of(KIND):
        return
    by_policies: dict[tuple[str, ...], list[_Broken]] = {}
    for need in _needs(facts):
        for barrier in barriers(facts, need.connection):
            by_policies.setdefault(barrier.names, []).append(_Broken(need, barrier))
    for group in by_policies.values():
        yield _finding(facts, group)


def _finding(facts: Facts, group: Sequence[_Broken]) -> Finding:
    needs, all_barriers = [entry.need for entry in group], [entry.barrier for entry in group]
    suffering = [need for need in needs if suffers(facts, need.connection.source, need.requests)]
    is_enforced = are_enforced(facts)
    is_fault = bool(suffering) and is_enforced
    names = all_barriers[0].names
    return Finding(
        code="DE418",
        subject=Subject(KIND, names[0]),
        says=_sentence(all_barriers, _harmless_because(is_fault=is_fault, is_enforced=is_enforced)),
        evidence=tuple(_evidence(all_barriers)),
        fix=_fixes(facts, all_barriers),
        verdict=Verdict.FAILED if is_fault else Verdict.HARMLESS,
        about=frozenset(keys.object_of(KIND, name) for name in names),
        affects=frozenset(_affected(suffering)),
        place=_place(suffering or needs),
    )


def _harmless_because(*, is_fault: bool, is_enforced: bool) -> str:
    if is_fault:
        return ""
    if not is_enforced:
        return "Nothing in this cluster enforces NetworkPolicies."
    return "Nothing suffers from it now."


def _sentence(all_barriers: Sequence[Barrier], harmless_because: str) -> str:
    names = all_barriers[0].names
    policies = f"{KIND} {names[0]} shuts"
    if len(names) > 1:
        policies = f"NetworkPolicies {', '.join(names)} shut"
    parts = [f"{own} off from {', '.join(others)}" for own, others in _shut_off(all_barriers)]
    return f"{policies} {'; '.join(parts)}. {harmless_because}".rstrip()


def _shut_off(all_barriers: Iterable[Barrier]) -> Iterator[tuple[str, list[str]]]:
    """Yield who is shut off, and from whom. Two that are shut off from each other come once."""
    by_name: dict[str, list[str]] = {}
    for barrier in all_barriers:
        connection, direction = barrier.connection, barrier.direction
        own = _name(connection.own_end(direction))
        other = _name(connection.other_end(direction))
        if other not in by_name.get(own, ()) and own not in by_name.get(other, ()):
            by_name.setdefault(own, []).append(other)
    yield from by_name.items()


def _name(workload: Workload | None) -> str:
    if workload is None:
        return "clients"
    return "the proxy" if role_of(workload) is Role.PROXY else workload.name


def _evidence(all_barriers: Sequence[Barrier]) -> Iterator[Evidence]:
    """Yield of each policy which ports none of its rules allows, and since when it exists."""
    ports = dict.fromkeys(map(_spell_port, all_barriers))
    for policy in all_barriers[0].policies:
        source = f"{KIND} {full_name(policy)}"
        yield Evidence(source, f"no rule allows {', '.join(ports)}", created_at(policy))


def _spell_port(barrier: Barrier) -> str:
    port = barrier.connection.port
    return f"{barrier.direction} to {port.protocol} {port.number}"


def _affected(needs: Iterable[_Need]) -> Iterator[Key]:
    for need in needs:
        yield from need.requests
        source = need.connection.source
        if source is not None:
            yield keys.workload(source.kind, source.full_name)
            yield from effects_of_failure(source)
            if component := source.component:
                yield keys.component(component.name)


def _place(needs: Iterable[_Need]) -> Place | None:
    """Return the first place on a request's way behind which a connection is missing."""
    places = {_place_of(need.connection) for need in needs}
    return next((place for place in Place if place in places), None)


def _place_of(connection: Connection) -> Place | None:
    if connection.source is None:
        return Place.PORT
    return place_of(connection.target) or place_of(connection.source)


# What requests need


def _needs(facts: Facts) -> Iterator[_Need]:
    for proxy in workloads_of_role(facts, Role.PROXY):
        yield from _needs_of_proxy(facts, proxy)
    for role in (Role.PLUGINS, Role.METADATA):
        for program in workloads_of_role(facts, role):
            yield from _needs_of_program(facts, program)


def _needs_of_proxy(facts: Facts, proxy: Workload) -> Iterator[_Need]:
    requests = keys.ALL_ROUTES
    for service in facts.of("Service"):
        if _leads_to(service, proxy):
            for port in _target_ports(service, proxy):
                yield _Need(Connection(None, proxy, port), requests)
    for controller in workloads_of_role(facts, Role.CONTROLLER):
        yield _Need(Connection(proxy, controller, _XDS), requests)
    yield from _dns(facts, proxy, requests)
    for backend in _backends(facts):
        for target, port in _behind(facts, backend):
            if asking := frozenset(requests_through(target)):
                yield _Need(Connection(proxy, target, port), asking)


def _needs_of_program(facts: Facts, program: Workload) -> Iterator[_Need]:
    """Yield what AIBrix's programs on a request's way need: names, and Redis."""
    requests = frozenset(requests_through(program))
    yield from _dns(facts, program, requests)
    for service in facts.of("Service"):
        if namespace_of(service) != program.namespace:
            continue
        for target in _workloads_behind(facts, service):
            for port in _target_ports(service, target, _REDIS):
                yield _Need(Connection(program, target, port), requests)


def _dns(facts: Facts, source: Workload, requests: frozenset[Key]) -> Iterator[_Need]:
    for target in workloads_of_role(facts, Role.NETWORK):
        if target.pod_labels.get("k8s-app") == _DNS_APP:
            yield _Need(Connection(source, target, _DNS), requests)


def _backends(facts: Facts) -> Iterator[Backend]:
    for kind in ("EnvoyExtensionPolicy", "HTTPRoute"):
        for obj in facts.of(kind):
            yield from backends_of(obj)


def _behind(facts: Facts, backend: Backend) -> Iterator[tuple[Workload, Port]]:
    """Yield the workloads behind a backend, with the port of their pods that it leads to."""
    name = backend.service
    service = facts.one("Service", name.namespace, name.name)
    if service is None:
        return
    number = int(backend.port) if backend.port.isdecimal() else 0
    for target in _workloads_behind(facts, service):
        for port in _target_ports(service, target, number):
            yield target, port


def _workloads_behind(facts: Facts, service: Manifest) -> Iterator[Workload]:
    for workload in (*all_workloads(facts), *loose_pods(facts)):
        if _leads_to(service, workload):
            yield workload


def _leads_to(service: Manifest, workload: Workload) -> bool:
    is_beside = namespace_of(service) == workload.namespace
    return is_beside and selects(fields_of(service, "spec").get("selector"), workload.pod_labels)


def _target_ports(service: Manifest, workload: Workload, number: int = 0) -> Iterator[Port]:
    """Yield the ports of pods that a Service leads to: of one of its own ports, or of all."""
    for entry in items_of(service["spec"], "ports"):
        if number and entry.get("port") != number:
            continue
        protocol = str(entry.get("protocol") or "TCP")
        target = entry.get("targetPort") or entry.get("port")
        if isinstance(target, str):
            target = port_number(workload, target, protocol)
        if target:
            yield Port(int(target), protocol)


# How a policy lets them through


def _fixes(facts: Facts, all_barriers: Sequence[Barrier]) -> tuple[Fix, ...]:
    """Return the command that adds the missing rules to the first policy."""
    policy = all_barriers[0].policies[0]
    operations: list[dict[str, Any]] = []
    for direction in Direction:
        rules: list[dict[str, Any]] = []
        for barrier in all_barriers:
            rule = _rule(barrier)
            if barrier.direction is direction and rule not in rules:
                rules.append(rule)
        operations += _additions(policy, direction, rules)
    namespace, target = namespace_of(policy), ("networkpolicy", name_of(policy))
    patch = ("patch", *target, "--type", "json", "-p", json_word(operations))
    return (
        kubectl_command(facts, namespace, *patch),
        kubectl_command(facts, namespace, "describe", *target),
    )


def _additions(
    policy: Manifest, direction: Direction, rules: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the operations of a JSON patch that add rules; a list that is missing is made."""
    path = f"/spec/{direction}"
    if fields_of(policy, "spec").get(direction):
        return [{"op": "add", "path": f"{path}/-", "value": rule} for rule in rules]
    return [{"op": "add", "path": path, "value": rules}] if rules else []


def _rule(barrier: Barrier) -> dict[str, Any]:
    port = barrier.connection.port
    rule: dict[str, Any] = {"ports": [{"protocol": port.protocol, "port": port.number}]}
    workload = barrier.connection.other_end(barrier.direction)
    if workload is not None:
        rule[barrier.direction.peers] = [_peer(workload)]
    return rule


def _peer(workload: Workload) -> dict[str, Any]:
    selector = fields_of(workload.manifest["spec"].get("selector"), "matchLabels")
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: workload.namespace}},
        "podSelector": {"matchLabels": dict(selector or workload.pod_labels)},
    }
