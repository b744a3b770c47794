"""What of any cluster plays which part: names of namespaces, of the Gateway and of workloads are found, not assumed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devenv.facts.labels import is_controller, model_name
from devenv.facts.model import selects
from devenv.ports import Manifest
from devenv.profiles.model import FOUND, Profile

Objects = Mapping[str, tuple[Manifest, ...]]
_GATEWAY = "gateway.networking.k8s.io/v1"
_EXTENSIONS = "gateway.envoyproxy.io/v1alpha1"
_OWNER = "gateway.envoyproxy.io/owning-gateway"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# What tells whether a webhook is answered.
_ANSWERING = ("Service", "EndpointSlice")
# In every release (docs/facts/aibrix.md)
_LEASE = "aibrix-controller-manager"


def discovered(name: str, objects: Objects) -> Profile:
    """Return a profile of what is there, which asks for nothing: no live request is sent to a cluster of somebody else's."""
    gateway = _gateway(objects)
    namespace, gateway_name = (
        (gateway["metadata"]["namespace"], gateway["metadata"]["name"]) if gateway else ("", "")
    )
    return Profile.model_validate({
        "name": name, "base": FOUND, "requests": [], "manifests": [], "model_annotations": True,
        "images": [{"name": "node", "ref": "none"}], "cluster": {"image": "node", "kind": {}},
        "gateway": {"namespace": namespace, "name": gateway_name, "host_port": 1, "node_port": 30000},
        "components": list(_once(_components(objects, gateway))),
    })  # fmt: skip


def concerning(objects: Objects, profile: Profile) -> dict[str, tuple[Manifest, ...]]:
    """Return the objects of the namespaces that have a part in it, and those of none: the rest is of no use, and of thousands."""
    places = {c.resource.namespace for c in profile.components} | {
        profile.gateway.namespace,
        "kube-system",
        "",
    }
    places |= {_called(p)[0] for p in objects.get("Pod", ()) if model_name(p, annotated=True)}
    places |= {
        _called(d)[0] for d in objects.get("Deployment", ()) if model_name(d, annotated=True)
    }
    by_kind = dict.fromkeys(_ANSWERING, places | _asked(objects))
    return {
        kind: tuple(o for o in manifests if _called(o)[0] in by_kind.get(kind, places))
        for kind, manifests in objects.items()
    }


def _asked(objects: Objects) -> set[str]:
    """Return the namespaces of the Services that webhooks ask, whoever's they are."""
    configurations = [o for kind in _WEBHOOKS for o in objects.get(kind, ())]
    hooks = [h for o in configurations for h in o.get("webhooks") or ()]
    services = [(h.get("clientConfig") or {}).get("service") or {} for h in hooks]
    return {str(s["namespace"]) for s in services if s}


def _once(components: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give each component a name of its own."""
    taken: set[str] = set()
    for component in components:
        name, number = component["name"], 1
        while component["name"] in taken:
            number += 1
            component["name"] = f"{name} {number}"
        taken.add(component["name"])
        yield component


def _gateway(objects: Objects) -> Manifest | None:
    """Return the Gateway that routes to AIBrix's plugin, else one of Envoy Gateway's."""
    attached = [ref for route in _by_plugin(objects) for ref in _parents(route)]
    gateways = [g for g in objects.get("Gateway", ()) if _called(g) in attached]
    return next(iter((*gateways, *objects.get("Gateway", ()))), None)


def _by_plugin(objects: Objects) -> list[Manifest]:
    """Return the routes that an extension policy with an external processor is for."""
    targets = {
        (p["metadata"]["namespace"], t.get("name"))
        for p in objects.get("EnvoyExtensionPolicy", ()) if p["spec"].get("extProc")
        for t in (p["spec"].get("targetRef") or {}, *(p["spec"].get("targetRefs") or ()))
    }  # fmt: skip
    return [r for r in objects.get("HTTPRoute", ()) if _called(r) in targets]


def _parents(route: Manifest) -> list[tuple[str, str]]:
    namespace = route["metadata"]["namespace"]
    return [
        (str(p.get("namespace") or namespace), str(p["name"]))
        for p in route["spec"].get("parentRefs") or ()
    ]


def _called(obj: Manifest) -> tuple[str, str]:
    return str(obj["metadata"].get("namespace", "")), str(obj["metadata"]["name"])


def _components(objects: Objects, gateway: Manifest | None) -> Iterator[dict[str, Any]]:
    controllers = [d for d in objects.get("Deployment", ()) if is_controller(d)]
    for deployment in controllers:
        yield _part("envoy-gateway", "workload", "apps/v1", "Deployment", deployment)
    dependencies = ["envoy-gateway"] if controllers else []
    if gateway:
        namespace, name = _called(gateway)
        yield {
            **_part("gateway", "conditions", _GATEWAY, "Gateway", gateway),
            "conditions": ["Accepted"],
            "after": dependencies,
        }
        selector = f"{_OWNER}-name={name},{_OWNER}-namespace={namespace}"
        proxies = [d for d in objects.get("Deployment", ()) if _label(d, f"{_OWNER}-name") == name]
        if proxies:
            resource = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "namespace": _called(proxies[0])[0],
                "selector": selector,
            }
            yield {"name": "proxy", "gate": "workload", "resource": resource, "after": dependencies}
    yield from _policies(objects, ["gateway"] if gateway else [])
    for deployment in _plugins(objects):
        yield _part("gateway-plugins", "workload", "apps/v1", "Deployment", deployment)
    yield from _controllers(objects)


def _policies(objects: Objects, dependencies: list[str]) -> Iterator[dict[str, Any]]:
    for kind, name, conditions in (
        ("EnvoyExtensionPolicy", "extension-policy", ["Accepted"]),
        ("EnvoyPatchPolicy", "patch-policy", ["Accepted", "Programmed"]),
    ):
        for policy in objects.get(kind, ()):
            part = _part(name, "ancestors", _EXTENSIONS, kind, policy)
            yield {**part, "conditions": conditions, "after": dependencies}


def _controllers(objects: Objects) -> Iterator[dict[str, Any]]:
    """Yield AIBrix's own controllers, which elect a leader."""
    for deployment in objects.get("Deployment", ()):
        leads = any(
            _called(o) == (_called(deployment)[0], _LEASE) for o in objects.get("Lease", ())
        )
        if _label(deployment, "control-plane") == "controller-manager" and leads:
            yield {
                **_part("controller-manager", "workload", "apps/v1", "Deployment", deployment),
                "lease": _LEASE,
            }


def _plugins(objects: Objects) -> Iterator[Manifest]:
    """Yield the workloads behind the external processors that policies name."""
    for policy in objects.get("EnvoyExtensionPolicy", ()):
        for backend in (
            b for p in policy["spec"].get("extProc") or () for b in p.get("backendRefs") or ()
        ):
            service_key = (
                str(backend.get("namespace") or policy["metadata"]["namespace"]),
                str(backend["name"]),
            )
            for service in (s for s in objects.get("Service", ()) if _called(s) == service_key):
                for deployment in objects.get("Deployment", ()):
                    labels = deployment["spec"]["template"]["metadata"].get("labels")
                    if _called(deployment)[0] == service_key[0] and selects(
                        service["spec"].get("selector"), labels
                    ):
                        yield deployment


def _part(name: str, gate: str, version: str, kind: str, obj: Manifest) -> dict[str, Any]:
    namespace, object_name = _called(obj)
    return {
        "name": name,
        "gate": gate,
        "resource": {
            "apiVersion": version,
            "kind": kind,
            "namespace": namespace,
            "name": object_name,
        },
    }


def _label(obj: Manifest, key: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(key, ""))
