"""What "ready" means for an object, as pure functions: each returns what is missing, "" when nothing is.

A status counts only if it is about the current generation: `rollout status` and `kubectl wait` are content with a
status that was written before the change that one waits for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from devenv.ports import Manifest
from devenv.profiles.model import Component

# Seconds by which clocks may differ, and a renewal be late.
_SKEW = 10.0


def missing(component: Component, objects: Sequence[Manifest]) -> str:
    """Return what the component's objects still lack."""
    if not objects:
        return f"{component.resource} does not exist"
    return "; ".join(
        filter(None, (_GATES[component.gate](o, component.conditions) for o in objects))
    )


def workload(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A Deployment whose every replica is of the current generation and available."""
    status, replicas = obj.get("status") or {}, _wanted(obj)
    if replicas == 0:
        return "it is scaled to zero"
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen the change yet"
    for field, meaning in (("updatedReplicas", "updated"), ("availableReplicas", "available")):
        if status.get(field, 0) < replicas:
            return f"{status.get(field, 0)} of {replicas} replicas {meaning}"
    if status.get("replicas", 0) > replicas:
        return f"{status['replicas'] - replicas} old replicas still there"
    return ""


def daemon(obj: Manifest, *, updated: bool = True) -> str:
    """A DaemonSet whose pod is available on every node that is to have one, and of the current generation if that is asked."""
    status = obj.get("status") or {}
    node_count = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen the change yet"
    fields = [("numberAvailable", "available")]
    if updated:
        fields.insert(0, ("updatedNumberScheduled", "updated"))
    for field, meaning in fields:
        if status.get(field, 0) < node_count:
            return f"{status.get(field, 0)} of {node_count} nodes have its pod {meaning}"
    return ""


def _wanted(obj: Manifest) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def conditions(obj: Manifest, types: Sequence[str]) -> str:
    """An object whose own conditions are true. An APIService has no generation."""
    return _unmet(_of(obj, "conditions"), types, obj["metadata"].get("generation", 0))


def ancestors(obj: Manifest, types: Sequence[str]) -> str:
    """A policy: true for each ancestor that it is attached to (status.ancestors)."""
    return _each(obj, "ancestors", types)


def parents(obj: Manifest, types: Sequence[str]) -> str:
    """A route: true for each parent that it is attached to (status.parents)."""
    return _each(obj, "parents", types)


def exists(_: Manifest, __: Sequence[str] = ()) -> str:
    """An object that need only be there."""
    return ""


def lease(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A Lease that its holder renews: who holds one of a pod that is gone leads nothing."""
    spec = obj.get("spec") or {}
    holder, renewed = str(spec.get("holderIdentity") or ""), str(spec.get("renewTime") or "")
    if not holder or not renewed:
        return "nobody leads"
    age = (datetime.now(UTC) - datetime.fromisoformat(renewed)).total_seconds()
    limit = float(spec.get("leaseDurationSeconds") or 0) + _SKEW
    return (
        ""
        if age <= limit
        else f"{holder.rpartition('_')[0] or holder} leads, and has not said so for {age:.0f} s"
    )


def endpoints(obj: Manifest, _: Sequence[str] = ()) -> str:
    """An EndpointSlice with an address that is ready."""
    ready_endpoints = [
        e
        for e in obj.get("endpoints") or ()
        if (e.get("conditions") or {}).get("ready") is not False
    ]
    return "" if any(e.get("addresses") for e in ready_endpoints) else "no address is ready"


def webhook(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A webhook configuration whose every hook knows the certificate of who answers, which its controller puts in."""
    hooks = [(hook, hook.get("clientConfig") or {}) for hook in obj.get("webhooks") or ()]
    names = [
        str(hook.get("name"))
        for hook, client in hooks
        if client.get("service") and not client.get("caBundle")
    ]
    return f"no certificate is known for {', '.join(names)}" if names else ""


_GATES: dict[str, Callable[[Manifest, Sequence[str]], str]] = {
    "exists": exists,
    "lease": lease,
    "endpoints": endpoints,
    "webhook": webhook,
    "workload": workload,
    "conditions": conditions,
    "ancestors": ancestors,
    "parents": parents,
}


def _of(obj: Manifest, field: str) -> list[dict[str, Any]]:
    """Return a list of the status, which may be null as well as missing."""
    return list((obj.get("status") or {}).get(field) or [])


def _each(obj: Manifest, field: str, types: Sequence[str]) -> str:
    parts = _of(obj, field)
    if not parts:
        return f"status.{field} is empty: no controller has looked at it yet"
    generation = obj["metadata"].get("generation", 0)
    return "; ".join(
        filter(None, (_unmet(part.get("conditions") or [], types, generation) for part in parts))
    )


def _unmet(
    reported_conditions: Iterable[Mapping[str, Any]], types: Iterable[str], generation: int
) -> str:
    by_type = {c["type"]: c for c in reported_conditions}
    return "; ".join(
        filter(None, (_unmet_one(by_type.get(name), name, generation) for name in types))
    )


def _unmet_one(condition: Mapping[str, Any] | None, name: str, generation: int) -> str:
    if condition is None:
        return f"{name} is not reported"
    if condition.get("observedGeneration", generation) < generation:
        return f"{name} is reported for an older generation"
    if condition["status"] != "True":
        return f"{name}={condition['status']} {condition.get('reason', '')}: {condition.get('message', '').strip()}".rstrip(
            ": "
        )
    return ""
