"""What "ready" means for an object, as pure functions: each returns what is missing, "" when nothing is.

A status counts only if it is about the current generation: `rollout status` and `kubectl wait` are content with a
status that was written before the change that one waits for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from devenv.ports import Manifest
from devenv.profiles.model import Component

_SKEW = 10.0  # seconds by which clocks may differ, and a renewal be late


def missing(component: Component, found: Sequence[Manifest]) -> str:
    """Return what the component's objects still lack."""
    if not found:
        return f"{component.resource} does not exist"
    return "; ".join(filter(None, (_GATES[component.gate](o, component.conditions) for o in found)))


def workload(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A Deployment whose every replica is of the current generation and available."""
    status, wanted = obj.get("status") or {}, _wanted(obj)
    if wanted == 0:
        return "it is scaled to zero"
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen the change yet"
    for field, meaning in (("updatedReplicas", "updated"), ("availableReplicas", "available")):
        if status.get(field, 0) < wanted:
            return f"{status.get(field, 0)} of {wanted} replicas {meaning}"
    if status.get("replicas", 0) > wanted:
        return f"{status['replicas'] - wanted} old replicas still there"
    return ""


def daemon(obj: Manifest, *, updated: bool = True) -> str:
    """A DaemonSet whose pod is available on every node that is to have one, and of the current generation if that is asked."""
    status = obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen the change yet"
    fields = [("numberAvailable", "available")]
    if updated:
        fields.insert(0, ("updatedNumberScheduled", "updated"))
    for field, meaning in fields:
        if status.get(field, 0) < wanted:
            return f"{status.get(field, 0)} of {wanted} nodes have its pod {meaning}"
    return ""


def _wanted(obj: Manifest) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def conditions(obj: Manifest, wanted: Sequence[str]) -> str:
    """An object whose own conditions are true. An APIService has no generation."""
    return _unmet(_of(obj, "conditions"), wanted, obj["metadata"].get("generation", 0))


def ancestors(obj: Manifest, wanted: Sequence[str]) -> str:
    """A policy: true for each ancestor that it is attached to (status.ancestors)."""
    return _each(obj, "ancestors", wanted)


def parents(obj: Manifest, wanted: Sequence[str]) -> str:
    """A route: true for each parent that it is attached to (status.parents)."""
    return _each(obj, "parents", wanted)


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
    there = [
        e
        for e in obj.get("endpoints") or ()
        if (e.get("conditions") or {}).get("ready") is not False
    ]
    return "" if any(e.get("addresses") for e in there) else "no address is ready"


def webhook(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A webhook configuration whose every hook knows the certificate of who answers, which its controller puts in."""
    own = [(w, w.get("clientConfig") or {}) for w in obj.get("webhooks") or ()]
    without = [
        str(w.get("name"))
        for w, client in own
        if client.get("service") and not client.get("caBundle")
    ]
    return f"no certificate is known for {', '.join(without)}" if without else ""


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


def _each(obj: Manifest, field: str, wanted: Sequence[str]) -> str:
    found = _of(obj, field)
    if not found:
        return f"status.{field} is empty: no controller has looked at it yet"
    generation = obj["metadata"].get("generation", 0)
    return "; ".join(
        filter(None, (_unmet(part.get("conditions") or [], wanted, generation) for part in found))
    )


def _unmet(found: Iterable[Mapping[str, Any]], wanted: Iterable[str], generation: int) -> str:
    by_type = {c["type"]: c for c in found}
    return "; ".join(
        filter(None, (_unmet_one(by_type.get(name), name, generation) for name in wanted))
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
