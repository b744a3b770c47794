"""Finds the parts of an AIBrix environment in any cluster.

Namespaces, the Gateway and workloads may have any name there: they are found by what they do.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devenv.facts.labels import GATEWAY_NAME, GATEWAY_NAMESPACE, is_controller, model_name
from devenv.facts.model import selects
from devenv.facts.objects import Fields, fields_of, items_of, labels_of, name_of, namespace_of
from devenv.ports.kube import Manifest
from devenv.profiles.model import FOUND, Profile

Objects = Mapping[str, tuple[Manifest, ...]]
# One component, as a profile spells it.
Entry = dict[str, Any]
# Namespace, name.
_Key = tuple[str, str]

_GATEWAY = "gateway.networking.k8s.io/v1"
_EXTENSIONS = "gateway.envoyproxy.io/v1alpha1"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# Kinds that tell whether a webhook is answered.
_ANSWERING = ("Service", "EndpointSlice")
# The lease of AIBrix's controllers in every release (docs/facts/aibrix.md).
_LEASE = "aibrix-controller-manager"


def discovered(name: str, objects: Objects) -> Profile:
    """Return a profile of the parts that the objects show.

    It has no live requests: devenv sends none to a cluster that it does not own.
    """
    gateway = _gateway(objects)
    namespace, gateway_name = _key(gateway) if gateway else ("", "")
    return Profile.model_validate({
        "name": name,
        "base": FOUND,
        "requests": [],
        "manifests": [],
        "model_annotations": True,
        # A profile needs a cluster, an image for it and ports. These stand for nothing.
        "images": [{"name": "node", "ref": "none"}],
        "cluster": {"image": "node", "kind": {}},
        "gateway": {
            "namespace": namespace, "name": gateway_name, "host_port": 1, "node_port": 30000,
        },
        "components": list(_with_own_names(_components(objects, gateway))),
    })  # fmt: skip


def concerning(objects: Objects, profile: Profile) -> dict[str, tuple[Manifest, ...]]:
    """Return the objects of the namespaces that have a part in the profile, and those of none.

    The rest tells nothing, and a large cluster has thousands.
    """
    namespaces = {component.resource.namespace for component in profile.components}
    namespaces |= {profile.gateway.namespace, "kube-system", ""}
    for kind in ("Pod", "Deployment"):
        namespaces |= _model_namespaces(objects.get(kind, ()))
    answering_namespaces = namespaces | _webhook_namespaces(objects)
    concerned: dict[str, tuple[Manifest, ...]] = {}
    for kind, manifests in objects.items():
        if kind in _ANSWERING:
            concerned[kind] = _in_namespaces(manifests, answering_namespaces)
        elif kind == "Namespace":
            concerned[kind] = tuple(obj for obj in manifests if name_of(obj) in namespaces)
        else:
            concerned[kind] = _in_namespaces(manifests, namespaces)
    return concerned


def _in_namespaces(manifests: Iterable[Manifest], namespaces: set[str]) -> tuple[Manifest, ...]:
    return tuple(obj for obj in manifests if namespace_of(obj) in namespaces)


def _model_namespaces(objects: Iterable[Manifest]) -> set[str]:
    return {namespace_of(obj) for obj in objects if model_name(obj, annotated=True)}


def _webhook_namespaces(objects: Objects) -> set[str]:
    """Return the namespaces of the Services that answer webhooks, AIBrix's or not."""
    namespaces: set[str] = set()
    for configuration in _objects_of(objects, _WEBHOOKS):
        for hook in items_of(configuration, "webhooks"):
            service = fields_of(hook.get("clientConfig"), "service")
            if service:
                namespaces.add(str(service["namespace"]))
    return namespaces


def _objects_of(objects: Objects, kinds: Iterable[str]) -> Iterator[Manifest]:
    for kind in kinds:
        yield from objects.get(kind, ())


def _with_own_names(components: Iterable[Entry]) -> Iterator[Entry]:
    """Number the components that share a name."""
    used_names: set[str] = set()
    for component in components:
        name, number = component["name"], 1
        while component["name"] in used_names:
            number += 1
            component["name"] = f"{name} {number}"
        used_names.add(component["name"])
        yield component


def _gateway(objects: Objects) -> Manifest | None:
    """Return the Gateway that routes to AIBrix's plugin, otherwise the first Gateway."""
    gateways = objects.get("Gateway", ())
    parents: set[_Key] = set()
    for route in _extension_routes(objects):
        parents.update(_parents(route))
    for gateway in gateways:
        if _key(gateway) in parents:
            return gateway
    return next(iter(gateways), None)


def _extension_routes(objects: Objects) -> list[Manifest]:
    """Return the routes that an extension policy with an external processor is for."""
    targets: set[_Key] = set()
    for policy in objects.get("EnvoyExtensionPolicy", ()):
        if policy["spec"].get("extProc"):
            targets.update(_targets(policy))
    return [route for route in objects.get("HTTPRoute", ()) if _key(route) in targets]


def _targets(policy: Manifest) -> list[_Key]:
    spec = policy["spec"]
    references = [fields_of(spec, "targetRef"), *items_of(spec, "targetRefs")]
    namespace = policy["metadata"]["namespace"]
    return [(namespace, reference.get("name")) for reference in references]


def _parents(route: Manifest) -> list[_Key]:
    parents = items_of(route["spec"], "parentRefs")
    namespace = route["metadata"]["namespace"]
    return [_referred(parent, namespace) for parent in parents]


def _referred(reference: Fields, default_namespace: str) -> _Key:
    return str(reference.get("namespace") or default_namespace), str(reference["name"])


def _key(obj: Manifest) -> _Key:
    return namespace_of(obj), name_of(obj)


def _components(objects: Objects, gateway: Manifest | None) -> Iterator[Entry]:
    controllers = [d for d in objects.get("Deployment", ()) if is_controller(d)]
    for deployment in controllers:
        yield _deployment_entry("envoy-gateway", deployment)
    dependencies = ["envoy-gateway"] if controllers else []
    if gateway:
        yield {
            **_entry("gateway", "conditions", _GATEWAY, "Gateway", gateway),
            "conditions": ["Accepted"],
            "after": dependencies,
        }
        yield from _proxy(objects, gateway, dependencies)
    yield from _policies(objects, ["gateway"] if gateway else [])
    for deployment in _plugins(objects):
        yield _deployment_entry("gateway-plugins", deployment)
    yield from _controller_managers(objects)


def _proxy(objects: Objects, gateway: Manifest, dependencies: list[str]) -> Iterator[Entry]:
    """Yield the proxy of the Gateway, if it has one."""
    namespace, name = _key(gateway)
    for deployment in objects.get("Deployment", ()):
        if _label(deployment, GATEWAY_NAME) == name:
            resource = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": namespace_of(deployment),
                "selector": f"{GATEWAY_NAME}={name},{GATEWAY_NAMESPACE}={namespace}",
            }
            yield {"name": "proxy", "gate": "workload", "resource": resource, "after": dependencies}
            return


def _policies(objects: Objects, dependencies: list[str]) -> Iterator[Entry]:
    for kind, name, conditions in (
        ("EnvoyExtensionPolicy", "extension-policy", ["Accepted"]),
        ("EnvoyPatchPolicy", "patch-policy", ["Accepted", "Programmed"]),
    ):
        for policy in objects.get(kind, ()):
            entry = _entry(name, "ancestors", _EXTENSIONS, kind, policy)
            yield {**entry, "conditions": conditions, "after": dependencies}


def _controller_managers(objects: Objects) -> Iterator[Entry]:
    """Yield AIBrix's own controllers, which elect a leader."""
    leases = set(map(_key, objects.get("Lease", ())))
    for deployment in objects.get("Deployment", ()):
        is_manager = _label(deployment, "control-plane") == "controller-manager"
        if is_manager and (namespace_of(deployment), _LEASE) in leases:
            yield {**_deployment_entry("controller-manager", deployment), "lease": _LEASE}


def _plugins(objects: Objects) -> Iterator[Manifest]:
    """Yield the Deployments behind the external processors that policies name."""
    for backend in _processor_backends(objects):
        for service in objects.get("Service", ()):
            if _key(service) == backend:
                yield from _selected_deployments(objects, service)


def _processor_backends(objects: Objects) -> Iterator[_Key]:
    for policy in objects.get("EnvoyExtensionPolicy", ()):
        namespace = policy["metadata"]["namespace"]
        for processor in items_of(policy["spec"], "extProc"):
            for reference in items_of(processor, "backendRefs"):
                yield _referred(reference, namespace)


def _selected_deployments(objects: Objects, service: Manifest) -> Iterator[Manifest]:
    for deployment in objects.get("Deployment", ()):
        labels = labels_of(deployment["spec"]["template"])
        is_beside = namespace_of(deployment) == namespace_of(service)
        if is_beside and selects(service["spec"].get("selector"), labels):
            yield deployment


def _deployment_entry(name: str, deployment: Manifest) -> Entry:
    return _entry(name, "workload", "apps/v1", "Deployment", deployment)


def _entry(name: str, gate: str, version: str, kind: str, obj: Manifest) -> Entry:
    namespace, object_name = _key(obj)
    resource = {
        "apiVersion": version,
        "kind": kind,
        "namespace": namespace,
        "name": object_name,
    }
    return {"name": name, "gate": gate, "resource": resource}


def _label(obj: Manifest, key: str) -> str:
    return str(labels_of(obj).get(key, ""))
