"""Two looks side by side: what differs in configuration, and what in the state that came of it. Pure.

What differs in every cluster is left out: versions of resources, hashes in names, addresses, times.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis.read import conditions, label
from devenv.facts.labels import is_ready, model_name
from devenv.facts.model import WORKLOADS, Facts, ProxyFacts
from devenv.gates import ready
from devenv.ports import Manifest
from devenv.profiles.quantities import show

_CONFIGURED = (
    *WORKLOADS, "EnvoyExtensionPolicy", "EnvoyPatchPolicy", "ClientTrafficPolicy", "Gateway", "GatewayClass",
    "EnvoyProxy", "HTTPRoute", "ReferenceGrant", "ModelAdapter", "Service", "ConfigMap", "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)  # fmt: skip
_CONDITIONED = (
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
)
# Of an object, what its owner has written.
_KEPT = ("spec", "data", "webhooks")
# The variable is kindnet's, and holds the node's name.
_NOISE = re.compile(
    r"\.env\[CONTROL_PLANE_ENDPOINT\]|(^|\.)(clusterIPs?|nodeName|healthCheckNodePort|ipFamil(y|ies)\w*|pod-template-hash|kubectl\.kubernetes\.io/restartedAt)(\.|$|\[)"
)
_NODE_PORT = re.compile(r"^spec\.ports\[[^\]]*\]\.nodePort$")
_IMAGE = re.compile(
    r"^spec\.template\.spec\.(?:initContainers|containers)\[(?P<container>[^\]]+)\]\.image$"
)
_ENV = re.compile(
    r"^spec\.template\.spec\.(?:initContainers|containers)\[[^\]]+\]\.env\[(?P<name>[^\]]+)\](?:\..*)?$"
)
# Kept by some devenvs only.
_LATER = frozenset({"command", "args", "mark", "readinessProbe", "livenessProbe", "startupProbe"})
# Characters of a value that are shown.
_LONG = 120
# Of a disk.
_FULL = 0.95


@dataclass(frozen=True, order=True)
class Difference:
    """One difference. The lower its rank, the likelier it matters. `path`: the field, "" where it is the whole thing."""

    rank: int
    subject: str
    says: str
    path: str = ""


@dataclass(frozen=True)
class Comparison:
    """What differs between a good look and another."""

    configuration: tuple[Difference, ...]
    state: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.configuration or self.state)


def compare(good: Facts, current: Facts) -> Comparison:
    """Return what differs, ordered by what could matter."""
    return Comparison(
        tuple(sorted({*_versions(good, current), *_objects(good, current)})),
        tuple(sorted({*_state(good, current)})),
    )


# Configuration


def _versions(good: Facts, current: Facts) -> Iterator[Difference]:
    expected, actual = (f"{f.profile.base} {f.profile.version}" for f in (good, current))
    pairs = (
        ("profile", expected, actual, 1),
        (
            "Docker",
            good.engine.version if good.engine else "",
            current.engine.version if current.engine else "",
            6,
        ),
        ("Kubernetes", _kubernetes(good), _kubernetes(current), 5),
    )
    for name, expected, actual, rank in pairs:
        if expected.strip() != actual.strip() and expected.strip() and actual.strip():
            yield Difference(rank, name, f"changed: {expected.strip()} → {actual.strip()}", name)


def _kubernetes(facts: Facts) -> str:
    versions = {
        str(((n.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", ""))
        for n in facts.of("Node")
    }
    return ", ".join(sorted(filter(None, versions)))


def _objects(good: Facts, current: Facts) -> Iterator[Difference]:
    unshared_fields = (_containers(good) ^ _containers(current)) & _LATER
    for kind in _CONFIGURED:
        if not all(f.knows(kind) and kind in f.objects for f in (good, current)):
            continue
        expected, actual = ({label(o): o for o in f.of(kind)} for f in (good, current))
        for name in sorted(expected.keys() | actual.keys()):
            subject = f"{kind} {name}"
            if not (good.knows(subject) and current.knows(subject)):
                # A file has odd values in it.
                continue
            if name not in actual:
                yield Difference(0, subject, "is missing")
            elif name not in expected:
                yield Difference(2, subject, "is new")
            else:
                yield from _fields(subject, expected[name], actual[name], unshared_fields)


def _containers(facts: Facts) -> set[str]:
    """Return what the look has kept of containers, wherever any has it: another devenv keeps more, or less."""
    templates = [
        ((w["spec"].get("template") or {}).get("spec") or {}) for w in facts.of("Deployment")
    ]
    return {
        field
        for template in templates for container in template.get("containers") or ()
        for field in (*container, *(("mark",) if any("mark" in e for e in container.get("env") or ()) else ()))
    }  # fmt: skip


def _fields(
    subject: str, expected: Manifest, actual: Manifest, unshared_fields: AbstractSet[str]
) -> Iterator[Difference]:
    expected_fields, actual_fields = dict(_flat(_owned(expected))), dict(_flat(_owned(actual)))
    paths: set[str] = set()
    for path in sorted(expected_fields.keys() | actual_fields.keys()):
        if expected_fields.get(path) != actual_fields.get(path) and not unshared_fields & set(
            re.split(r"[.\[\]]+", path)
        ):
            difference = _in_words(
                subject, path, expected_fields.get(path), actual_fields.get(path)
            )
            if difference.path not in paths:
                paths.add(difference.path)
                yield difference


def _owned(obj: Manifest) -> dict[str, Any]:
    return {k: obj[k] for k in _KEPT if k in obj}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field of an object, by its path; entries of a list of named things by their names."""
    if _NOISE.search(path) or _NODE_PORT.match(path):
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for key, inner in _keyed(value):
            yield from _flat(inner, f"{path}[{key}]")
    else:
        yield path, value


def _keyed(items: list[Any]) -> Iterator[tuple[str, Any]]:
    names = [i.get("name") if isinstance(i, Mapping) else None for i in items]
    by_name = all(isinstance(n, str) for n in names) and len(set(names)) == len(names)
    for number, item in enumerate(items):
        yield (str(names[number]) if by_name else str(number)), item


def _in_words(subject: str, path: str, expected: Any, actual: Any) -> Difference:
    short = subject.rpartition("/")[2] if subject.startswith(WORKLOADS) else subject
    if match := _IMAGE.match(path):
        return Difference(
            0,
            subject,
            f"{short}: image of {match['container']} changed: {_shown(expected)} → {_shown(actual)}",
            path,
        )
    if match := _ENV.match(path):
        name = match["name"]
        what = (
            "is new"
            if expected is None
            else "is gone"
            if actual is None
            else "changed (values are not kept)"
        )
        whole = path[: path.index(f".env[{name}]")] + f".env[{name}]"
        return Difference(1, subject, f"{short}: variable {name} {what}", whole)
    rank = (
        1
        if re.search(r"\.(args|command)\b", path)
        else 2
        if re.search(r"replicas|resources|imagePullPolicy", path)
        else 3
    )
    if not subject.startswith((*WORKLOADS, "Service")):
        rank = 1
    if expected is None:
        return Difference(rank, subject, f"{short}: {path} is new: {_shown(actual)}", path)
    if actual is None:
        return Difference(
            rank, subject, f"{short}: {path} is gone; it was {_shown(expected)}", path
        )
    return Difference(
        rank, subject, f"{short}: {path} changed: {_shown(expected)} → {_shown(actual)}", path
    )


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


# State


def _state(good: Facts, current: Facts) -> Iterator[Difference]:
    yield from _nodes(good, current)
    yield from _verdicts(good, current)
    yield from _workloads(good, current)
    yield from _envoy(good, current)
    yield from _requests(good, current)


def _nodes(good: Facts, current: Facts) -> Iterator[Difference]:
    """Tell of disks only where one is nearly full: each is at another level at every look."""
    roles = dict(_by_role(good))
    for role, node in _by_role(current):
        good_node = roles.get(role)
        if good_node and good_node.status != node.status:
            yield Difference(
                0,
                f"node {role}",
                f"the node {role} is {node.status}; it was {good_node.status}",
                "status",
            )
        if (
            good_node
            and good_node.disk
            and node.disk
            and _use(node.disk) >= _FULL > _use(good_node.disk)
        ):
            message = f"the disk of the node {role} has {show(node.disk.free)} free; it had {show(good_node.disk.free)}"
            yield Difference(0, f"node {role}", message, "disk")


def _by_role(facts: Facts) -> Iterator[tuple[str, Any]]:
    """Yield nodes by what kind calls them in every cluster."""
    for node in facts.nodes:
        yield node.name.removeprefix(f"{facts.cluster}-"), node


def _use(space: Any) -> float:
    inodes = 1 - space.free_inodes / space.total_inodes if space.total_inodes else 0.0
    return max(1 - space.free / space.total if space.total else 0.0, inodes)


def _verdicts(good: Facts, current: Facts) -> Iterator[Difference]:
    for kind in _CONDITIONED:
        expected, actual = ({label(o): _conditions(o) for o in f.of(kind)} for f in (good, current))
        for name in sorted(expected.keys() & actual.keys()):
            for condition in sorted(expected[name].keys() | actual[name].keys()):
                expected_status, actual_status = (
                    expected[name].get(condition, ("not reported", "")),
                    actual[name].get(condition, ("not reported", "")),
                )
                if expected_status[0] != actual_status[0]:
                    message = f"{kind} {name}: {condition}={actual_status[0]} {actual_status[1]}; it was {expected_status[0]}"
                    yield Difference(1, f"{kind} {name}", message, condition)


def _conditions(obj: Manifest) -> dict[str, tuple[str, str]]:
    return {
        str(c["type"]): (
            str(c["status"]),
            f"{c.get('reason', '')}: {c.get('message', '').strip()}".strip(": "),
        )
        for c in conditions(obj)
    }


def _workloads(good: Facts, current: Facts) -> Iterator[Difference]:
    expected, actual = (
        {label(o): ready.workload(o) for o in f.of("Deployment")} for f in (good, current)
    )
    for name in sorted(expected.keys() & actual.keys()):
        if expected[name] != actual[name] and actual[name]:
            yield Difference(
                2, f"Deployment {name}", f"{name} is not ready: {actual[name]}", "ready"
            )
    yield from _models(good, current)


def _models(good: Facts, current: Facts) -> Iterator[Difference]:
    expected, actual = (_ready_models(f) for f in (good, current))
    for model in sorted(expected - actual):
        yield Difference(
            2, f"model {model}", f"the model {model} has no ready pod any more", "pods"
        )


def _ready_models(facts: Facts) -> set[str]:
    annotated = facts.profile.model_annotations
    return {model_name(p, annotated=annotated) for p in facts.of("Pod") if is_ready(p)} - {""}


def _envoy(good: Facts, current: Facts) -> Iterator[Difference]:
    """Compare what Envoy has, one proxy for all: their pods have other names in every cluster."""
    if not (good.proxies and current.proxies):
        return
    for what, expected, actual in (
        ("filter", _filters(good.proxies), _filters(current.proxies)),
        ("route", _routes(good.proxies), _routes(current.proxies)),
        ("cluster", _clusters(good.proxies), _clusters(current.proxies)),
    ):
        for name in sorted(expected - actual):
            yield Difference(1, "Envoy", f"Envoy has no {what} {name} any more", f"{what} {name}")
        for name in sorted(actual - expected):
            yield Difference(
                3, "Envoy", f"Envoy has the {what} {name}, which it had not", f"{what} {name}"
            )


def _filters(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {name for p in proxies for filters in p.listeners.values() for name in filters}


def _routes(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {r.name for p in proxies for r in p.routes if r.name}


def _clusters(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {u.name for p in proxies for u in p.upstreams}


def _requests(good: Facts, current: Facts) -> Iterator[Difference]:
    expected, actual = ({p.name: p for p in f.proofs} for f in (good, current))
    for name in sorted(expected.keys() & actual.keys()):
        if expected[name].ok and not actual[name].ok:
            failures = "; ".join(actual[name].failures)
            yield Difference(4, f"request {name}", f"the request {name} fails: {failures}", "ok")
