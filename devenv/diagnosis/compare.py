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
_KEPT = ("spec", "data", "webhooks")  # of an object, what its owner has written
_NOISE = re.compile(  # the variable is kindnet's, and holds the node's name
    r"\.env\[CONTROL_PLANE_ENDPOINT\]|(^|\.)(clusterIPs?|nodeName|healthCheckNodePort|ipFamil(y|ies)\w*|pod-template-hash|kubectl\.kubernetes\.io/restartedAt)(\.|$|\[)"
)
_NODE_PORT = re.compile(r"^spec\.ports\[[^\]]*\]\.nodePort$")
_IMAGE = re.compile(
    r"^spec\.template\.spec\.(?:initContainers|containers)\[(?P<container>[^\]]+)\]\.image$"
)
_ENV = re.compile(
    r"^spec\.template\.spec\.(?:initContainers|containers)\[[^\]]+\]\.env\[(?P<name>[^\]]+)\](?:\..*)?$"
)
_LATER = frozenset(
    {"command", "args", "mark", "readinessProbe", "livenessProbe", "startupProbe"}
)  # kept by some devenvs only
_LONG = 120  # characters of a value that are shown
_FULL = 0.95  # of a disk


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


def compare(good: Facts, other: Facts) -> Comparison:
    """Return what differs, ordered by what could matter."""
    return Comparison(
        tuple(sorted({*_versions(good, other), *_objects(good, other)})),
        tuple(sorted({*_state(good, other)})),
    )


# Configuration


def _versions(good: Facts, other: Facts) -> Iterator[Difference]:
    was, now = (f"{f.profile.base} {f.profile.version}" for f in (good, other))
    pairs = (
        ("profile", was, now, 1),
        (
            "Docker",
            good.engine.version if good.engine else "",
            other.engine.version if other.engine else "",
            6,
        ),
        ("Kubernetes", _kubernetes(good), _kubernetes(other), 5),
    )
    for name, was, now, rank in pairs:
        if was.strip() != now.strip() and was.strip() and now.strip():
            yield Difference(rank, name, f"changed: {was.strip()} → {now.strip()}", name)


def _kubernetes(facts: Facts) -> str:
    versions = {
        str(((n.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion", ""))
        for n in facts.of("Node")
    }
    return ", ".join(sorted(filter(None, versions)))


def _objects(good: Facts, other: Facts) -> Iterator[Difference]:
    unkept = (_containers(good) ^ _containers(other)) & _LATER
    for kind in _CONFIGURED:
        if not all(f.knows(kind) and kind in f.objects for f in (good, other)):
            continue
        was, now = ({label(o): o for o in f.of(kind)} for f in (good, other))
        for name in sorted(was.keys() | now.keys()):
            subject = f"{kind} {name}"
            if not (good.knows(subject) and other.knows(subject)):
                continue  # a file has odd values in it
            if name not in now:
                yield Difference(0, subject, "is missing")
            elif name not in was:
                yield Difference(2, subject, "is new")
            else:
                yield from _fields(subject, was[name], now[name], unkept)


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
    subject: str, was: Manifest, now: Manifest, unkept: AbstractSet[str]
) -> Iterator[Difference]:
    before, after = dict(_flat(_owned(was))), dict(_flat(_owned(now)))
    told: set[str] = set()
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path) and not unkept & set(re.split(r"[.\[\]]+", path)):
            found = _in_words(subject, path, before.get(path), after.get(path))
            if found.path not in told:
                told.add(found.path)
                yield found


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


def _in_words(subject: str, path: str, was: Any, now: Any) -> Difference:
    short = subject.rpartition("/")[2] if subject.startswith(WORKLOADS) else subject
    if found := _IMAGE.match(path):
        return Difference(
            0,
            subject,
            f"{short}: image of {found['container']} changed: {_shown(was)} → {_shown(now)}",
            path,
        )
    if found := _ENV.match(path):
        name = found["name"]
        what = (
            "is new"
            if was is None
            else "is gone"
            if now is None
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
    if was is None:
        return Difference(rank, subject, f"{short}: {path} is new: {_shown(now)}", path)
    if now is None:
        return Difference(rank, subject, f"{short}: {path} is gone; it was {_shown(was)}", path)
    return Difference(
        rank, subject, f"{short}: {path} changed: {_shown(was)} → {_shown(now)}", path
    )


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


# State


def _state(good: Facts, other: Facts) -> Iterator[Difference]:
    yield from _nodes(good, other)
    yield from _verdicts(good, other)
    yield from _workloads(good, other)
    yield from _envoy(good, other)
    yield from _requests(good, other)


def _nodes(good: Facts, other: Facts) -> Iterator[Difference]:
    """Tell of disks only where one is nearly full: each is at another level at every look."""
    roles = dict(_by_role(good))
    for role, node in _by_role(other):
        before = roles.get(role)
        if before and before.status != node.status:
            yield Difference(
                0,
                f"node {role}",
                f"the node {role} is {node.status}; it was {before.status}",
                "status",
            )
        if before and before.disk and node.disk and _use(node.disk) >= _FULL > _use(before.disk):
            says = f"the disk of the node {role} has {show(node.disk.free)} free; it had {show(before.disk.free)}"
            yield Difference(0, f"node {role}", says, "disk")


def _by_role(facts: Facts) -> Iterator[tuple[str, Any]]:
    """Yield nodes by what kind calls them in every cluster."""
    for node in facts.nodes:
        yield node.name.removeprefix(f"{facts.cluster}-"), node


def _use(space: Any) -> float:
    inodes = 1 - space.free_inodes / space.total_inodes if space.total_inodes else 0.0
    return max(1 - space.free / space.total if space.total else 0.0, inodes)


def _verdicts(good: Facts, other: Facts) -> Iterator[Difference]:
    for kind in _CONDITIONED:
        was, now = ({label(o): _conditions(o) for o in f.of(kind)} for f in (good, other))
        for name in sorted(was.keys() & now.keys()):
            for condition in sorted(was[name].keys() | now[name].keys()):
                before, after = (
                    was[name].get(condition, ("not reported", "")),
                    now[name].get(condition, ("not reported", "")),
                )
                if before[0] != after[0]:
                    says = f"{kind} {name}: {condition}={after[0]} {after[1]}; it was {before[0]}"
                    yield Difference(1, f"{kind} {name}", says, condition)


def _conditions(obj: Manifest) -> dict[str, tuple[str, str]]:
    return {
        str(c["type"]): (
            str(c["status"]),
            f"{c.get('reason', '')}: {c.get('message', '').strip()}".strip(": "),
        )
        for c in conditions(obj)
    }


def _workloads(good: Facts, other: Facts) -> Iterator[Difference]:
    was, now = ({label(o): ready.workload(o) for o in f.of("Deployment")} for f in (good, other))
    for name in sorted(was.keys() & now.keys()):
        if was[name] != now[name] and now[name]:
            yield Difference(2, f"Deployment {name}", f"{name} is not ready: {now[name]}", "ready")
    yield from _models(good, other)


def _models(good: Facts, other: Facts) -> Iterator[Difference]:
    was, now = (_ready_models(f) for f in (good, other))
    for model in sorted(was - now):
        yield Difference(
            2, f"model {model}", f"the model {model} has no ready pod any more", "pods"
        )


def _ready_models(facts: Facts) -> set[str]:
    annotated = facts.profile.model_annotations
    return {model_name(p, annotated=annotated) for p in facts.of("Pod") if is_ready(p)} - {""}


def _envoy(good: Facts, other: Facts) -> Iterator[Difference]:
    """Compare what Envoy has, one proxy for all: their pods have other names in every cluster."""
    if not (good.proxies and other.proxies):
        return
    for what, was, now in (
        ("filter", _filters(good.proxies), _filters(other.proxies)),
        ("route", _routes(good.proxies), _routes(other.proxies)),
        ("cluster", _clusters(good.proxies), _clusters(other.proxies)),
    ):
        for name in sorted(was - now):
            yield Difference(1, "Envoy", f"Envoy has no {what} {name} any more", f"{what} {name}")
        for name in sorted(now - was):
            yield Difference(
                3, "Envoy", f"Envoy has the {what} {name}, which it had not", f"{what} {name}"
            )


def _filters(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {name for p in proxies for filters in p.listeners.values() for name in filters}


def _routes(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {r.name for p in proxies for r in p.routes if r.name}


def _clusters(proxies: Iterable[ProxyFacts]) -> set[str]:
    return {u.name for p in proxies for u in p.upstreams}


def _requests(good: Facts, other: Facts) -> Iterator[Difference]:
    was, now = ({p.name: p for p in f.proofs} for f in (good, other))
    for name in sorted(was.keys() & now.keys()):
        if was[name].ok and not now[name].ok:
            failures = "; ".join(now[name].failures)
            yield Difference(4, f"request {name}", f"the request {name} fails: {failures}", "ok")
