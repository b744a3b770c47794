"""Questions about nodes, components and Services that several checks ask of the facts."""

from devenv.diagnosis.manifests import NamespacedName, services_behind, services_called_by
from devenv.diagnosis.served_models import served_models
from devenv.facts.labels import asked_models
from devenv.facts.model import Facts
from devenv.ports.host import Space
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component

# How the names of the Gateway API's and of Envoy Gateway's definitions end.
GATEWAY_GROUPS = (".gateway.networking.k8s.io", ".gateway.envoyproxy.io")
# The label of an EndpointSlice that names its Service.
SERVICE_LABEL = "kubernetes.io/service-name"
WEBHOOK_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# A disk with less free space or fewer free inodes counts as full: a restart may not fit any more.
_LEAST_BYTES = 128 << 20
_LEAST_INODES = 1000


# Nodes and disks


def has_running_node(facts: Facts) -> bool:
    """Whether at least one node runs, as the engine sees it."""
    return any(node.status == "running" for node in facts.nodes)


def is_out_of_bytes(space: Space) -> bool:
    """Whether a disk has too little space for what a restart writes."""
    return space.free < _LEAST_BYTES


def is_out_of_inodes(space: Space) -> bool:
    """Whether a disk has too few inodes. A filesystem without a fixed number of them reports 0."""
    return space.total_inodes > 0 and space.free_inodes < _LEAST_INODES


# Objects and components


def was_listed(facts: Facts, kind: str) -> bool:
    """Whether the objects of a kind were asked for and could be read. There may be none."""
    return facts.knows(kind) and kind in facts.objects


def has_any(facts: Facts, kind: str) -> bool:
    """Whether at least one object of a kind could be read.

    If every cluster has some, as of Pods and Services, an empty list means that they were not read.
    """
    return facts.knows(kind) and bool(facts.of(kind))


def components_with(facts: Facts, obj: Manifest) -> list[str]:
    """Return the names of the components that an object belongs to, of whatever kind it is."""
    return [c.name for c in facts.profile.components if _has_object(facts, c, obj)]


def _has_object(facts: Facts, component: Component, obj: Manifest) -> bool:
    return any(o is obj for o in objects_of(facts, component))


def leading_components(facts: Facts) -> list[str]:
    """Return the names of the components whose pods elect a leader: AIBrix's controllers."""
    return [c.name for c in facts.profile.components if c.lease]


def objects_of(facts: Facts, component: Component) -> list[Manifest]:
    """Return the objects of a component."""
    resource = component.resource
    return [o for o in facts.of(resource.kind) if resource.names(o["metadata"])]


def component_service(component: Component) -> NamespacedName | None:
    """Return the Service whose endpoints a component waits for, None if it waits for others."""
    resource = component.resource
    label, _, name = resource.selector.partition("=")
    if resource.kind == "EndpointSlice" and label == SERVICE_LABEL:
        return NamespacedName(resource.namespace, name)
    return None


# Services


def webhook_services(facts: Facts) -> set[NamespacedName]:
    """Return the Services that the API server calls for webhooks."""
    services: set[NamespacedName] = set()
    for kind in WEBHOOK_KINDS:
        for configuration in facts.of(kind):
            services |= services_called_by(configuration)
    return services


def model_services(facts: Facts) -> set[NamespacedName]:
    """Return the Services to which models' own HTTPRoutes lead, or would lead if they existed."""
    models = served_models(facts)
    services = set()
    for declared in facts.declares("Service"):
        if declared.name in models:
            services.add(NamespacedName(declared.namespace, declared.name))
    for route in facts.of("HTTPRoute"):
        if asked_models(route):
            services |= services_behind(route)
    return services
