"""Envoy Gateway: its policies, patches, routes and Gateways, and whether one of its pods leads."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import kubectl_command, recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.log_lines import line_message, line_time
from devenv.diagnosis.manifests import (
    Condition,
    NamespacedName,
    changed_at,
    conditions,
    conditions_of_type,
    created_at,
    full_names,
    lease_holder,
)
from devenv.diagnosis.model import Confidence, Evidence, Finding, Place, Subject, Verdict
from devenv.diagnosis.read import (
    component_service,
    components_with,
    is_out_of_bytes,
    is_out_of_inodes,
    objects_of,
    was_listed,
)
from devenv.diagnosis.roles import GATEWAY_KINDS, components_of_gateway
from devenv.diagnosis.served_models import requested_models
from devenv.diagnosis.times import parse_time
from devenv.facts.collect import CRD
from devenv.facts.labels import asked_models, is_controller
from devenv.facts.model import Facts, NodeFacts
from devenv.facts.objects import full_name, items_of, name_of, namespace_of, status_of
from devenv.facts.trim import CONFIG
from devenv.gates import ready
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component
from devenv.profiles.quantities import show

_CACHE_REJECTION = "wasm cache is not initialized"
_CACHE_FAILURE = re.compile(
    r"Failed to create Wasm cache directory|failed to start wasm cache", re.IGNORECASE
)
# The name of a filter, which an EnvoyPatchPolicy spells out.
_FILTER_NAME = re.compile(r"/envoyextensionpolicy/(?P<namespace>[^/]+)/(?P<name>[^/]+)/extproc/")
_PATCHES_ENABLED = re.compile(r"enableEnvoyPatchPolicy:\s*true")
# Seconds after the controller's start within which a verdict may come of a start-up race.
_RACE = 15.0
# Seconds for a new controller to take the lease: 30 at most were seen (docs/facts/gateway.md).
_LEADING = 60.0
_LEASE_SUFFIX = ".gateway.envoyproxy.io"
# Without objects of these kinds, requests don't find their way.
_ON_THE_WAY = {
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "ClientTrafficPolicy",
    "HTTPRoute",
    "Gateway",
    "GatewayClass",
}


def _keys_of(facts: Facts, obj: Manifest) -> set[Key]:
    """Return the keys of an object: its own, and those of its components."""
    return {_object_key(facts, obj), *keys.components(components_with(facts, obj))}


def _object_key(facts: Facts, obj: Manifest) -> Key:
    return keys.object_of(_listed_kind(facts, obj), full_name(obj))


def _listed_kind(facts: Facts, obj: Manifest) -> str:
    """Return the kind under which an object was listed: the object itself does not say it."""
    for kind, objects in facts.objects.items():
        if any(o is obj for o in objects):
            return kind
    return ""


# Objects of the profile


@check
def find_missing_objects(facts: Facts) -> Iterator[Finding]:
    """DE406: an object that the profile has as a component does not exist."""
    for component in facts.profile.components:
        is_known = was_listed(facts, component.resource.kind)
        if is_known and not objects_of(facts, component) and not _has_own_check(facts, component):
            yield _missing_object(facts, component)


def _has_own_check(facts: Facts, component: Component) -> bool:
    """Whether another check finds that a component's object is missing."""
    resource = component.resource
    if component.gate == "workload" or resource.kind == CRD:
        return True
    if resource.kind == "HTTPRoute":
        return resource.name in _model_route_names(facts)
    service = component_service(component)
    return service is not None and facts.one("Service", service.namespace, service.name) is None


def _model_route_names(facts: Facts) -> set[str]:
    """Return the usual names of the HTTPRoutes of the models that requests ask for."""
    return {f"{model}-router" for model in requested_models(facts)}


def _missing_object(facts: Facts, component: Component) -> Finding:
    resource = component.resource
    what = str(resource)
    if service := component_service(component):
        what = f"EndpointSlice of the Service {service}"
    about = {keys.component(component.name)}
    effects = about | keys.components(facts.profile.after(component.name))
    effects |= _requests_that_need(resource.kind)
    effects.add(keys.object_of(resource.kind, f"{resource.namespace}/{resource.name}"))
    if resource.kind in GATEWAY_KINDS:
        effects |= keys.components(components_of_gateway(facts)) | {keys.ENTRANCE}
    return Finding(
        code="DE406",
        subject=Subject.component(component.name),
        says=f"{what} does not exist.",
        evidence=(Evidence("API server", f"no {what}"),),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(effects),
        place=Place.ROUTE if resource.kind in _ON_THE_WAY else None,
    )


def _requests_that_need(kind: str) -> frozenset[Key]:
    """Return the keys of the requests that fail without the profile's object of a kind."""
    if kind == "EnvoyPatchPolicy":
        return keys.PATCHED
    if kind in {"EnvoyExtensionPolicy", "HTTPRoute"}:
        return keys.FILTERED
    if kind in _ON_THE_WAY:
        return keys.ALL_ROUTES
    return frozenset()


# Extension policies


@check
def find_rejected_extension_policies(facts: Facts) -> Iterator[Finding]:
    """DE401, DE402: an EnvoyExtensionPolicy is not accepted, so Envoy gets no ext_proc filter."""
    for policy in facts.of("EnvoyExtensionPolicy"):
        rejection = _find_rejection(policy)
        if _lacks_wasm_cache(facts, policy, rejection):
            yield _missing_wasm_cache(facts, policy, rejection)
        else:
            problem = ready.ancestors(policy, ["Accepted"])
            yield from _unmet_conditions(facts, policy, "DE402", problem, keys.FILTERED)


def _find_rejection(policy: Manifest) -> Condition | None:
    """Return the condition in which Envoy Gateway rejects a policy."""
    for condition in conditions_of_type(policy, "Accepted"):
        if condition["status"] == "False":
            return condition
    return None


def _lacks_wasm_cache(facts: Facts, policy: Manifest, rejection: Condition | None) -> bool:
    """Whether a policy has no effect for want of the Wasm cache.

    A controller that does not lead yet has not written a rejection: then its log tells.
    """
    if rejection:
        return _CACHE_REJECTION in rejection.get("message", "")
    return _find_cache_failure(facts) is not None and _lacks_filter(facts, policy)


def _lacks_filter(facts: Facts, policy: Manifest) -> bool:
    """Whether in some Envoy a route needs the policy's filter and no listener has it."""
    mark = f"/envoyextensionpolicy/{full_name(policy)}/"
    for proxy in facts.proxies:
        is_needed = any(_mentions(route.filters, mark) for route in proxy.routes)
        is_there = any(_mentions(filters, mark) for filters in proxy.listeners.values())
        if is_needed and not is_there:
            return True
    return False


def _mentions(filters: Iterable[str], mark: str) -> bool:
    """Whether one of the filters' names has the mark in it."""
    return any(mark in name for name in filters)


@dataclass(frozen=True)
class _CacheFailure:
    """A log line in which the running controller could not create its Wasm cache."""

    evidence: Evidence
    disk_was_full: bool


def _find_cache_failure(facts: Facts) -> _CacheFailure | None:
    """Return the first one in the log. The controller's earlier runs don't count."""
    for log, line in facts.lines():
        if not log.previous and _CACHE_FAILURE.search(line):
            evidence = Evidence(f"log {log.pod}", line_message(line), line_time(line))
            return _CacheFailure(evidence, disk_was_full="no space left" in line)
    return None


def _missing_wasm_cache(facts: Facts, policy: Manifest, rejection: Condition | None) -> Finding:
    failure = _find_cache_failure(facts)
    evidence = [failure.evidence] if failure else []
    if rejection:
        source = f"EnvoyExtensionPolicy {full_name(policy)}"
        text = f"Accepted=False: {rejection['message']}"
        evidence.append(Evidence(source, text, changed_at(rejection)))
    is_latched = _is_cache_failure_latched(facts, failure)
    was_disk_full = failure is not None and failure.disk_was_full
    about = {keys.WASM, *_keys_of(facts, policy)}
    return Finding(
        code="DE401",
        subject=Subject.component("envoy-gateway"),
        says=_wasm_message(facts, failure, rejection, is_latched=is_latched),
        evidence=tuple(evidence),
        fix=recover(facts),
        verdict=Verdict.LATCHED if is_latched else Verdict.FAILED,
        confidence=Confidence.CONFIRMED if was_disk_full else Confidence.LIKELY,
        about=frozenset(about),
        affects=frozenset(about | keys.FILTERED),
    )


def _is_cache_failure_latched(facts: Facts, failure: _CacheFailure | None) -> bool:
    """Whether the cache is missing only because the disk was full when the controller started.

    Envoy Gateway creates the cache once, at its start, so freeing the disk does not help.
    """
    if failure and not failure.disk_was_full:
        return False
    return all(map(_has_free_disk, facts.nodes))


def _has_free_disk(node: NodeFacts) -> bool:
    """Whether a node's disk is known to have space and inodes."""
    space = node.disk
    return space is not None and not is_out_of_bytes(space) and not is_out_of_inodes(space)


def _wasm_message(
    facts: Facts, failure: _CacheFailure | None, rejection: Condition | None, *, is_latched: bool
) -> str:
    if not is_latched:
        return "Envoy Gateway has no Wasm cache, so it rejects every extension policy."
    if failure is None and _is_start_race(facts, rejection):
        return (
            "Envoy Gateway rejected the policy while it started, before its Wasm cache existed. "
            "If the rejection stays, restart Envoy Gateway."
        )
    free = ", ".join(f"{show(n.disk.free)} free in {n.name}" for n in facts.nodes if n.disk)
    return (
        "Envoy Gateway could not create its Wasm cache when it started, and still rejects every "
        f"policy. The disk has space now: {free}."
    )


def _is_start_race(facts: Facts, rejection: Condition | None) -> bool:
    """Whether the rejection came within seconds after the controller's start."""
    if rejection is None:
        return False
    rejected_at = changed_at(rejection)
    starts = map(_controller_start, facts.of("Pod"))
    return any(start and 0 <= rejected_at - start <= _RACE for start in starts)


def _controller_start(pod: Manifest) -> float:
    """Return when the controller's container in a pod started, 0 if none runs there."""
    for status in status_of(pod).get("containerStatuses") or ():
        if status["name"] == "envoy-gateway":
            running = (status.get("state") or {}).get("running") or {}
            return parse_time(running.get("startedAt"))
    return 0.0


# Patch policies


@check
def find_ineffective_patches(facts: Facts) -> Iterator[Finding]:
    """DE403, DE404, DE405: a patch is not in Envoy, or it names a policy that does not exist."""
    for policy in facts.of("EnvoyPatchPolicy"):
        switched_off = _evidence_of_switch(facts, policy)
        if switched_off:
            yield _disabled_patch(facts, policy, switched_off)
        else:
            problem = ready.ancestors(policy, ["Accepted", "Programmed"])
            yield from _unmet_conditions(facts, policy, "DE403", problem, keys.PATCHED)
        yield from _unknown_policies(facts, policy)


def _evidence_of_switch(facts: Facts, policy: Manifest) -> list[Evidence]:
    """Return what shows that Envoy Gateway ignores patches; nothing if it takes them.

    A setting that is off counts only once Envoy lacks the patched route: Envoy Gateway reads its
    settings when it starts, so until then they do no harm.
    """
    evidence = _disabled_conditions(policy)
    settings = _disabling_settings(facts)
    if evidence or any(p.routes and not p.patched for p in facts.proxies):
        evidence += settings
    return evidence


def _disabled_conditions(policy: Manifest) -> list[Evidence]:
    """Return the condition in which Envoy Gateway says that patches are switched off."""
    for condition in conditions(policy):
        if condition["status"] == "False" and condition.get("reason") == "Disabled":
            text = f"{condition['type']}=False Disabled: {condition.get('message', '')}"
            source = f"EnvoyPatchPolicy {full_name(policy)}"
            return [Evidence(source, text, changed_at(condition))]
    return []


def _disabling_settings(facts: Facts) -> list[Evidence]:
    """Return the ConfigMap of Envoy Gateway's settings if it does not switch patches on."""
    for config in facts.of("ConfigMap"):
        settings = "".join((config.get("data") or {}).values())
        # Of others, facts hold only the names of keys.
        if name_of(config) == CONFIG and not _PATCHES_ENABLED.search(settings):
            text = "extensionApis.enableEnvoyPatchPolicy is not true"
            return [Evidence(f"ConfigMap {full_name(config)}", text)]
    return []


def _disabled_patch(facts: Facts, policy: Manifest, evidence: list[Evidence]) -> Finding:
    about = _keys_of(facts, policy)
    return Finding(
        code="DE404",
        subject=Subject.component("envoy-gateway"),
        says="Envoy Gateway ignores patches: its extension API is switched off.",
        evidence=tuple(evidence),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(about | keys.PATCHED),
    )


def _unknown_policies(facts: Facts, patch: Manifest) -> Iterator[Finding]:
    """Yield a finding for each policy that a patch names and that does not exist (aibrix#1920)."""
    if not facts.knows("EnvoyExtensionPolicy"):
        return
    for policy in sorted(_policies_named_in(patch)):
        if facts.one("EnvoyExtensionPolicy", policy.namespace, policy.name) is None:
            yield _unknown_policy(facts, patch, policy)


def _policies_named_in(patch: Manifest) -> set[NamespacedName]:
    """Return the extension policies whose filters a patch's routes switch on."""
    policies = set()
    for json_patch in patch["spec"].get("jsonPatches") or ():
        for filter_name in _filters_configured_by(json_patch):
            if match := _FILTER_NAME.search(filter_name):
                policies.add(NamespacedName(match["namespace"], match["name"]))
    return policies


def _filters_configured_by(json_patch: Mapping[str, Any] | None) -> list[str]:
    """Return the names of the filters that a patch configures for a route."""
    value = ((json_patch or {}).get("operation") or {}).get("value")
    if not isinstance(value, dict):
        return []
    return list(value.get("typed_per_filter_config") or ())


def _unknown_policy(facts: Facts, patch: Manifest, policy: NamespacedName) -> Finding:
    existing = full_names(facts.of("EnvoyExtensionPolicy")) or "none"
    text = (
        f"its route switches on the filter of EnvoyExtensionPolicy {policy}; "
        f"the cluster has: {existing}"
    )
    about = _keys_of(facts, patch)
    edit = kubectl_command(facts, namespace_of(patch), "edit", "envoypatchpolicy", name_of(patch))
    return Finding(
        code="DE405",
        subject=Subject("EnvoyPatchPolicy", full_name(patch), named_alone=True),
        says=(
            f"The patch {full_name(patch)} names an extension policy that does not exist: {policy}."
        ),
        evidence=(Evidence(f"EnvoyPatchPolicy {full_name(patch)}", text),),
        fix=(*recover(facts), edit),
        about=frozenset({*about, keys.object_of("EnvoyExtensionPolicy", str(policy))}),
        affects=frozenset({*about, *keys.PATCHED, keys.FILTER}),
    )


# Gateways, their classes, client policies and reserved routes


@check
def find_rejected_gateways(facts: Facts) -> Iterator[Finding]:
    """DE407: the profile's Gateway, one of its listeners or its class lacks a condition."""
    settings = facts.profile.gateway
    gateway = facts.one("Gateway", settings.namespace, settings.name)
    if gateway is None:
        return
    problem = ready.conditions(gateway, _conditions_needed(facts, gateway))
    # Without a listener, Envoy has neither the filter nor the patched route.
    effects = keys.ALL_ROUTES | keys.FILTERED | keys.PATCHED
    yield from _unmet_conditions(facts, gateway, "DE407", problem, effects)
    class_name = gateway["spec"].get("gatewayClassName", "")
    if gateway_class := facts.one("GatewayClass", "", class_name):
        problem = ready.conditions(gateway_class, ["Accepted"])
        yield from _unmet_conditions(facts, gateway_class, "DE407", problem, keys.ALL_ROUTES)


def _conditions_needed(facts: Facts, gateway: Manifest) -> Sequence[str]:
    """Return the conditions that the profile's component wants of the Gateway."""
    needed: Sequence[str] = ("Accepted",)
    for component in facts.profile.components:
        resource = component.resource
        if resource.kind in {"Gateway", "GatewayClass"} and resource.name == name_of(gateway):
            needed = component.conditions
    return needed


@check
def find_rejected_client_policies(facts: Facts) -> Iterator[Finding]:
    """DE408: a ClientTrafficPolicy is not accepted."""
    for policy in facts.of("ClientTrafficPolicy"):
        problem = ready.ancestors(policy, ["Accepted"])
        yield from _unmet_conditions(facts, policy, "DE408", problem, keys.ALL_ROUTES)


@check
def find_rejected_reserved_routes(facts: Facts) -> Iterator[Finding]:
    """DE412: an HTTPRoute of the profile's Gateway that is not a model's is not accepted."""
    for route in facts.of("HTTPRoute"):
        if _is_of_model(facts, route) or not _is_attached_to_gateway(facts, route):
            continue
        problem = ready.parents(route, ["Accepted", "ResolvedRefs"])
        yield from _unmet_conditions(facts, route, "DE412", problem, keys.PLUGIN_ROUTES)


def _is_of_model(facts: Facts, route: Manifest) -> bool:
    """Whether a route is a model's own, by its name or by the header that it matches on."""
    return name_of(route) in _model_route_names(facts) or bool(asked_models(route))


def _is_attached_to_gateway(facts: Facts, route: Manifest) -> bool:
    """Whether a route is one of the profile's Gateway. Users may have other Gateways and routes."""
    gateway = facts.profile.gateway
    for parent in route["spec"].get("parentRefs") or ():
        namespace = parent.get("namespace", namespace_of(route))
        if (namespace, parent.get("name")) == (gateway.namespace, gateway.name):
            return True
    return False


def _unmet_conditions(
    facts: Facts, obj: Manifest, code: str, problem: str, effects: AbstractSet[Key]
) -> Iterator[Finding]:
    """Yield a finding about an object's conditions. `problem`: what a gate misses, or ""."""
    if not problem:
        return
    subject = Subject(_listed_kind(facts, obj), full_name(obj))
    about = _keys_of(facts, obj)
    later: set[Key] = set()
    for component in components_with(facts, obj):
        later |= keys.components(facts.profile.after(component))
    yield Finding(
        code=code,
        subject=subject,
        says=f"{subject}: {problem.rstrip('.')}.",
        evidence=(Evidence(str(subject), problem, _last_failure(obj)),),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(about | effects | later),
    )


def _last_failure(obj: Manifest) -> float:
    """Return when a condition of an object last became other than True; 0 if none is."""
    failing = [c for c in conditions(obj) if c["status"] != "True"]
    for listener in items_of(status_of(obj), "listeners"):
        failing += ready.refused_conditions(listener)
    return max(map(changed_at, failing), default=0.0)


# The leader


@check
def find_missing_leader(facts: Facts) -> Iterator[Finding]:
    """DE409: the pod that holds Envoy Gateway's lease is gone. Only the leader writes status."""
    pods = facts.of("Pod")
    pod_names = set(map(name_of, pods))
    controllers = list(filter(is_controller, pods))
    if not controllers:
        return
    for lease in facts.of("Lease"):
        holder = lease_holder(lease)
        if name_of(lease).endswith(_LEASE_SUFFIX) and holder not in pod_names:
            started = max(map(created_at, controllers))
            yield _missing_leader(facts, lease, holder, started)


def _missing_leader(facts: Facts, lease: Manifest, holder: str, started: float) -> Finding:
    """Return the finding. `started`: when the newest controller was created."""
    is_starting = facts.now - started < _LEADING
    yet = " yet" if is_starting else ""
    text = f"held by {holder}, which is gone" if holder else "no pod holds it"
    about = {keys.component("envoy-gateway"), keys.GATEWAY_LEASE}
    later = keys.components(facts.profile.after("envoy-gateway"))
    return Finding(
        code="DE409",
        subject=Subject.component("envoy-gateway"),
        says=f"Envoy Gateway has no leader{yet}, so the conditions of its objects are out of date.",
        evidence=(Evidence(f"Lease {full_name(lease)}", text, started),),
        fix=recover(facts),
        verdict=Verdict.PROGRESS if is_starting else Verdict.FAILED,
        about=frozenset(about),
        affects=frozenset(about | later | {keys.FILTER, keys.ORIGINAL_ROUTE}),
    )
