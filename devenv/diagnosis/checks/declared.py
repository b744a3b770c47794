"""What the profile's manifests have and is gone: definitions of kinds, and Services."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding, Place
from devenv.diagnosis.read import (
    BY_PLUGIN,
    GATEWAY_GROUPS,
    ROUTES,
    affected,
    after,
    component_of,
    component_service,
    devenv,
    kind_of,
    label,
    objects_of,
    requests_through,
    role,
    routed_services,
    served,
    webhook_services,
    workloads,
)
from devenv.facts.collect import CRD
from devenv.facts.model import Declared, Facts, selects
from devenv.facts.revisions import is_ending
from devenv.ports import Manifest

# Names of definitions in a sentence.
_SHOWN = 3
_OWNER = "gateway.envoyproxy.io/owning-gateway"
_PLACES = {"proxy": Place.ENVOY, "plugins": Place.PLUGINS, "model": Place.MODEL}
# Namespace, name.
ServiceKey = tuple[str, str]


@check
def definitions(facts: Facts) -> Iterator[Finding]:
    """Every definition of the profile is there: with it go all objects of its kind.

    A controller that watches them runs on without it, and can't start again.
    """
    if not facts.knows(CRD) or CRD not in facts.objects:
        return
    lasting = [o["metadata"] for o in facts.of(CRD) if not is_ending(o)]
    present = {meta["name"] for meta in lasting}
    gone = [d for d in facts.declares(CRD) if d.name not in present]
    if gone:
        yield _undefined(facts, gone)


def _undefined(facts: Facts, gone: list[Declared]) -> Finding:
    names = [d.name for d in gone]
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    lost = gone[0].defines or "object of its kind"
    message = f"The CustomResourceDefinition {shown} is gone, and with it every {lost}."
    if len(names) > 1:
        message = f"{len(names)} CustomResourceDefinitions and all objects of their kinds are gone: {shown}."
    about = frozenset(str(d).replace(" ", "/") for d in gone)
    affects = set(about)
    for definition in gone:
        affects |= _without_definition(facts, definition)
    return Finding(
        code="DE415",
        subject=", ".join(names),
        says=message,
        evidence=tuple(Evidence("API server", f"no {d}") for d in gone),
        fix=(devenv(facts, "recover"),),
        about=about,
        affects=frozenset(affects),
    )


def _without_definition(facts: Facts, definition: Declared) -> set[str]:
    """Return what may follow: the objects of that kind are gone, and who watches them may crash."""
    names = {c.name for c in facts.profile.components if c.resource.kind == definition.defines}
    names |= {c.name for c in facts.profile.components if c.lease}
    if not definition.name.endswith(GATEWAY_GROUPS):
        return {f"component/{n}" for n in names}
    names |= {c.name for w in _gateway_controllers(facts) if (c := component_of(facts, w))}
    for name in tuple(names):
        names |= after(facts, name)
    keys = {f"component/{n}" for n in names} | {f"route/{r}" for r in ROUTES}
    for model in served(facts):
        keys |= {
            f"{what}/{model}" for what in ("model", "http route", "route/direct", "route/plain")
        }
    return keys | {"filter", "original route", "xds"}


def _gateway_controllers(facts: Facts) -> list[Manifest]:
    return [w for w in workloads(facts) if role(facts, w) == "controller"]


@check
def services(facts: Facts) -> Iterator[Finding]:
    """Every Service of the profile is there, and every one that a webhook asks.

    A model's own Service is the model's business.
    """
    if not (facts.knows("Service") and facts.of("Service")):
        return
    declared = {(d.namespace, d.name): d.selector for d in facts.declares("Service")}
    awaited = filter(None, map(component_service, facts.profile.components))
    dependencies = webhook_services(facts).union(awaited)
    present = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in facts.of("Service")}
    for key in sorted({*declared, *dependencies} - present - routed_services(facts)):
        yield _missing(facts, key, declared.get(key, {}))


def _missing(facts: Facts, key: ServiceKey, selector: object) -> Finding:
    name = "/".join(key)
    in_namespace = [w for w in workloads(facts) if w["metadata"]["namespace"] == key[0]]
    behind = [w for w in in_namespace if _selects(selector, w)]
    about = {f"Service/{name}"}
    affects = {*about, *_referring(facts, key)}
    for workload in behind:
        affects |= _through(facts, workload)
    places = [_PLACES[r] for w in behind if (r := role(facts, w)) in _PLACES]
    evidence = [Evidence("API server", f"no Service {name}")]
    unreachable = "its pods can't be reached by that name"
    evidence += [Evidence(f"{kind_of(facts, w)} {label(w)}", unreachable) for w in behind]
    return Finding(
        code="DE416",
        subject=f"Service {name}",
        says=f"The Service {name} does not exist.",
        evidence=tuple(evidence),
        fix=(devenv(facts, "recover"),),
        about=frozenset(about),
        affects=frozenset(affects),
        place=places[0] if places else None,
    )


def _selects(selector: object, workload: Manifest) -> bool:
    labels = (workload["spec"]["template"].get("metadata") or {}).get("labels")
    return isinstance(selector, dict) and selects(selector, labels)


def _through(facts: Facts, workload: Manifest) -> set[str]:
    """Return what reaches a workload by its Service: requests, and components that come after it.

    AIBrix's controller is asked by the API server alone, for webhooks.
    """
    component = component_of(facts, workload)
    names = after(facts, component.name) if component and not component.lease else set()
    return requests_through(facts, workload) | {f"component/{n}" for n in names}


def _referring(facts: Facts, key: ServiceKey) -> set[str]:
    """Return what names the Service: components that wait for its endpoints, policies, routes."""
    keys = {f"component/{c.name}" for c in facts.profile.components if component_service(c) == key}
    for kind in ("EnvoyExtensionPolicy", "HTTPRoute"):
        for obj in facts.of(kind):
            if key in _named(obj):
                keys |= {f"{kind}/{label(obj)}"} | _components(facts, obj)
    return keys


def _components(facts: Facts, obj: Manifest) -> set[str]:
    keys = set()
    for component in facts.profile.components:
        if any(o is obj for o in objects_of(facts, component)):
            keys.add(f"component/{component.name}")
    return keys


def _named(obj: Manifest) -> set[ServiceKey]:
    """Return the Services that a policy or a route leads to."""
    spec, namespace = obj["spec"], obj["metadata"]["namespace"]
    holders = [*(spec.get("extProc") or ()), *(spec.get("rules") or ())]
    backends = [b for holder in holders for b in holder.get("backendRefs") or ()]
    return {(b.get("namespace") or namespace, b["name"]) for b in backends}


@check
def entrance(facts: Facts) -> Iterator[Finding]:
    """The Gateway's proxies have their Service, by which requests come in. Envoy Gateway makes it."""
    if not (facts.knows("Service") and facts.of("Service")):
        return
    gateway = facts.profile.gateway
    selector = {f"{_OWNER}-name": gateway.name, f"{_OWNER}-namespace": gateway.namespace}
    proxies = [w for w in workloads(facts) if role(facts, w) == "proxy"]
    labels = [o["metadata"].get("labels") for o in facts.of("Service")]
    if not proxies or any(selects(selector, of_one) for of_one in labels):
        return
    name = label(proxies[0])
    affects = affected(facts, proxies[0]) | {f"route/{r}" for r in (*ROUTES, *BY_PLUGIN)}
    evidence = (Evidence("API server", f"no Service with {_OWNER}-name={gateway.name}"),)
    yield Finding(
        code="DE416",
        subject=f"Service {name}",
        says=f"The Service {name} does not exist: no request comes in.",
        evidence=evidence,
        fix=(devenv(facts, "recover"),),
        about=frozenset({f"Service/{name}", "entrance"}),
        affects=frozenset(affects),
        place=Place.PORT,
    )
