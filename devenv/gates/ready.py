"""What "ready" means for an object, as pure functions.

Each returns what is missing, "" when nothing is.

A status counts only if it is about the current generation: `rollout status` and `kubectl wait`
accept a status that was written before the change that one waits for.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from devenv.base.json_types import JsonMap
from devenv.facts.objects import Fields, conditions_of, fields_of, items_of, status_of
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component

# Seconds by which clocks may differ, and a renewal be late.
_SKEW = 10.0
# Of a listener, those that are to be true. The last one tells the least.
_LISTENER_CONDITIONS = ("Accepted", "ResolvedRefs", "Programmed")
_NOT_OBSERVED = "its controller has not seen the change yet"


def missing(component: Component, objects: Sequence[Manifest]) -> str:
    """Return what the component's objects still lack."""
    if not objects:
        return f"{component.resource} does not exist"
    gate = _GATES[component.gate]
    return _joined(gate(obj, component.conditions) for obj in objects)


def workload(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A Deployment is ready if all its replicas are of the current generation and available."""
    status = status_of(obj)
    replicas = _desired_replicas(obj)
    if replicas == 0:
        return "it is scaled to zero"
    if _is_stale(obj, status):
        return _NOT_OBSERVED
    for field, meaning in (("updatedReplicas", "updated"), ("availableReplicas", "available")):
        count = status.get(field, 0)
        if count < replicas:
            return f"{count} of {replicas} replicas {meaning}"
    old_replicas = status.get("replicas", 0) - replicas
    if old_replicas > 0:
        return f"{old_replicas} old replicas still there"
    return ""


def daemon(obj: Manifest, *, updated: bool = True) -> str:
    """A DaemonSet is ready if its pod is available on every node that should have one.

    With `updated`, the pods must also be of the current generation.
    """
    status = status_of(obj)
    node_count = status.get("desiredNumberScheduled", 0)
    if _is_stale(obj, status):
        return _NOT_OBSERVED
    fields = [("numberAvailable", "available")]
    if updated:
        fields.insert(0, ("updatedNumberScheduled", "updated"))
    for field, meaning in fields:
        count = status.get(field, 0)
        if count < node_count:
            return f"{count} of {node_count} nodes have its pod {meaning}"
    return ""


def _desired_replicas(obj: Manifest) -> int:
    replicas = obj["spec"].get("replicas")
    # Kubernetes' default is 1.
    return 1 if replicas is None else int(replicas)


def _is_stale(obj: Manifest, status: Fields) -> bool:
    return bool(status.get("observedGeneration", 0) < _generation(obj))


def _generation(obj: Manifest) -> int:
    """Return the object's generation; an APIService has none."""
    return int(obj["metadata"].get("generation", 0))


def conditions(obj: Manifest, types: Sequence[str]) -> str:
    """An object is ready if its own conditions of these types are true.

    No listener of a Gateway may be refused either: Envoy Gateway calls a Gateway programmed even if
    it has none that works.
    """
    own = _unmet(conditions_of(obj), types, _generation(obj))
    return _joined([own, *map(_refusal_of_listener, items_of(status_of(obj), "listeners"))])


def _refusal_of_listener(listener: Fields) -> str:
    refused = refused_conditions(listener)
    if not refused:
        return ""
    problem = _unmet_condition(str(refused[0]["type"]), refused[0], 0)
    return f"listener {listener.get('name')}: {problem}"


def refused_conditions(listener: Fields) -> list[JsonMap]:
    """Return the conditions in which a controller refuses a listener, the one that tells first."""
    by_type = {condition["type"]: condition for condition in items_of(listener, "conditions")}
    reported = [by_type[name] for name in _LISTENER_CONDITIONS if name in by_type]
    return [condition for condition in reported if condition["status"] == "False"]


def ancestors(obj: Manifest, types: Sequence[str]) -> str:
    """A policy is ready if the conditions are true for each ancestor that it is attached to."""
    return _unmet_of_each(obj, "ancestors", types)


def parents(obj: Manifest, types: Sequence[str]) -> str:
    """A route is ready if the conditions are true for each parent that it is attached to."""
    return _unmet_of_each(obj, "parents", types)


def exists(_: Manifest, __: Sequence[str] = ()) -> str:
    """An object with this gate is ready as soon as it exists."""
    return ""


def lease(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A Lease is ready if its holder renews it: a pod that is gone may still be its holder."""
    spec = fields_of(obj, "spec")
    holder = spec.get("holderIdentity")
    renewed = spec.get("renewTime")
    if not holder or not renewed:
        return "no pod holds it"
    age = _seconds_since(str(renewed))
    duration = float(spec.get("leaseDurationSeconds") or 0)
    if age <= duration + _SKEW:
        return ""
    # A holder calls itself POD_RANDOM.
    pod = str(holder).rpartition("_")[0] or str(holder)
    return f"{pod} holds it, and has not renewed it for {age:.0f} s"


def _seconds_since(timestamp: str) -> float:
    age = datetime.now(UTC) - datetime.fromisoformat(timestamp)
    return age.total_seconds()


def endpoints(obj: Manifest, _: Sequence[str] = ()) -> str:
    """An EndpointSlice is ready if it has an address that is ready."""
    for endpoint in items_of(obj, "endpoints"):
        # Kubernetes says to take an unknown state for ready.
        is_ready = fields_of(endpoint, "conditions").get("ready") is not False
        if is_ready and endpoint.get("addresses"):
            return ""
    return "no address is ready"


def webhook(obj: Manifest, _: Sequence[str] = ()) -> str:
    """A webhook configuration is ready if its controller has put a certificate into each hook."""
    hooks = items_of(obj, "webhooks")
    names = ", ".join(str(hook.get("name")) for hook in hooks if _lacks_certificate(hook))
    if not names:
        return ""
    return f"no certificate is known for {names}"


def _lacks_certificate(hook: Fields) -> bool:
    """Whether a hook that leads to a Service has no certificate; one with a URL needs none."""
    client = fields_of(hook, "clientConfig")
    return bool(client.get("service") and not client.get("caBundle"))


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


def _unmet_of_each(obj: Manifest, field: str, types: Sequence[str]) -> str:
    parts = items_of(status_of(obj), field)
    if not parts:
        return f"status.{field} is empty: no controller has looked at it yet"
    generation = _generation(obj)
    return _joined(_unmet(items_of(part, "conditions"), types, generation) for part in parts)


def _unmet(reported_conditions: Iterable[JsonMap], types: Iterable[str], generation: int) -> str:
    by_type = {condition["type"]: condition for condition in reported_conditions}
    return _joined(_unmet_condition(name, by_type.get(name), generation) for name in types)


def _unmet_condition(name: str, condition: JsonMap | None, generation: int) -> str:
    """Return what a condition lacks, "" if it is True for this generation."""
    if condition is None:
        return f"{name} is not reported"
    if condition.get("observedGeneration", generation) < generation:
        return f"{name} is reported for an older generation"
    status = condition["status"]
    if status == "True":
        return ""
    reason = condition.get("reason", "")
    message = condition.get("message", "").strip()
    return f"{name}={status} {reason}: {message}".rstrip(": ")


def _joined(shortfalls: Iterable[str]) -> str:
    return "; ".join(filter(None, shortfalls))
