"""Definitions and Services that the profile's manifests have and the cluster lacks."""

from collections.abc import Iterable, Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import NamespacedName, namespaced_name, services_behind
from devenv.diagnosis.model import Evidence, Finding, Place, Subject
from devenv.diagnosis.read import (
    GATEWAY_GROUPS,
    component_service,
    components_with,
    has_any,
    leading_components,
    model_services,
    was_listed,
    webhook_services,
)
from devenv.diagnosis.roles import (
    Role,
    effects_of_failure,
    place_of,
    requests_through,
    workloads_of_role,
)
from devenv.diagnosis.served_models import served_models
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.collect import CRD
from devenv.facts.labels import GATEWAY_NAME, GATEWAY_NAMESPACE
from devenv.facts.model import Declared, Facts, selects
from devenv.facts.objects import full_name, labels_of, name_of
from devenv.facts.revisions import is_ending

# Names of definitions in a sentence.
_SHOWN = 3


# Definitions


@check
def find_missing_definitions(facts: Facts) -> Iterator[Finding]:
    """DE415: a definition of the profile is missing, and so are all objects of its kind.

    A controller that watches them keeps running without the definition, but can't start again.
    """
    if not was_listed(facts, CRD):
        return
    existing_names = {name_of(obj) for obj in facts.of(CRD) if not is_ending(obj)}
    definitions = [d for d in facts.declares(CRD) if d.name not in existing_names]
    if definitions:
        yield _missing_definitions(facts, definitions)


def _missing_definitions(facts: Facts, definitions: list[Declared]) -> Finding:
    about = {keys.definition(definition.name) for definition in definitions}
    effects = set(about)
    for definition in definitions:
        effects |= _effects_without(facts, definition)
    names = ", ".join(definition.name for definition in definitions)
    return Finding(
        code="DE415",
        subject=Subject(CRD, names, named_alone=True),
        says=_describe_missing(definitions),
        evidence=tuple(Evidence("API server", f"no {definition}") for definition in definitions),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(effects),
    )


def _describe_missing(definitions: list[Declared]) -> str:
    names = ", ".join(definition.name for definition in definitions[:_SHOWN])
    if len(definitions) > _SHOWN:
        names += ", …"
    if len(definitions) > 1:
        return (
            f"{len(definitions)} CustomResourceDefinitions and all objects of their kinds "
            f"are gone: {names}."
        )
    objects = definitions[0].defines or "object of its kind"
    return f"The CustomResourceDefinition {names} is gone, and with it every {objects}."


def _effects_without(facts: Facts, definition: Declared) -> set[Key]:
    """Return the keys of what may fail: the objects of that kind, and who watches them."""
    components = facts.profile.components
    names = {c.name for c in components if c.resource.kind == definition.defines}
    names.update(leading_components(facts))
    if not definition.name.endswith(GATEWAY_GROUPS):
        return keys.components(names)
    names |= _gateway_controllers(facts)
    for name in tuple(names):
        names |= facts.profile.after(name)
    effects = keys.components(names) | keys.ALL_ROUTES
    for model in served_models(facts):
        effects |= {keys.model(model), *keys.through_http_route(model)}
    return effects | {keys.FILTER, keys.ORIGINAL_ROUTE, keys.XDS}


def _gateway_controllers(facts: Facts) -> set[str]:
    """Return the names of the components that are Envoy Gateway's controller."""
    names = set()
    for workload in workloads_of_role(facts, Role.CONTROLLER):
        if component := workload.component:
            names.add(component.name)
    return names


# Services


@check
def find_missing_services(facts: Facts) -> Iterator[Finding]:
    """DE416: a Service of the profile, or one that a webhook calls, does not exist.

    The checks of models find the Services of models.
    """
    if not has_any(facts, "Service"):
        return
    declared = {NamespacedName(d.namespace, d.name): d for d in facts.declares("Service")}
    awaited = filter(None, map(component_service, facts.profile.components))
    needed = {*declared, *webhook_services(facts), *awaited}
    existing = set(map(namespaced_name, facts.of("Service")))
    for name in sorted(needed - existing - model_services(facts)):
        yield _missing_service(facts, name, declared.get(name))


def _missing_service(facts: Facts, name: NamespacedName, declared: Declared | None) -> Finding:
    """Return the finding. `declared`: the Service in the profile's manifests, if they have it."""
    selected = list(_workloads_behind(facts, name.namespace, declared))
    about = {keys.service(str(name))}
    effects = about | _references_to(facts, name)
    evidence = [Evidence("API server", f"no Service {name}")]
    for workload in selected:
        effects |= _effects_through_service(workload)
        evidence.append(Evidence(workload.source, "its pods can't be reached by that name"))
    return Finding(
        code="DE416",
        subject=Subject("Service", str(name)),
        says=f"The Service {name} does not exist.",
        evidence=tuple(evidence),
        fix=recover(facts),
        about=frozenset(about),
        affects=frozenset(effects),
        place=_first_place(selected),
    )


def _workloads_behind(facts: Facts, namespace: str, service: Declared | None) -> Iterator[Workload]:
    """Yield the workloads whose pods a Service of the profile selects."""
    if service is None:
        return
    for workload in all_workloads(facts):
        in_namespace = workload.namespace == namespace
        if in_namespace and selects(service.selector, workload.pod_labels):
            yield workload


def _first_place(selected: Iterable[Workload]) -> Place | None:
    for workload in selected:
        if place := place_of(workload):
            return place
    return None


def _effects_through_service(workload: Workload) -> set[Key]:
    """Return the keys of what reaches a workload by its Service: requests, and later components.

    AIBrix's controller has none: only the API server calls it, for webhooks.
    """
    effects = requests_through(workload)
    component = workload.component
    if component and not component.lease:
        effects |= keys.components(workload.facts.profile.after(component.name))
    return effects


def _references_to(facts: Facts, service: NamespacedName) -> set[Key]:
    """Return the keys of what names a Service: components that wait for it, policies, routes."""
    components = facts.profile.components
    references = {keys.component(c.name) for c in components if component_service(c) == service}
    for kind in ("EnvoyExtensionPolicy", "HTTPRoute"):
        for obj in facts.of(kind):
            if service in services_behind(obj):
                references.add(keys.object_of(kind, full_name(obj)))
                references |= keys.components(components_with(facts, obj))
    return references


@check
def find_missing_entrance(facts: Facts) -> Iterator[Finding]:
    """DE416: the proxy's Service, through which requests come in, does not exist.

    Envoy Gateway makes it, not the profile.
    """
    proxy = next(workloads_of_role(facts, Role.PROXY), None)
    if proxy is None or not has_any(facts, "Service") or _has_entrance(facts):
        return
    name = proxy.full_name
    text = f"no Service with {GATEWAY_NAME}={facts.profile.gateway.name}"
    yield Finding(
        code="DE416",
        subject=Subject("Service", str(name)),
        says=f"The Service {name} does not exist: no request comes in.",
        evidence=(Evidence("API server", text),),
        fix=recover(facts),
        about=frozenset({keys.service(name), keys.ENTRANCE}),
        affects=frozenset(effects_of_failure(proxy) | keys.ALL_ROUTES),
        place=Place.PORT,
    )


def _has_entrance(facts: Facts) -> bool:
    """Whether a Service carries the labels that Envoy Gateway gives to the Gateway's own."""
    gateway = facts.profile.gateway
    owner = {GATEWAY_NAME: gateway.name, GATEWAY_NAMESPACE: gateway.namespace}
    return any(selects(owner, labels_of(service)) for service in facts.of("Service"))
