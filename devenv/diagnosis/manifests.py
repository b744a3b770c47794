"""One Kubernetes object: full name, conditions, references. Fields may be absent or null."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis.times import parse_time
from devenv.facts.objects import full_name, name_of, namespace_of, status_of
from devenv.ports.kube import Manifest

# One entry of a status's `conditions`: type, status, reason, message, lastTransitionTime.
Condition = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class NamespacedName:
    """A namespace and a name in it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def namespaced_name(obj: Manifest) -> NamespacedName:
    """Return an object's namespace and name, to compare with a reference's."""
    return NamespacedName(namespace_of(obj), name_of(obj))


def full_names(objects: Iterable[Manifest]) -> str:
    """Return the names of several objects for a sentence."""
    return ", ".join(map(full_name, objects))


def created_at(obj: Manifest) -> float:
    """Return when an object was created, in seconds since 1970."""
    return parse_time(obj["metadata"].get("creationTimestamp"))


def template_of(workload: Manifest) -> Manifest:
    """Return the pod template of a workload."""
    return workload["spec"].get("template") or {}


# Conditions


def conditions(obj: Manifest) -> list[Condition]:
    """Return all conditions of an object: its own, and those for its ancestors and parents."""
    status = status_of(obj)
    parts = [status, *(status.get("ancestors") or ()), *(status.get("parents") or ())]
    return [c for part in parts for c in part.get("conditions") or ()]


def conditions_of_type(obj: Manifest, *types: str) -> list[Condition]:
    """Return an object's conditions of these types."""
    return [c for c in conditions(obj) if c["type"] in types]


def changed_at(condition: Condition) -> float:
    """Return when a condition last changed, in seconds since 1970."""
    return parse_time(condition.get("lastTransitionTime"))


def spell_condition(condition: Condition) -> str:
    """Return a condition as evidence shows it: TYPE=STATUS REASON: MESSAGE."""
    reason, message = condition.get("reason", ""), condition.get("message", "")
    return f"{condition['type']}={condition['status']} {reason}: {message}"


def lease_holder(lease: Manifest) -> str:
    """Return the name of the pod that holds a lease, "" for none. The holder adds _ID to it."""
    identity = (lease.get("spec") or {}).get("holderIdentity")
    return str(identity or "").rpartition("_")[0]


# Routes, policies and webhooks


@dataclass(frozen=True)
class Backend:
    """A Service that a route or a policy leads to. `port` is "None" if the reference has none."""

    service: NamespacedName
    port: str


def rules_of(route: Manifest) -> list[dict[str, Any]]:
    """Return the rules of an HTTPRoute."""
    return route["spec"].get("rules") or []


def backends_of(obj: Manifest, default_namespace: str = "") -> Iterator[Backend]:
    """Yield the backends of an HTTPRoute, or of an EnvoyExtensionPolicy's ext_proc servers.

    A reference without a namespace means the object's own, or `default_namespace`.
    """
    namespace = default_namespace or namespace_of(obj)
    for holder in (*(obj["spec"].get("extProc") or ()), *rules_of(obj)):
        for reference in holder.get("backendRefs") or ():
            service = NamespacedName(reference.get("namespace") or namespace, reference["name"])
            yield Backend(service, str(reference.get("port")))


def services_behind(obj: Manifest) -> set[NamespacedName]:
    """Return the Services that an HTTPRoute or an EnvoyExtensionPolicy leads to."""
    return {backend.service for backend in backends_of(obj)}


def hooks_of(configuration: Manifest) -> list[dict[str, Any]]:
    """Return the webhooks of a configuration."""
    return configuration.get("webhooks") or []


def services_called_by(configuration: Manifest) -> set[NamespacedName]:
    """Return the Services that the webhooks of a configuration call."""
    return set(filter(None, map(hook_service, hooks_of(configuration))))


def hook_service(hook: Mapping[str, Any]) -> NamespacedName | None:
    """Return the Service that a webhook calls, None for one outside of the cluster."""
    reference = (hook.get("clientConfig") or {}).get("service")
    if not reference:
        return None
    return NamespacedName(reference["namespace"], reference["name"])
