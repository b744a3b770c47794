"""Two looks side by side: what differs in the configuration, and what in the resulting state. Pure.

What differs between any two clusters is left out: resource versions, hashes, addresses, times.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from devenv.diagnosis.manifests import conditions, template_of
from devenv.diagnosis.read import was_listed
from devenv.facts.labels import is_ready, model_name
from devenv.facts.live import Proof
from devenv.facts.model import WORKLOADS, Facts, NodeFacts, ProxyFacts
from devenv.facts.objects import full_name, status_of
from devenv.gates import ready
from devenv.ports.host import Space
from devenv.ports.kube import Manifest
from devenv.profiles.quantities import show

_CONFIGURED = (
    *WORKLOADS,
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "ClientTrafficPolicy",
    "Gateway",
    "GatewayClass",
    "EnvoyProxy",
    "HTTPRoute",
    "ReferenceGrant",
    "ModelAdapter",
    "Service",
    "ConfigMap",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
_CONDITIONED = (
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
)
# The fields of an object that its owner has written.
_OWNED_FIELDS = ("spec", "data", "webhooks")
# Fields that differ in every cluster. CONTROL_PLANE_ENDPOINT is kindnet's and names the node.
_NOISE = re.compile(
    r"\.env\[CONTROL_PLANE_ENDPOINT\]"
    r"|(^|\.)(clusterIPs?|nodeName|healthCheckNodePort|ipFamil(y|ies)\w*|pod-template-hash"
    r"|kubectl\.kubernetes\.io/restartedAt)(\.|$|\[)"
)
_NODE_PORT = re.compile(r"^spec\.ports\[[^\]]*\]\.nodePort$")
_CONTAINERS = r"^spec\.template\.spec\.(?:initContainers|containers)"
_IMAGE = re.compile(rf"{_CONTAINERS}\[(?P<container>[^\]]+)\]\.image$")
_VARIABLE = re.compile(rf"(?P<path>{_CONTAINERS}\[[^\]]+\]\.env\[(?P<name>[^\]]+)\])(?:\..*)?$")
_COMMAND = re.compile(r"\.(args|command)\b")
_SCALE = re.compile(r"replicas|resources|imagePullPolicy")
# Fields of a container that only some versions of devenv collect.
_LATER_FIELDS = frozenset(
    {"command", "args", "mark", "readinessProbe", "livenessProbe", "startupProbe"}
)
# The fields of a pod that came together; `references` is in every look that has them.
_PLACING_FIELDS = frozenset(
    {"references", "nodeSelector", "priorityClassName", "schedulingGates", "schedulerName"}
)
# Characters of a value that are shown.
_LONGEST_VALUE = 120
# The share of a disk from which on it counts as full.
_FULL = 0.95


class Rank(IntEnum):
    """How likely a difference matters: the lower, the likelier."""

    FIRST = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3
    REQUEST = 4
    KUBERNETES = 5
    ENGINE = 6


@dataclass(frozen=True, order=True)
class Difference:
    """One difference. `path` is the field, "" if the whole object is meant."""

    rank: int
    subject: str
    says: str
    path: str = ""


@dataclass(frozen=True)
class Comparison:
    """What differs between a good look and another one."""

    configuration: tuple[Difference, ...]
    state: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.configuration or self.state)


def compare(good: Facts, current: Facts) -> Comparison:
    """Return what differs, the likeliest to matter first."""
    return Comparison(
        configuration=tuple(sorted({*_versions(good, current), *_objects(good, current)})),
        state=tuple(sorted({*_state(good, current)})),
    )


# Configuration


def _versions(good: Facts, current: Facts) -> Iterator[Difference]:
    yield from _version("profile", Rank.HIGH, _profile_version(good), _profile_version(current))
    yield from _version("Docker", Rank.ENGINE, _engine_version(good), _engine_version(current))
    kubelets = _kubelet_versions(good), _kubelet_versions(current)
    yield from _version("Kubernetes", Rank.KUBERNETES, *kubelets)


def _version(name: str, rank: Rank, expected: str, actual: str) -> Iterator[Difference]:
    if expected and actual and expected != actual:
        yield Difference(
            rank=rank,
            subject=name,
            says=f"changed: {expected} → {actual}",
            path=name,
        )


def _profile_version(facts: Facts) -> str:
    return f"{facts.profile.base} {facts.profile.version}".strip()


def _engine_version(facts: Facts) -> str:
    return facts.engine.version.strip() if facts.engine else ""


def _kubelet_versions(facts: Facts) -> str:
    versions = set()
    for node in facts.of("Node"):
        info = status_of(node).get("nodeInfo") or {}
        versions.add(str(info.get("kubeletVersion", "")))
    return ", ".join(sorted(versions - {""})).strip()


def _objects(good: Facts, current: Facts) -> Iterator[Difference]:
    # A field that only one of the two looks has collected is no difference.
    ignored_fields = (_container_fields(good) ^ _container_fields(current)) & _LATER_FIELDS
    if not (_has_references(good) and _has_references(current)):
        ignored_fields |= _PLACING_FIELDS
    for kind in _CONFIGURED:
        if not (was_listed(good, kind) and was_listed(current, kind)):
            continue
        for pair in _pairs(good, current, kind):
            # An object is unknown if some of its values in a saved file were unreadable.
            if good.knows(pair.subject) and current.knows(pair.subject):
                yield from _object(pair, ignored_fields)


def _container_fields(facts: Facts) -> set[str]:
    """Return the fields that the look has of any container: each version of devenv keeps others."""
    fields = set()
    for deployment in facts.of("Deployment"):
        for container in (template_of(deployment).get("spec") or {}).get("containers") or ():
            fields.update(container)
            if any("mark" in variable for variable in container.get("env") or ()):
                fields.add("mark")
    return fields


def _has_references(facts: Facts) -> bool:
    """Whether the look has what the pods of its Deployments need."""
    pods = (template_of(deployment).get("spec") or {} for deployment in facts.of("Deployment"))
    return any("references" in pod for pod in pods)


@dataclass(frozen=True)
class _Pair:
    """An object in the good look and in the current one; None where it does not exist."""

    kind: str
    name: str
    expected: Manifest | None
    actual: Manifest | None

    @property
    def subject(self) -> str:
        return f"{self.kind} {self.name}"


def _pairs(good: Facts, current: Facts, kind: str) -> Iterator[_Pair]:
    expected, actual = _by_name(good, kind), _by_name(current, kind)
    for name in sorted(expected.keys() | actual.keys()):
        yield _Pair(kind, name, expected.get(name), actual.get(name))


def _by_name(facts: Facts, kind: str) -> dict[str, Manifest]:
    objects = facts.of(kind)
    if kind == "ConfigMap":
        # Of the others only the keys are read, and older looks don't have them.
        objects = tuple(obj for obj in objects if "data" in obj)
    return {full_name(obj): obj for obj in objects}


def _object(pair: _Pair, ignored_fields: AbstractSet[str]) -> Iterator[Difference]:
    if pair.actual is None:
        yield Difference(rank=Rank.FIRST, subject=pair.subject, says="is missing")
    elif pair.expected is None:
        yield Difference(rank=Rank.MEDIUM, subject=pair.subject, says="is new")
    else:
        yield from _fields(pair.subject, pair.expected, pair.actual, ignored_fields)


def _fields(
    subject: str, expected: Manifest, actual: Manifest, ignored_fields: AbstractSet[str]
) -> Iterator[Difference]:
    """Yield a difference for each field. All fields of one variable are one difference."""
    expected_fields, actual_fields = _owned_fields(expected), _owned_fields(actual)
    paths = set()
    for path in sorted(expected_fields.keys() | actual_fields.keys()):
        change = _Change(subject, path, expected_fields.get(path), actual_fields.get(path))
        is_ignored = not ignored_fields.isdisjoint(re.split(r"[.\[\]]+", path))
        if change.expected == change.actual or is_ignored:
            continue
        difference = change.describe()
        if difference.path not in paths:
            paths.add(difference.path)
            yield difference


def _owned_fields(obj: Manifest) -> dict[str, Any]:
    """Return the fields that an object's owner has written, by their paths."""
    return dict(_flat({key: obj[key] for key in _OWNED_FIELDS if key in obj}))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field of an object with its path, except noise."""
    if _NOISE.search(path) or _NODE_PORT.match(path):
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for key, inner in zip(_keys_of(value), value, strict=True):
            yield from _flat(inner, f"{path}[{key}]")
    else:
        yield path, value


def _keys_of(items: list[Any]) -> list[str]:
    """Return what the entries of a list go by: their names if all have one of their own."""
    names = list(_names_of(items))
    if len(set(names)) == len(items):
        return names
    return list(map(str, range(len(items))))


def _names_of(items: list[Any]) -> Iterator[str]:
    """Yield the names of those entries that have one."""
    for item in items:
        if isinstance(item, Mapping) and isinstance(item.get("name"), str):
            yield item["name"]


@dataclass(frozen=True)
class _Change:
    """A field that differs. A value is None if the field does not exist."""

    subject: str
    path: str
    expected: Any
    actual: Any

    def describe(self) -> Difference:
        """Return the difference, in words that fit the kind of field."""
        if image := _IMAGE.match(self.path):
            values = f"{_shorten(self.expected)} → {_shorten(self.actual)}"
            message = f"{self._name}: image of {image['container']} changed: {values}"
            return Difference(
                rank=Rank.FIRST,
                subject=self.subject,
                says=message,
                path=self.path,
            )
        if variable := _VARIABLE.match(self.path):
            message = f"{self._name}: variable {variable['name']} {self._variable_change}"
            return Difference(
                rank=Rank.HIGH,
                subject=self.subject,
                says=message,
                path=variable["path"],
            )
        message = f"{self._name}: {self.path} {self._value_change}"
        return Difference(
            rank=self._rank,
            subject=self.subject,
            says=message,
            path=self.path,
        )

    @property
    def _name(self) -> str:
        """What a sentence calls the object: a workload goes by its name alone."""
        if self.subject.startswith(WORKLOADS):
            return self.subject.rpartition("/")[2]
        return self.subject

    @property
    def _rank(self) -> Rank:
        if not self.subject.startswith((*WORKLOADS, "Service")) or _COMMAND.search(self.path):
            return Rank.HIGH
        if _SCALE.search(self.path):
            return Rank.MEDIUM
        return Rank.LOW

    @property
    def _variable_change(self) -> str:
        if self.expected is None:
            return "is new"
        if self.actual is None:
            return "is gone"
        return "changed (values are not kept)"

    @property
    def _value_change(self) -> str:
        if self.expected is None:
            return f"is new: {_shorten(self.actual)}"
        if self.actual is None:
            return f"is gone; it was {_shorten(self.expected)}"
        return f"changed: {_shorten(self.expected)} → {_shorten(self.actual)}"


def _shorten(value: Any) -> str:
    text = str(value)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}…"


# State


def _state(good: Facts, current: Facts) -> Iterator[Difference]:
    yield from _nodes(good, current)
    yield from _verdicts(good, current)
    yield from _workloads(good, current)
    yield from _models(good, current)
    yield from _envoy(good, current)
    yield from _requests(good, current)


def _nodes(good: Facts, current: Facts) -> Iterator[Difference]:
    good_nodes = _nodes_by_role(good)
    for role, node in _nodes_by_role(current).items():
        if good_node := good_nodes.get(role):
            yield from _node(role, good_node, node)


def _nodes_by_role(facts: Facts) -> dict[str, NodeFacts]:
    """Return the nodes by the names that kind gives them in every cluster, such as worker2."""
    return {node.name.removeprefix(f"{facts.cluster}-"): node for node in facts.nodes}


def _node(role: str, good_node: NodeFacts, node: NodeFacts) -> Iterator[Difference]:
    subject = f"node {role}"
    if good_node.status != node.status:
        message = f"the node {role} is {node.status}; it was {good_node.status}"
        yield Difference(
            rank=Rank.FIRST,
            subject=subject,
            says=message,
            path="status",
        )
    good_disk, disk = good_node.disk, node.disk
    # Every look finds a disk at another level, so only one that has become nearly full is told.
    if good_disk and disk and _use_of(disk) >= _FULL > _use_of(good_disk):
        free, free_before = show(disk.free), show(good_disk.free)
        message = f"the disk of the node {role} has {free} free; it had {free_before}"
        yield Difference(
            rank=Rank.FIRST,
            subject=subject,
            says=message,
            path="disk",
        )


def _use_of(space: Space) -> float:
    """Return the share of a disk that is used, of its bytes or of its inodes, whichever is more."""
    bytes_used = _share_used(space.free, space.total)
    inodes_used = _share_used(space.free_inodes, space.total_inodes)
    return max(bytes_used, inodes_used)


def _share_used(free: int, total: int) -> float:
    return 1 - free / total if total else 0.0


@dataclass(frozen=True)
class _Reported:
    """A condition: its status, and why."""

    status: str
    detail: str


_NOT_REPORTED = _Reported("not reported", "")


def _verdicts(good: Facts, current: Facts) -> Iterator[Difference]:
    """Compare the conditions of the objects that exist in both looks."""
    for kind in _CONDITIONED:
        for pair in _pairs(good, current, kind):
            if pair.expected and pair.actual:
                expected, actual = _reported(pair.expected), _reported(pair.actual)
                yield from _conditions(pair.subject, expected, actual)


def _conditions(
    subject: str, expected: Mapping[str, _Reported], actual: Mapping[str, _Reported]
) -> Iterator[Difference]:
    for name in sorted(expected.keys() | actual.keys()):
        good = expected.get(name, _NOT_REPORTED)
        current = actual.get(name, _NOT_REPORTED)
        if good.status != current.status:
            message = f"{subject}: {name}={current.status} {current.detail}; it was {good.status}"
            yield Difference(
                rank=Rank.HIGH,
                subject=subject,
                says=message,
                path=name,
            )


def _reported(obj: Manifest) -> dict[str, _Reported]:
    """Return an object's conditions by their types."""
    reported = {}
    for condition in conditions(obj):
        detail = f"{condition.get('reason', '')}: {condition.get('message', '').strip()}"
        reported[str(condition["type"])] = _Reported(
            status=str(condition["status"]), detail=detail.strip(": ")
        )
    return reported


def _workloads(good: Facts, current: Facts) -> Iterator[Difference]:
    for pair in _pairs(good, current, "Deployment"):
        if not (pair.expected and pair.actual):
            continue
        problem = ready.workload(pair.actual)
        if problem and problem != ready.workload(pair.expected):
            message = f"{pair.name} is not ready: {problem}"
            yield Difference(
                rank=Rank.MEDIUM,
                subject=pair.subject,
                says=message,
                path="ready",
            )


def _models(good: Facts, current: Facts) -> Iterator[Difference]:
    for model in sorted(_ready_models(good) - _ready_models(current)):
        message = f"the model {model} has no ready pod any more"
        yield Difference(
            rank=Rank.MEDIUM,
            subject=f"model {model}",
            says=message,
            path="pods",
        )


def _ready_models(facts: Facts) -> set[str]:
    annotated = facts.profile.model_annotations
    ready_pods = filter(is_ready, facts.of("Pod"))
    return {model_name(pod, annotated=annotated) for pod in ready_pods} - {""}


def _envoy(good: Facts, current: Facts) -> Iterator[Difference]:
    """Compare all proxies of one look with all of the other, since the names of pods differ."""
    if not (good.proxies and current.proxies):
        return
    for what, names_in in _ENVOY_PARTS.items():
        expected, actual = names_in(good.proxies), names_in(current.proxies)
        for name in sorted(expected - actual):
            message = f"Envoy has no {what} {name} any more"
            yield Difference(
                rank=Rank.HIGH,
                subject="Envoy",
                says=message,
                path=f"{what} {name}",
            )
        for name in sorted(actual - expected):
            message = f"Envoy has the {what} {name}, which it did not have"
            yield Difference(
                rank=Rank.LOW,
                subject="Envoy",
                says=message,
                path=f"{what} {name}",
            )


def _filters(proxies: Iterable[ProxyFacts]) -> set[str]:
    names: set[str] = set()
    for proxy in proxies:
        names.update(*proxy.listeners.values())
    return names


def _routes(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {route.name for proxy in proxies for route in proxy.routes} - {""}


def _upstreams(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {upstream.name for proxy in proxies for upstream in proxy.upstreams}


# What a sentence calls a part of Envoy → the names of all of them.
_ENVOY_PARTS: Mapping[str, Callable[[Iterable[ProxyFacts]], set[str]]] = {
    "filter": _filters,
    "route": _routes,
    "cluster": _upstreams,
}


def _requests(good: Facts, current: Facts) -> Iterator[Difference]:
    expected, actual = _proofs_by_name(good), _proofs_by_name(current)
    for name in sorted(expected.keys() & actual.keys()):
        if expected[name].ok and not actual[name].ok:
            failures = "; ".join(actual[name].failures)
            message = f"the request {name} fails: {failures}"
            yield Difference(
                rank=Rank.REQUEST,
                subject=f"request {name}",
                says=message,
                path="ok",
            )


def _proofs_by_name(facts: Facts) -> dict[str, Proof]:
    return {proof.name: proof for proof in facts.proofs}
