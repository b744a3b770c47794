"""The keys that join findings: what one finding `affects`, another one is `about`.

A check never makes a key itself, so that both sides of an edge have the same one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.facts.model import WORKLOADS
from devenv.profiles.model import Route

# Kinds whose names other modules ask for, with `names_in`.
COMPONENT = "component"
DEPLOYMENT = "deployment"
CERTIFICATE = "certificate"
UNPROVEN_IMAGE = "unproven image"
DEFINITION = "CustomResourceDefinition"
NODE = "node"
UNIT = "unit"
STATIC_POD = "static pod"
KUBECONFIG = "kubeconfig"


@dataclass(frozen=True)
class Key:
    """One thing that findings can be about. `name`: "" if there is only one of its kind."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        if not self.name:
            return self.kind
        return f"{self.kind}/{self.name}"


# The Docker engine's port for the gateway, on this machine.
PORT = Key("port")
# The cluster as a whole.
CLUSTER = Key("cluster")
# The kubeconfig's context.
CONTEXT = Key("context")
# The disk of a node.
DISK = Key("disk")
# The API server.
API = Key("api")
# Envoy Gateway's cache of Wasm modules.
WASM = Key("wasm")
# Envoy Gateway's lease.
GATEWAY_LEASE = Key("lease")
# The Service through which requests come in.
ENTRANCE = Key("entrance")
# The ext_proc filter that leads a request to gateway-plugins.
FILTER = Key("filter")
# The route that AIBrix's patch adds to Envoy.
ORIGINAL_ROUTE = Key("original route")
# The certificates by which Envoy Gateway and its proxy trust each other.
GATEWAY_CERTIFICATES = Key("gateway certificates")
# The configuration that Envoy receives.
XDS = Key("xds")


def names_in(keys: Iterable[Key], kind: str) -> set[str]:
    """Return the names in those keys that are of a kind."""
    return {key.name for key in keys if key.kind == kind}


def component(name: str) -> Key:
    """Return the key of a component of the profile."""
    return Key(COMPONENT, name)


def components(names: Iterable[str]) -> set[Key]:
    """Return the keys of several components."""
    return set(map(component, names))


def deployment(full_name: str) -> Key:
    """Return the key of a workload, of whatever kind. `full_name`: NAMESPACE/NAME."""
    return Key(DEPLOYMENT, full_name)


def workload(kind: str, full_name: str) -> Key:
    """Return the key of a workload, or of the pods of another owner. `full_name`: NAMESPACE/NAME.

    The key of a Deployment, StatefulSet or DaemonSet has no kind.
    """
    if kind in WORKLOADS:
        return deployment(full_name)
    return Key(kind, full_name)


def evictions(full_name: str) -> Key:
    """Return the key of the evictions of a workload's pods. `full_name`: NAMESPACE/NAME."""
    return Key("evictions", full_name)


def object_of(kind: str, full_name: str) -> Key:
    """Return the key of a Kubernetes object. `full_name`: NAMESPACE/NAME, or NAME."""
    return Key(kind, full_name)


def definition(name: str) -> Key:
    """Return the key of a CustomResourceDefinition."""
    return object_of(DEFINITION, name)


def service(full_name: str) -> Key:
    """Return the key of a Service. `full_name`: NAMESPACE/NAME."""
    return object_of("Service", full_name)


def certificate(service_name: str) -> Key:
    """Return the key of the certificate of a webhook's Service. `service_name`: NAMESPACE/NAME."""
    return Key(CERTIFICATE, service_name)


def lease(name: str) -> Key:
    """Return the key of a controller's lease."""
    return Key("lease", name)


def unproven_images(names: Iterable[str]) -> set[Key]:
    """Return the keys of images that were loaded and never proven, beside one to return to."""
    return {Key(UNPROVEN_IMAGE, name) for name in names}


def node(name: str) -> Key:
    """Return the key of a node."""
    return Key(NODE, name)


def unit(node_name: str, name: str) -> Key:
    """Return the key of a systemd unit of a node."""
    return Key(UNIT, f"{node_name}/{name}")


def static_pod(node_name: str, name: str) -> Key:
    """Return the key of a part of the control plane that a node's kubelet runs from a file."""
    return Key(STATIC_POD, f"{node_name}/{name}")


def control_plane(part: str) -> Key:
    """Return the key of a part of the control plane, in whichever node it leads."""
    return Key("control plane", part)


def network(name: str) -> Key:
    """Return the key of a network of the engine."""
    return Key("network", name)


def kubeconfig(context: str) -> Key:
    """Return the key of what the kubeconfig says of a context that exists."""
    return Key(KUBECONFIG, context)


def model(name: str) -> Key:
    """Return the key of a model."""
    return Key("model", name)


def models(names: Iterable[str]) -> set[Key]:
    """Return the keys of several models."""
    return set(map(model, names))


def http_route(model_name: str) -> Key:
    """Return the key of a model's own HTTPRoute."""
    return Key("http route", model_name)


def http_routes(model_names: Iterable[str]) -> set[Key]:
    """Return the keys of several models' own HTTPRoutes."""
    return set(map(http_route, model_names))


def route(kind: str, model_name: str = "") -> Key:
    """Return the key of the requests that take a route, or of those among them to one model."""
    if model_name:
        return Key("route", f"{kind}/{model_name}")
    return Key("route", kind)


def routes(kinds: Iterable[str]) -> frozenset[Key]:
    """Return the keys of the requests that take these routes."""
    return frozenset(map(route, kinds))


ALL_ROUTES = routes(Route)
# The routes on which gateway-plugins sees a request.
PLUGIN_ROUTES = routes((Route.EXTENSION, Route.PLAIN))
# What fails without AIBrix's patch.
PATCHED = frozenset({route(Route.EXTENSION), ORIGINAL_ROUTE})
# What fails without the extension policy.
FILTERED = PLUGIN_ROUTES | {FILTER}


def through_http_route(model_name: str) -> set[Key]:
    """Return the keys of what needs a model's own HTTPRoute."""
    direct, plain = route(Route.DIRECT, model_name), route(Route.PLAIN, model_name)
    return {direct, plain, http_route(model_name)}
