"""A small healthy cluster as facts, made anew by each call, so that a test can break one thing.

It has one pod of each part: Envoy Gateway and its proxy, AIBrix's plugin, controller and Redis, and
one model. No check has anything to say of it, not even something harmless.
"""

from datetime import UTC, datetime
from pathlib import Path

from devenv import DEFAULT_CLUSTER
from devenv.facts.certificates import CERTIFICATES
from devenv.facts.collect import CRD, KINDS
from devenv.facts.live import PATCHED_ROUTE, AccessLine, Proof
from devenv.facts.model import Declared, Facts, NodeFacts, ProxyFacts, RouteFacts
from devenv.ports.engine import EngineInfo
from devenv.ports.gateway import HttpAnswer
from devenv.ports.host import Space
from devenv.ports.kube import Manifest
from devenv.profiles.model import Profile, Route

# Seconds since 1970: noon of the first of January 2026.
TAKEN = 1_767_268_800.0
HOUR = 3600.0
SYSTEM, GATEWAYS, MODELS = "aibrix-system", "envoy-gateway-system", "default"
NODE, NODE_ADDRESS = f"{DEFAULT_CLUSTER}-control-plane", "172.18.0.2"
GATEWAY = "aibrix-eg"
CONTROLLER, PROXY, PLUGINS = "envoy-gateway", "envoy-proxy", "aibrix-gateway-plugins"
MANAGER, REDIS, SERVER = "aibrix-controller-manager", "aibrix-redis-master", "mock-llama2-7b"
EXTENSION_POLICY, PATCH_POLICY = "aibrix-gateway-plugins-extension-policy", "aibrix-epp"
CLIENT_POLICY, RESERVED_ROUTE = "aibrix-client-policy", "aibrix-reserved-router"
MODEL, MODEL_ROUTE = "llama2-7b", "llama2-7b-router"
MODEL_NAME, MODEL_PORT = "model.aibrix.ai/name", "model.aibrix.ai/port"
WEBHOOKS, WEBHOOK_SERVICE = "aibrix-mutating-webhooks", "aibrix-webhook-service"
GATEWAY_LEASE = "5b9825d2.gateway.envoyproxy.io"
SETTINGS = "envoy-gateway-config"
ROUTE_DEFINITION, ADAPTER_DEFINITION = (
    "httproutes.gateway.networking.k8s.io",
    "modeladapters.model.aibrix.ai",
)
EXT_PROC = "envoy.filters.http.ext_proc/envoyextensionpolicy"
FILTER = f"{EXT_PROC}/{SYSTEM}/{EXTENSION_POLICY}/extproc/0"
OWNER = "gateway.envoyproxy.io/owning-gateway"
DISK = Space(free=50 << 30, total=100 << 30, free_inodes=10**6, total_inodes=10**7)
IMAGE = "devenv.local/program:1"
LABELS = {
    CONTROLLER: {"control-plane": "envoy-gateway"},
    PROXY: {f"{OWNER}-name": GATEWAY, f"{OWNER}-namespace": SYSTEM},
    PLUGINS: {"app": "gateway-plugins"},
    MANAGER: {"control-plane": "controller-manager"},
    REDIS: {"app": "redis"},
    SERVER: {MODEL_NAME: MODEL, MODEL_PORT: "8000"},
}
NAMESPACES = {CONTROLLER: GATEWAYS, PROXY: GATEWAYS, SERVER: MODELS}
ADDRESSES = {name: f"10.244.0.{number}" for number, name in enumerate(LABELS, 10)}


def before(age: float) -> str:
    """Return the time `age` seconds before the facts were taken, as Kubernetes writes it."""
    return datetime.fromtimestamp(TAKEN - age, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def healthy_facts(objects: dict[str, list[Manifest]] | None = None, **changes: object) -> Facts:
    """Return the healthy cluster's facts, with other objects and with changes."""
    values = {
        "devenv": "0",
        "taken": TAKEN,
        "cluster": DEFAULT_CLUSTER,
        "profile": healthy_profile(),
        "engine": EngineInfo("28.0", "amd64", Path("/docker"), "unix:///docker.sock"),
        "engine_disk": DISK,
        "inotify": (512, 524288),
        "nodes": (healthy_node(),),
        "context_port": 40001,
        "api_ports": (40001,),
        "objects": healthy_objects() if objects is None else objects,
        "declared": declared(),
        "proxies": (healthy_proxy(),),
        "proofs": proofs(),
    }
    return Facts.model_validate({**values, **changes})


def healthy_node(**changes: object) -> NodeFacts:
    values = {
        "name": NODE,
        "status": "running",
        "address": NODE_ADDRESS,
        "started": TAKEN - 2 * HOUR,
        "disk": DISK,
        "images": (IMAGE,),
    }
    return NodeFacts.model_validate({**values, **changes})


def healthy_proxy(**changes: object) -> ProxyFacts:
    routes = (
        RouteFacts(name=PATCHED_ROUTE, table="http", filters=(FILTER,)),
        RouteFacts(name=f"httproute/{SYSTEM}/{RESERVED_ROUTE}/0", table="http", filters=(FILTER,)),
        RouteFacts(name=f"httproute/{SYSTEM}/{MODEL_ROUTE}/0", table="http"),
    )
    listeners = {"http": (FILTER, "envoy.filters.http.router")}
    values = {"pod": f"{PROXY}-1-x", "ready": "LIVE", "listeners": listeners, "routes": routes}
    return ProxyFacts.model_validate({**values, **changes})


def proofs() -> tuple[Proof, ...]:
    """Return one good answer by each route that the profile asks for, in the profile's order."""
    line = AccessLine("any", "any", "-", "via_upstream", f"{ADDRESSES[SERVER]}:8000")
    routes = (Route.DIRECT, Route.EXTENSION, Route.PLAIN)
    return tuple(Proof(r.value, r, HttpAnswer(200), line, f"{SERVER}-1-x") for r in routes)


def declared() -> tuple[Declared, ...]:
    """Return what the profile's manifests have."""
    definitions = {ROUTE_DEFINITION: "HTTPRoute", ADAPTER_DEFINITION: "ModelAdapter"}
    services = {PLUGINS: PLUGINS, REDIS: REDIS, WEBHOOK_SERVICE: MANAGER}
    own = Declared(kind="Service", namespace=MODELS, name=MODEL, selector={MODEL_NAME: MODEL})
    entries = [Declared(kind=CRD, name=name, defines=kind) for name, kind in definitions.items()]
    for name, behind in services.items():
        selector = LABELS[behind]
        entries.append(Declared(kind="Service", namespace=SYSTEM, name=name, selector=selector))
    return (*entries, own)


# The profile


def healthy_profile(**changes: object) -> Profile:
    values = {
        "name": "small",
        "images": [
            {"name": "node", "ref": "kindest/node:v1"},
            {"name": "program", "ref": IMAGE},
        ],
        "cluster": {"image": "node", "kind": {}},
        "gateway": {
            "namespace": SYSTEM,
            "name": GATEWAY,
            "host_port": 8888,
            "node_port": 30888,
        },
        "manifests": [],
        "components": components(),
        "requests": [
            {"name": "direct", "route": "direct", "model": MODEL},
            {"name": "extension", "route": "extension", "model": MODEL},
            {"name": "plain", "route": "plain", "model": MODEL, "by": RESERVED_ROUTE},
        ],
    }
    return Profile.model_validate({**values, **changes})


def components() -> list[dict[str, object]]:
    """Return the profile's components, as a profile's file has them."""
    proxy = component("proxy", "workload", "Deployment", "", ["envoy-gateway"])
    selector = ",".join(f"{label}={value}" for label, value in LABELS[PROXY].items())
    proxy["resource"] |= {"namespace": GATEWAYS, "selector": selector}
    manager = component("controller-manager", "workload", "Deployment", MANAGER)
    gateway = component("gateway", "conditions", "Gateway", GATEWAY, ["envoy-gateway"])
    extension = component("extension-policy", "ancestors", "EnvoyExtensionPolicy", EXTENSION_POLICY)
    patch = component("patch-policy", "ancestors", "EnvoyPatchPolicy", PATCH_POLICY, ["gateway"])
    endpoints = component("webhooks", "endpoints", "EndpointSlice", "", ["controller-manager"])
    endpoints["resource"]["selector"] = f"kubernetes.io/service-name={WEBHOOK_SERVICE}"
    hooks = component("mutating-webhooks", "webhook", "MutatingWebhookConfiguration", WEBHOOKS)
    hooks["resource"]["namespace"] = ""
    return [
        component("envoy-gateway", "workload", "Deployment", CONTROLLER),
        component("redis", "workload", "Deployment", REDIS),
        component("gateway-plugins", "workload", "Deployment", PLUGINS, ["redis"]),
        {**manager, "lease": MANAGER},
        {**gateway, "conditions": ["Accepted", "Programmed"]},
        proxy,
        {**extension, "conditions": ["Accepted"], "after": ["gateway"]},
        {**patch, "conditions": ["Accepted", "Programmed"]},
        component("reserved-route", "parents", "HTTPRoute", RESERVED_ROUTE, ["gateway"]),
        component("model-route", "parents", "HTTPRoute", MODEL_ROUTE, ["gateway"]),
        component("model", "workload", "Deployment", SERVER),
        endpoints,
        hooks,
    ]


def component(name, gate, kind, resource_name, after=()) -> dict:
    namespace = NAMESPACES.get(resource_name, SYSTEM)
    resource = {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": resource_name}
    return {"name": name, "gate": gate, "resource": resource, "after": list(after)}


# Kubernetes' objects, by kind


def healthy_objects() -> dict[str, list[Manifest]]:
    """Return the healthy cluster's objects, which the caller may change."""
    deployments = [deployment(name) for name in LABELS]
    some = {
        "Node": [kubernetes_node()],
        "Deployment": deployments,
        "Pod": [pod_of(d) for d in deployments],
        "Service": services(),
        "EndpointSlice": [endpoint_slice()],
        "MutatingWebhookConfiguration": [webhook_configuration()],
        "ConfigMap": [settings()],
        "Lease": [
            lease(GATEWAY_LEASE, GATEWAYS, CONTROLLER),
            lease(MANAGER, SYSTEM, MANAGER),
        ],
        "GatewayClass": [gateway_class()],
        "Gateway": [gateway()],
        "HTTPRoute": [reserved_route(), model_route()],
        "ReferenceGrant": [reference_grant()],
        "EnvoyExtensionPolicy": [extension_policy()],
        "EnvoyPatchPolicy": [patch_policy()],
        "ClientTrafficPolicy": [client_policy()],
        "Secret": [{"metadata": metadata(name, GATEWAYS)} for name in CERTIFICATES],
        "ModelAdapter": [{"metadata": {"name": "adapter", "namespace": MODELS}}],
        CRD: [{"metadata": {"name": n}} for n in (ROUTE_DEFINITION, ADAPTER_DEFINITION)],
    }
    return {**{kind: [] for _, kind in KINDS}, **some}


def metadata(name: str, namespace: str = "", **more: object) -> Manifest:
    place = {"namespace": namespace} if namespace else {}
    return {"name": name, **place, "generation": 1, **more}


def condition(name: str, status: str = "True", **more: object) -> Manifest:
    return {"type": name, "status": status, "lastTransitionTime": before(HOUR), **more}


def kubernetes_node() -> Manifest:
    """A node of kind's: it never admits to pressure on its disk."""
    status = {
        "addresses": [
            {"type": "InternalIP", "address": NODE_ADDRESS},
            {"type": "Hostname", "address": NODE},
        ],
        "conditions": [condition("DiskPressure", "False"), condition("Ready")],
    }
    return {"metadata": metadata(NODE), "status": status}


def deployment(name: str, labels: dict[str, str] | None = None) -> Manifest:
    own_labels = dict(LABELS[name] if labels is None else labels)
    template = {"metadata": {"labels": dict(own_labels)}, "spec": pod_spec(name)}
    replicas = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    return {
        "metadata": metadata(name, NAMESPACES.get(name, SYSTEM), labels=own_labels),
        "spec": {"replicas": 1, "selector": {"matchLabels": own_labels}, "template": template},
        "status": {"observedGeneration": 1, **dict.fromkeys(replicas, 1)},
    }


def pod_spec(name: str, node: str = "") -> Manifest:
    """Return a pod with one container; gateway-plugins has an init container, too."""
    container = {
        "name": "program",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8000}],
        "env": [],
    }
    if name != PLUGINS:
        return {"nodeName": node, "references": [], "containers": [container]}
    container["env"] = [{"name": "AIBRIX_POD_DEPLOYMENT_LABEL"}]
    init = {"name": "init", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "env": []}
    containers = {"initContainers": [init], "containers": [container]}
    return {"nodeName": node, "references": [], **containers}


def pod_of(workload: Manifest) -> Manifest:
    """Return the pod that the first revision of a Deployment made, an hour ago."""
    own = workload["metadata"]
    labels = {**workload["spec"]["template"]["metadata"]["labels"], "pod-template-hash": "1"}
    owner = {"kind": "ReplicaSet", "name": f"{own['name']}-1"}
    meta = metadata(
        f"{own['name']}-1-x",
        own["namespace"],
        labels=labels,
        creationTimestamp=before(HOUR),
        ownerReferences=[owner],
    )
    running = {"running": {"startedAt": before(HOUR)}}
    container = {"name": "program", "ready": True, "restartCount": 0, "state": running}
    ended = {"terminated": {"exitCode": 0, "finishedAt": before(HOUR)}}
    status = {
        "phase": "Running",
        "podIP": ADDRESSES.get(own["name"], "10.244.0.99"),
        "conditions": [condition("PodScheduled"), condition("Ready")],
        "containerStatuses": [container],
    }
    if own["name"] == PLUGINS:
        status["initContainerStatuses"] = [{"name": "init", "ready": True, "state": ended}]
    return {"metadata": meta, "spec": pod_spec(own["name"], NODE), "status": status}


def service(name: str, namespace: str, selector: dict[str, str], **more: object) -> Manifest:
    spec = {"selector": dict(selector), "ports": [{"port": 8000}]}
    return {"metadata": metadata(name, namespace, **more), "spec": spec}


def services() -> list[Manifest]:
    return [
        service(PROXY, GATEWAYS, LABELS[PROXY], labels=dict(LABELS[PROXY])),
        service(PLUGINS, SYSTEM, LABELS[PLUGINS]),
        service(REDIS, SYSTEM, LABELS[REDIS]),
        service(WEBHOOK_SERVICE, SYSTEM, LABELS[MANAGER]),
        service(MODEL, MODELS, {MODEL_NAME: MODEL}),
    ]


def endpoint_slice() -> Manifest:
    labels = {"kubernetes.io/service-name": WEBHOOK_SERVICE}
    endpoint = {"addresses": [ADDRESSES[MANAGER]], "conditions": {"ready": True}}
    meta = metadata(f"{WEBHOOK_SERVICE}-x", SYSTEM, labels=labels)
    return {"metadata": meta, "endpoints": [endpoint]}


def webhook_configuration() -> Manifest:
    asked = {"name": WEBHOOK_SERVICE, "namespace": SYSTEM}
    hook = {
        "name": "models.aibrix.ai",
        "failurePolicy": "Ignore",
        "rules": [{"resources": ["deployments"]}],
        "clientConfig": {"service": asked, "caBundle": "there"},
    }
    return {"metadata": metadata(WEBHOOKS), "webhooks": [hook]}


def settings() -> Manifest:
    """Envoy Gateway's own settings."""
    text = "extensionApis:\n  enableEnvoyPatchPolicy: true\n"
    return {"metadata": metadata(SETTINGS, GATEWAYS), "data": {"envoy-gateway.yaml": text}}


def lease(name: str, namespace: str, holder: str) -> Manifest:
    """Return a lease that the pod of a workload holds."""
    spec = {"holderIdentity": f"{holder}-1-x_uid", "renewTime": before(1)}
    return {"metadata": metadata(name, namespace), "spec": spec}


def gateway_class() -> Manifest:
    return {"metadata": metadata(GATEWAY), "spec": {}, "status": accepted("Accepted")}


def gateway() -> Manifest:
    spec = {"gatewayClassName": GATEWAY}
    status = accepted("Accepted", "Programmed")
    return {"metadata": metadata(GATEWAY, SYSTEM), "spec": spec, "status": status}


def accepted(*names: str) -> Manifest:
    return {"conditions": [condition(name) for name in names]}


def route(name: str, rule: Manifest) -> Manifest:
    return {
        "metadata": metadata(name, SYSTEM),
        "spec": {"parentRefs": [{"name": GATEWAY}], "rules": [rule]},
        "status": {"parents": [accepted("Accepted", "ResolvedRefs")]},
    }


def reserved_route() -> Manifest:
    match = {"path": {"type": "PathPrefix", "value": "/v1/chat/completions"}}
    return route(RESERVED_ROUTE, {"matches": [match], "backendRefs": [{"name": PLUGINS}]})


def model_route() -> Manifest:
    match = {"headers": [{"name": "model", "value": MODEL}]}
    backend = {"name": MODEL, "namespace": MODELS, "port": 8000}
    return route(MODEL_ROUTE, {"matches": [match], "backendRefs": [backend]})


def reference_grant() -> Manifest:
    sources = [{"kind": "HTTPRoute", "namespace": SYSTEM}]
    spec = {"from": sources, "to": [{"kind": "Service"}]}
    return {"metadata": metadata("aibrix-grant", MODELS), "spec": spec}


def policy(name: str, spec: Manifest, *conditions: str) -> Manifest:
    status = {"ancestors": [accepted(*conditions)]}
    return {"metadata": metadata(name, SYSTEM), "spec": spec, "status": status}


def extension_policy() -> Manifest:
    spec = {"extProc": [{"backendRefs": [{"name": PLUGINS}]}]}
    return policy(EXTENSION_POLICY, spec, "Accepted")


def patch_policy() -> Manifest:
    value = {"name": PATCHED_ROUTE, "typed_per_filter_config": {FILTER: {}}}
    patches = [{"operation": {"op": "add", "value": value}}]
    return policy(PATCH_POLICY, {"jsonPatches": patches}, "Accepted", "Programmed")


def client_policy() -> Manifest:
    return policy(CLIENT_POLICY, {}, "Accepted")


def event(
    kind: str, namespace: str, name: str, reason: str, message: str, **more: object
) -> Manifest:
    """Return a warning about an object: it began a minute ago, and was last seen 5 s ago."""
    return {
        "metadata": metadata(f"{name}.{reason}", namespace),
        "involvedObject": {"kind": kind, "namespace": namespace, "name": name},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "firstTimestamp": before(60),
        "lastTimestamp": before(5),
        **more,
    }


# What a test changes


def named(objects: dict[str, list[Manifest]], kind: str, name: str) -> Manifest:
    """Return the one object of that name."""
    (obj,) = [o for o in objects[kind] if o["metadata"]["name"] == name]
    return obj


def pod_named(objects: dict[str, list[Manifest]], workload: str) -> Manifest:
    """Return the pod of a Deployment."""
    return named(objects, "Pod", f"{workload}-1-x")


def container_status(objects: dict[str, list[Manifest]], workload: str) -> Manifest:
    """Return the status of the container in a Deployment's pod."""
    (status,) = pod_named(objects, workload)["status"]["containerStatuses"]
    return status


def remove(objects: dict[str, list[Manifest]], kind: str, name: str) -> None:
    objects[kind].remove(named(objects, kind, name))


def set_condition(obj: Manifest, name: str, status: str = "False", **more: object) -> None:
    """Change a condition of the object: its own, or the one for its only ancestor or parent.

    If there is none of this name, the object gets it as its own.
    """
    own = obj.setdefault("status", {})
    holders = [*own.get("ancestors", ()), *own.get("parents", ()), own]
    entries = [c for h in holders for c in h.get("conditions", ()) if c["type"] == name]
    if not entries:
        entries = [condition(name)]
        own.setdefault("conditions", []).extend(entries)
    (entry,) = entries
    entry.update(status=status, **more)
