"""What "ready" means for an object, as pure functions: each returns what is missing, "" when nothing is.

A status counts only if it is about the current generation: `rollout status` and `kubectl wait` are content with a
status that was written before the change that one waits for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from devenv.ports import Manifest
from devenv.profiles.model import Component


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


def _wanted(obj: Manifest) -> int:
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def conditions(obj: Manifest, wanted: Sequence[str]) -> str:
    """An object whose own conditions are true."""
    return _unmet(_of(obj, "conditions"), wanted, obj["metadata"]["generation"])


def ancestors(obj: Manifest, wanted: Sequence[str]) -> str:
    """A policy: true for each ancestor that it is attached to (status.ancestors)."""
    return _each(obj, "ancestors", wanted)


def parents(obj: Manifest, wanted: Sequence[str]) -> str:
    """A route: true for each parent that it is attached to (status.parents)."""
    return _each(obj, "parents", wanted)


_GATES: dict[str, Callable[[Manifest, Sequence[str]], str]] = {
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
    generation = obj["metadata"]["generation"]
    return "; ".join(filter(None, (_unmet(part.get("conditions") or [], wanted, generation) for part in found)))


def _unmet(found: Iterable[Mapping[str, Any]], wanted: Iterable[str], generation: int) -> str:
    by_type = {c["type"]: c for c in found}
    return "; ".join(filter(None, (_unmet_one(by_type.get(name), name, generation) for name in wanted)))


def _unmet_one(condition: Mapping[str, Any] | None, name: str, generation: int) -> str:
    if condition is None:
        return f"{name} is not reported"
    if condition.get("observedGeneration", generation) < generation:
        return f"{name} is reported for an older generation"
    if condition["status"] != "True":
        return f"{name}={condition['status']} {condition.get('reason', '')}: {condition.get('message', '').strip()}".rstrip(": ")
    return ""
