"""Envoy Gateway: its policies, patches, routes and Gateways, and whether anybody writes their status."""

import re
from collections.abc import Iterator
from typing import Any

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Confidence, Evidence, Finding, Place, Verdict
from devenv.diagnosis.read import (
    BY_PLUGIN,
    ROUTES,
    after,
    component_service,
    conditions,
    devenv,
    kubectl,
    label,
    line_time,
    models,
    no_bytes,
    no_inodes,
    objects_of,
    said,
    seconds,
)
from devenv.facts.collect import CRD
from devenv.facts.labels import asked_models, is_controller
from devenv.facts.model import ContainerLog, Facts
from devenv.gates import ready
from devenv.ports import Manifest
from devenv.profiles.model import Component
from devenv.profiles.quantities import show

_WASM = "wasm cache is not initialized"
_NO_CACHE = re.compile(
    r"Failed to create Wasm cache directory|failed to start wasm cache", re.IGNORECASE
)
_POLICY = re.compile(r"/envoyextensionpolicy/(?P<namespace>[^/]+)/(?P<name>[^/]+)/extproc/")
_RACE = (
    # Seconds from the controller's start within which a verdict may be one of a start-up race.
    15.0
)
# Seconds for a new controller to take the lease: 30 at most were seen (docs/facts/gateway.md)
_LEADING = 60.0
_ON_THE_WAY = {
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "ClientTrafficPolicy",
    "HTTPRoute",
    "Gateway",
    "GatewayClass",
}
_BY_PLUGIN = frozenset(f"route/{r}" for r in BY_PLUGIN)
_PATCHED = frozenset({"route/extension", "original route"})


def _keys(facts: Facts, obj: Manifest) -> set[str]:
    """What a finding about the object is about."""
    names = {
        c.name for c in facts.profile.components if any(o is obj for o in objects_of(facts, c))
    }
    return {f"{obj_kind(facts, obj)}/{label(obj)}", *(f"component/{n}" for n in names)}


def obj_kind(facts: Facts, obj: Manifest) -> str:
    """Return the kind that an object was listed under."""
    return next(
        (kind for kind, objects in facts.objects.items() if any(o is obj for o in objects)), ""
    )


@check
def missing(facts: Facts) -> Iterator[Finding]:
    """Every object of the profile exists. A model's own route is the model's business."""
    for component in facts.profile.components:
        kind = component.resource.kind
        if (
            component.gate == "workload"
            or not (facts.knows(kind) and kind in facts.objects)
            or objects_of(facts, component)
        ):
            continue
        if kind == "HTTPRoute" and component.resource.name in {
            f"{m}-router" for m in models(facts)
        }:
            continue
        service = component_service(component)
        if kind == CRD or (service and facts.one("Service", *service) is None):
            # Another check tells.
            continue
        what = (
            f"EndpointSlice of the Service {'/'.join(service)}"
            if service
            else str(component.resource)
        )
        about = {f"component/{component.name}"}
        affects = (
            about | {f"component/{n}" for n in after(facts, component.name)} | _affected(component)
        )
        affects.add(f"{kind}/{component.resource.namespace}/{component.resource.name}")
        evidence = (Evidence("API server", f"no {what}"),)
        yield Finding(
            "DE406", component.name, f"{what} does not exist.", evidence, (devenv(facts, "recover"),),
            about=frozenset(about), affects=frozenset(affects), place=Place.ROUTE if kind in _ON_THE_WAY else None,
        )  # fmt: skip


def _affected(component: Component) -> set[str]:
    kind = component.resource.kind
    if kind == "EnvoyPatchPolicy":
        return set(_PATCHED)
    if kind in {"EnvoyExtensionPolicy", "HTTPRoute"}:
        return {"filter", *_BY_PLUGIN}
    if kind not in _ON_THE_WAY:
        return set()
    return {f"route/{r}" for r in ROUTES}


@check
def extension_policies(facts: Facts) -> Iterator[Finding]:
    """Every EnvoyExtensionPolicy is accepted: else Envoy gets no ext_proc filter."""
    for policy in facts.of("EnvoyExtensionPolicy"):
        bad = next(
            (c for c in conditions(policy) if c["type"] == "Accepted" and c["status"] == "False"),
            None,
        )
        unwritten = bad is None and _cache_line(facts) and _without_filter(facts, policy)
        if unwritten or (bad and _WASM in bad.get("message", "")):
            yield _wasm(facts, policy, bad)
        else:
            yield from _unmet(
                facts, policy, "DE402", ["Accepted"], "ancestors", {"filter", *_BY_PLUGIN}
            )


def _without_filter(facts: Facts, policy: Manifest) -> bool:
    """Whether some Envoy lacks the policy's filter: a controller that does not lead yet has not written why."""
    mark = f"/envoyextensionpolicy/{label(policy)}/"
    return any(
        any(mark in f for r in p.routes for f in r.filters)
        and not any(mark in f for fs in p.listeners.values() for f in fs)
        for p in facts.proxies
    )


def _wasm(facts: Facts, policy: Manifest, condition: dict[str, Any] | None) -> Finding:
    when, evidence = 0.0, []
    if condition:
        when = seconds(condition.get("lastTransitionTime"))
        evidence.append(
            Evidence(
                f"EnvoyExtensionPolicy {label(policy)}",
                f"Accepted=False: {condition['message']}",
                when,
            )
        )
    log, line = _cache_line(facts) or (None, "")
    if log:
        evidence.insert(0, Evidence(f"log {log.pod}", said(line), line_time(line)))
    full = not all(n.disk and not no_bytes(n.disk) and not no_inodes(n.disk) for n in facts.nodes)
    message = "Envoy Gateway has no Wasm cache, so it rejects every extension policy."
    verdict, sure = (
        Verdict.FAILED,
        Confidence.CONFIRMED if "no space left" in line else Confidence.LIKELY,
    )
    if not full and not (line and "no space left" not in line):
        verdict = Verdict.LATCHED
        free = ", ".join(f"{show(n.disk.free)} free in {n.name}" for n in facts.nodes if n.disk)
        message = f"Envoy Gateway could not make its Wasm cache as it started, and still rejects every policy. Now: {free}."
        if not line and _race(facts, when):
            message = "Envoy Gateway rejected the policy as it started, before its Wasm cache was there. If it stays, restart it."
    about = {"wasm", *_keys(facts, policy)}
    return Finding(
        "DE401", "envoy-gateway", message, tuple(evidence), (devenv(facts, "recover"),), verdict, sure,
        frozenset(about), frozenset({*about, "filter", *_BY_PLUGIN}),
    )  # fmt: skip


def _cache_line(facts: Facts) -> tuple[ContainerLog, str] | None:
    matches = [
        (log, line) for log, line in facts.lines() if not log.previous and _NO_CACHE.search(line)
    ]
    return matches[0] if matches else None


def _race(facts: Facts, when: float) -> bool:
    """Whether the verdict came as the controller started."""
    starts = [
        seconds(((s.get("state") or {}).get("running") or {}).get("startedAt"))
        for p in facts.of("Pod") for s in (p.get("status") or {}).get("containerStatuses") or () if s["name"] == "envoy-gateway"
    ]  # fmt: skip
    return any(start and 0 <= when - start <= _RACE for start in starts)


@check
def patch_policies(facts: Facts) -> Iterator[Finding]:
    """Every EnvoyPatchPolicy is accepted and in Envoy, and names extension policies that are there."""
    for policy in facts.of("EnvoyPatchPolicy"):
        off = next(
            (
                c
                for c in conditions(policy)
                if c["status"] == "False" and c.get("reason") == "Disabled"
            ),
            None,
        )
        keys = _keys(facts, policy)
        if off or (_switch(facts) and _unpatched(facts)):
            evidence = (*_disabled(policy, off), *_switch(facts))
            message = "Envoy Gateway does not take patches: its extension API is switched off."
            yield Finding(
                "DE404", "envoy-gateway", message, evidence, (devenv(facts, "recover"),), about=frozenset(keys),
                affects=frozenset(keys | _PATCHED),
            )  # fmt: skip
        else:
            yield from _unmet(
                facts, policy, "DE403", ["Accepted", "Programmed"], "ancestors", set(_PATCHED)
            )
        yield from _nameless(facts, policy, keys)


def _disabled(policy: Manifest, condition: dict[str, Any] | None) -> Iterator[Evidence]:
    if condition:
        text = f"{condition['type']}=False {condition['reason']}: {condition.get('message', '')}"
        yield Evidence(
            f"EnvoyPatchPolicy {label(policy)}", text, seconds(condition.get("lastTransitionTime"))
        )


def _unpatched(facts: Facts) -> bool:
    """Whether some Envoy lacks the patched route: settings that are off and not read yet do no harm yet."""
    return any(p.routes and not p.patched for p in facts.proxies)


def _switch(facts: Facts) -> tuple[Evidence, ...]:
    for config in facts.of("ConfigMap"):
        on = re.search(
            r"enableEnvoyPatchPolicy:\s*true", "".join((config.get("data") or {}).values())
        )
        if not on:
            return (
                Evidence(
                    f"ConfigMap {label(config)}", "extensionApis.enableEnvoyPatchPolicy is not true"
                ),
            )
    return ()


def _nameless(facts: Facts, policy: Manifest, keys: set[str]) -> Iterator[Finding]:
    """Yield for each extension policy that the patch names and that isn't there (aibrix#1920)."""
    if not facts.knows("EnvoyExtensionPolicy"):
        return
    for namespace, name in sorted(named_policies(policy)):
        if facts.one("EnvoyExtensionPolicy", namespace, name) is None:
            policies = ", ".join(label(p) for p in facts.of("EnvoyExtensionPolicy")) or "none"
            text = f"its route switches on the filter of EnvoyExtensionPolicy {namespace}/{name}; there is: {policies}"
            message = f"The patch {label(policy)} names an extension policy that does not exist: {namespace}/{name}."
            edit = kubectl(
                facts,
                "-n",
                policy["metadata"]["namespace"],
                "edit",
                "envoypatchpolicy",
                policy["metadata"]["name"],
            )
            about = {*keys, f"EnvoyExtensionPolicy/{namespace}/{name}"}
            yield Finding(
                "DE405", label(policy), message, (Evidence(f"EnvoyPatchPolicy {label(policy)}", text),),
                (devenv(facts, "recover"), edit), about=frozenset(about), affects=frozenset(keys | _PATCHED | {"filter"}),
            )  # fmt: skip


def named_policies(policy: Manifest) -> set[tuple[str, str]]:
    """Return the extension policies, as (namespace, name), whose filters a patch's routes switch on."""
    policies = set()
    for patch in policy["spec"].get("jsonPatches") or ():
        value = ((patch or {}).get("operation") or {}).get("value") or {}
        for name in value.get("typed_per_filter_config") or {} if isinstance(value, dict) else ():
            if match := _POLICY.search(name):
                policies.add((match["namespace"], match["name"]))
    return policies


@check
def others(facts: Facts) -> Iterator[Finding]:
    """Gateways, their classes, their clients' policies and reserved routes are accepted."""
    condition_types = {
        c.resource.name: list(c.conditions)
        for c in facts.profile.components
        if c.resource.kind in {"Gateway", "GatewayClass"}
    }
    route_keys = {f"route/{r}" for r in ROUTES}
    gateway = facts.one("Gateway", facts.profile.gateway.namespace, facts.profile.gateway.name)
    if gateway:
        yield from _unmet(
            facts,
            gateway,
            "DE407",
            condition_types.get(gateway["metadata"]["name"], ["Accepted"]),
            "",
            route_keys,
        )
        if kind := facts.one("GatewayClass", "", gateway["spec"].get("gatewayClassName", "")):
            yield from _unmet(facts, kind, "DE407", ["Accepted"], "", route_keys)
    for policy in facts.of("ClientTrafficPolicy"):
        yield from _unmet(facts, policy, "DE408", ["Accepted"], "ancestors", route_keys)
    route_names = {f"{m}-router" for m in models(facts)}
    reserved = (
        r
        for r in facts.of("HTTPRoute")
        if r["metadata"]["name"] not in route_names and not asked_models(r)
    )
    for route in (r for r in reserved if _attached(facts, r)):
        yield from _unmet(
            facts, route, "DE412", ["Accepted", "ResolvedRefs"], "parents", set(_BY_PLUGIN)
        )


def _attached(facts: Facts, route: Manifest) -> bool:
    """Whether a route is the profile's Gateway's: users may have Gateways and routes of their own."""
    gateway, namespace = facts.profile.gateway, route["metadata"].get("namespace", "")
    parents = route["spec"].get("parentRefs") or ()
    return any(
        p.get("name") == gateway.name and p.get("namespace", namespace) == gateway.namespace
        for p in parents
    )


def _unmet(
    facts: Facts, obj: Manifest, code: str, types: list[str], field: str, affects: set[str]
) -> Iterator[Finding]:
    gate = {"ancestors": ready.ancestors, "parents": ready.parents}.get(field, ready.conditions)
    if problem := gate(obj, types):
        kind = obj_kind(facts, obj)
        since = max(
            (
                seconds(c.get("lastTransitionTime"))
                for c in conditions(obj)
                if c["status"] != "True"
            ),
            default=0.0,
        )
        keys = _keys(facts, obj)
        later = {
            f"component/{n}"
            for k in keys
            if k.startswith("component/")
            for n in after(facts, k.removeprefix("component/"))
        }
        yield Finding(
            code, f"{kind} {label(obj)}", f"{kind} {label(obj)}: {problem}.", (Evidence(f"{kind} {label(obj)}", problem, since),),
            (devenv(facts, "recover"),), about=frozenset(keys), affects=frozenset(keys | affects | later),
        )  # fmt: skip


@check
def leader(facts: Facts) -> Iterator[Finding]:
    """The pod that holds Envoy Gateway's lease exists: only the leader writes status."""
    pods = {p["metadata"]["name"]: p for p in facts.of("Pod")}
    for lease in (
        o for o in facts.of("Lease") if o["metadata"]["name"].endswith(".gateway.envoyproxy.io")
    ):
        holder = str((lease.get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]
        controllers = [p for p in pods.values() if is_controller(p)]
        if not pods or holder in pods or not controllers:
            continue
        began = max(seconds(p["metadata"].get("creationTimestamp")) for p in controllers)
        evidence = (
            Evidence(
                f"Lease {label(lease)}", f"held by {holder or 'nobody'}, which is gone", began
            ),
        )
        keys = frozenset({"component/envoy-gateway", "lease"})
        under_way = facts.taken - began < _LEADING
        message = (
            "No pod of Envoy Gateway's is its leader, so nothing that it decides is written down"
            + (" yet." if under_way else ".")
        )
        verdict = Verdict.PROGRESS if under_way else Verdict.FAILED
        affects = (
            keys
            | {f"component/{n}" for n in after(facts, "envoy-gateway")}
            | {"filter", "original route"}
        )
        yield Finding(
            "DE409",
            "envoy-gateway",
            message,
            evidence,
            (devenv(facts, "recover"),),
            verdict,
            about=keys,
            affects=frozenset(affects),
        )
