"""What a workload does for requests, and so what fails with it."""

from collections.abc import Iterable, Iterator
from enum import StrEnum

from devenv.diagnosis import keys
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import NamespacedName, rules_of, services_behind
from devenv.diagnosis.model import Place
from devenv.diagnosis.read import objects_of
from devenv.diagnosis.served_models import served_models
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.collect import is_proxy
from devenv.facts.labels import is_controller, selects_proxy
from devenv.facts.model import Facts, selects
from devenv.facts.objects import name_of, namespace_of
from devenv.ports.kube import Manifest
from devenv.profiles.model import Route

# Without an object of one of these kinds, Envoy Gateway runs no proxy.
GATEWAY_KINDS = {"GatewayClass", "Gateway", "EnvoyProxy"}
# The label k8s-app of what kind itself installs for the cluster's network.
_NETWORK_APPS = {"kube-dns", "kube-proxy", "kindnet"}


class Role(StrEnum):
    """What a workload does for requests."""

    # The Envoy that requests pass through.
    PROXY = "proxy"
    # Envoy Gateway, which configures the proxy.
    CONTROLLER = "controller"
    # The ext_proc server that chooses a model's pod.
    PLUGINS = "plugins"
    # Answers GET /v1/models.
    METADATA = "metadata"
    MODEL = "model"
    # The cluster's own DNS and network.
    NETWORK = "network"
    NONE = ""


_PLACES = {
    Role.PROXY: Place.ENVOY,
    Role.PLUGINS: Place.PLUGINS,
    Role.MODEL: Place.MODEL,
}


def role_of(workload: Workload) -> Role:
    """Return what a workload does for requests."""
    facts = workload.facts
    if is_proxy(facts.profile, workload.manifest):
        return Role.PROXY
    if _is_behind(workload, _metadata_services(facts)):
        return Role.METADATA
    if workload.models:
        return Role.MODEL
    if _is_behind(workload, _ext_proc_services(facts)):
        return Role.PLUGINS
    return _role_by_labels(workload)


def _role_by_labels(workload: Workload) -> Role:
    app = workload.pod_labels.get("k8s-app")
    if workload.namespace == "kube-system" and app in _NETWORK_APPS:
        return Role.NETWORK
    if is_controller(workload.manifest):
        return Role.CONTROLLER
    return Role.NONE


def workloads_of_role(facts: Facts, role: Role) -> Iterator[Workload]:
    """Yield all workloads of a role."""
    for workload in all_workloads(facts):
        if role_of(workload) is role:
            yield workload


def place_of(workload: Workload) -> Place | None:
    """Return where a workload stands on a request's way, None if requests don't pass through it."""
    return _PLACES.get(role_of(workload))


def _is_behind(workload: Workload, services: Iterable[NamespacedName]) -> bool:
    """Whether one of the Services leads to a workload's pods."""
    for name in services:
        if name.namespace != workload.namespace:
            continue
        service = workload.facts.one("Service", name.namespace, name.name)
        if service and selects(service["spec"].get("selector"), workload.pod_labels):
            return True
    return False


def _metadata_services(facts: Facts) -> set[NamespacedName]:
    """Return the Services that answer the list of models."""
    requests = facts.profile.requests
    route_names = {r.http_route for r in requests if r.route is Route.MODELS}
    services = set()
    for route in facts.of("HTTPRoute"):
        if name_of(route) in route_names or _lists_models(route):
            services |= services_behind(route)
    return services


def _lists_models(route: Manifest) -> bool:
    """Whether a route is the one of GET /v1/models."""
    for rule in rules_of(route):
        for match in rule.get("matches") or ():
            if (match.get("path") or {}).get("value") == "/v1/models":
                return True
    return False


def _ext_proc_services(facts: Facts) -> set[NamespacedName]:
    """Return the Services of ext_proc servers.

    Extension policies name them, and so do the HTTPRoutes in the Gateway's namespace, except the
    one that lists models.
    """
    services = set()
    for policy in facts.of("EnvoyExtensionPolicy"):
        services |= services_behind(policy)
    for route in facts.of("HTTPRoute"):
        in_gateways_namespace = namespace_of(route) == facts.profile.gateway.namespace
        if in_gateways_namespace and not _lists_models(route):
            services |= services_behind(route)
    return services


# What fails with a workload


def effects_of_failure(workload: Workload) -> set[Key]:
    """Return the keys of what may fail with a workload.

    These are the requests through it, all components that come after it, and the requests through
    those.
    """
    effects = requests_through(workload)
    component, profile = workload.component, workload.facts.profile
    if component is None:
        return effects
    names = {component.name, *profile.after(component.name)}
    effects |= keys.components(names)
    # AIBrix's controller makes the models' routes.
    if component.lease:
        effects |= keys.http_routes(served_models(workload.facts))
    for dependent in workloads_of_components(workload.facts, names):
        effects |= requests_through(dependent)
    return effects


def workloads_of_components(facts: Facts, names: set[str]) -> Iterator[Workload]:
    """Yield the workloads of these components."""
    for component in facts.profile.components:
        if component.name in names and component.gate == "workload":
            for manifest in objects_of(facts, component):
                yield Workload(facts, component.resource.kind, manifest)


def components_of_gateway(facts: Facts) -> set[str]:
    """Return the components that Envoy Gateway makes of a Gateway, and removes with it, and it."""
    components = facts.profile.components
    names = {c.name for c in components if selects_proxy(c.resource.selector)}
    return names | {c.name for c in components if c.resource.kind == "Gateway"}


def requests_through(workload: Workload) -> set[Key]:
    """Return the keys of the requests that need a workload."""
    role = role_of(workload)
    if role is Role.MODEL:
        return keys.models(workload.models)
    if role is Role.METADATA:
        return {keys.route(Route.MODELS)}
    if role is Role.PLUGINS:
        return set(keys.PLUGIN_ROUTES)
    if role is Role.NONE:
        return set()
    effects = set(keys.ALL_ROUTES)
    if role is Role.PROXY:
        # A Gateway is programmed only once its proxy is available.
        gateway = workload.facts.profile.gateway
        effects.add(keys.object_of("Gateway", f"{gateway.namespace}/{gateway.name}"))
    return effects
