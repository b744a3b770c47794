"""What checks ask of facts, again and again."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from devenv import DEFAULT_CLUSTER
from devenv.facts.collect import is_of, is_proxy
from devenv.facts.labels import asked_models, by_storm_service, is_controller, model_name, route_of
from devenv.facts.model import WORKLOADS, Facts, owns, selects
from devenv.facts.revisions import KEEPERS, is_lasting, lasting_pods, newest_pods
from devenv.ports import Manifest, Space
from devenv.profiles.model import Component, Route

# How the key of an image begins that was loaded and never proven, beside one to return to.
UNPROVEN = "unproven image/"
ROUTES = tuple(r.value for r in Route)
# The routes that gateway-plugins has a part in.
BY_PLUGIN = ("extension", "plain")
# How the names of their definitions end.
GATEWAY_GROUPS = (
    ".gateway.networking.k8s.io",
    ".gateway.envoyproxy.io",
)
# Label of an EndpointSlice.
_SERVICE = "kubernetes.io/service-name"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# Columns of a line that Envoy Gateway's logger writes; characters that are kept.
_ZAP, _LONGEST = (
    6,
    200,
)
# What kind brings for it, by its label k8s-app.
_NETWORK = {"kube-dns", "kube-proxy", "kindnet"}
# Bytes, inodes.
_FULL, _INODES = 128 << 20, 1000


def no_bytes(space: Space) -> bool:
    """Whether a disk counts as full: with less, what a restart writes may not fit."""
    return space.free < _FULL


def no_inodes(space: Space) -> bool:
    """Whether a disk has no inodes left; one that counts none has enough."""
    return space.total_inodes > 0 and space.free_inodes < _INODES


def devenv(facts: Facts, *words: str) -> str:
    """Return a devenv command for this cluster, to copy."""
    return " ".join(
        ["devenv", *words, *([] if facts.cluster == DEFAULT_CLUSTER else ["--name", facts.cluster])]
    )


def kubectl(facts: Facts, *words: str) -> str:
    """Return a kubectl command for this cluster, to copy."""
    return " ".join(["kubectl", "--context", facts.context or f"kind-{facts.cluster}", *words])


def ago(span: float) -> str:
    """Return a span of time as a person would say it. `span` is in seconds."""
    minutes, hours = round(span / 60), round(span / 3600)
    if hours > 1:
        return f"{hours} h"
    return f"{minutes} min" if minutes else f"{max(0, round(span))} s"


def seconds(text: str | None) -> float:
    """Return Kubernetes' time in seconds since 1970, 0 where there is none."""
    if not text:
        return 0.0
    try:
        head, dot, fraction = text.rstrip("Z").partition(".")
        whole = datetime.fromisoformat(head.split("+")[0]).replace(tzinfo=UTC).timestamp()
        return whole + float(f"0.{fraction[:6]}" if dot and fraction[:6].isdigit() else 0)
    except ValueError:
        return 0.0


def line_time(line: str) -> float:
    """Return when a log line was written: it begins with the time."""
    return seconds(line.split(" ", 1)[0])


def said(line: str) -> str:
    """Return what a log line says, without times and callers: of Envoy Gateway's, the message and the error."""
    text = line.partition(" ")[2]
    parts = text.split("\t")
    if len(parts) < _ZAP:
        return text[:_LONGEST]
    try:
        error = json.loads(parts[-1]).get("error", "")
    except (ValueError, AttributeError):
        error = ""
    return f"{parts[4]}: {error}"[:_LONGEST] if error else " ".join(parts[1:])[:_LONGEST]


def label(obj: Manifest) -> str:
    """Return an object's namespace and name."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def component_of(facts: Facts, workload: Manifest) -> Component | None:
    """Return the profile's component that a Deployment is."""
    return next((c for c in facts.profile.components if is_of(c, workload)), None)


def is_of_profile(facts: Facts, workload: Manifest) -> bool:
    """Whether `recover` can put a workload back: the profile has it, or what it is made from.

    Where the profile's manifests were not read, any workload may be.
    """
    if facts.declared is None or component_of(facts, workload):
        return True
    meta = workload["metadata"]
    key = (kind_of(facts, workload), meta.get("namespace", ""), meta["name"])
    return any((d.kind, d.namespace, d.name) == key for d in facts.declared)


def has_earlier_revision(facts: Facts, workload: Manifest) -> bool:
    """Whether a Deployment can be undone: its earlier revision is kept."""
    name, namespace = workload["metadata"]["name"], workload["metadata"].get("namespace")
    sets = [s for s in facts.of("ReplicaSet") if s["metadata"].get("namespace") == namespace]
    owners = [o.get("name") for s in sets for o in s["metadata"].get("ownerReferences") or ()]
    return owners.count(name) > 1


def objects_of(facts: Facts, component: Component) -> list[Manifest]:
    """Return the objects of a component."""
    r = component.resource
    return [o for o in facts.of(r.kind) if r.names(o["metadata"])]


def pods_of(facts: Facts, workload: Manifest) -> list[Manifest]:
    """Return the pods that a workload made and that are to run on: neither ending nor ended."""
    return lasting_pods(workload, facts.of("Pod"))


def newest_pods_of(facts: Facts, workload: Manifest) -> list[Manifest]:
    """Return those of them that are of the newest revision: the others are being replaced.

    All of them where none is yet, where the revisions could not be read, and where older pods are
    meant to stay.
    """
    kind, pods = kind_of(facts, workload), pods_of(facts, workload)
    if _keeps_older_pods(workload):
        return pods
    keepers = facts.of(KEEPERS[kind]) if kind in KEEPERS else ()
    return newest_pods(kind, workload, keepers, pods) or pods


def _keeps_older_pods(workload: Manifest) -> bool:
    """Whether a StatefulSet or DaemonSet replaces no pod by itself, or not all of them."""
    strategy = workload["spec"].get("updateStrategy") or {}
    return strategy.get("type") == "OnDelete" or bool(
        (strategy.get("rollingUpdate") or {}).get("partition")
    )


def ended_pods_of(facts: Facts, workload: Manifest) -> list[Manifest]:
    """Return a workload's pods that have failed, were evicted or refused, the newest one last."""
    pods = [p for p in facts.of("Pod") if owns(workload, p)]
    failed = [p for p in pods if (p.get("status") or {}).get("phase") == "Failed"]
    return sorted(failed, key=lambda p: str(p["metadata"].get("creationTimestamp")))


def workloads(facts: Facts) -> list[Manifest]:
    """Return all Deployments, StatefulSets and DaemonSets."""
    return [workload for kind in WORKLOADS for workload in facts.of(kind)]


def kind_of(facts: Facts, workload: Manifest) -> str:
    """Return a workload's kind: what the API server lists does not say it."""
    return next(kind for kind in WORKLOADS if workload in facts.of(kind))


def named_model(facts: Facts, obj: Manifest) -> str:
    """Return the model that an object or a pod template names, as this AIBrix reads it; "" for none."""
    return model_name(obj, annotated=facts.profile.model_annotations)


def pods_model(facts: Facts, workload: Manifest) -> str:
    """Return the model that a workload's pods name; "" where they name none."""
    return named_model(facts, workload["spec"].get("template") or {})


def model_pods(facts: Facts, model: str) -> list[Manifest]:
    """Return the pods by which AIBrix finds a model, without those that are ending or have ended."""
    return [p for p in facts.of("Pod") if named_model(facts, p) == model and is_lasting(p)]


def newest_model_pods(facts: Facts, model: str) -> list[Manifest]:
    """Return those of them that no workload is about to replace."""
    replaced: list[Manifest] = []
    for workload in workloads(facts):
        newest = newest_pods_of(facts, workload)
        replaced += [p for p in pods_of(facts, workload) if p not in newest]
    return [p for p in model_pods(facts, model) if p not in replaced]


def conditions(obj: Manifest) -> list[dict[str, Any]]:
    """Return all conditions of an object: its own, and those for its ancestors and parents."""
    status = obj.get("status") or {}
    parts = [status, *(status.get("ancestors") or ()), *(status.get("parents") or ())]
    return [c for part in parts for c in part.get("conditions") or ()]


def models(facts: Facts) -> list[str]:
    """Return the models that the profile's requests ask for."""
    return list(dict.fromkeys(r.model for r in facts.profile.requests))


def served(facts: Facts) -> list[str]:
    """Return all models that anything in the cluster is meant to serve, those that the profile asks for first."""
    running = [w for w in facts.of("Deployment") if w["spec"].get("replicas", 1) != 0]
    names = [named_model(facts, w) or pods_model(facts, w) for w in running]
    return list(dict.fromkeys([*models(facts), *sorted(filter(None, names))]))


def routed(facts: Facts) -> list[str]:
    """Return the served models for which AIBrix makes a route: a StormService's gets none."""
    return [m for m in served(facts) if not without_route(facts, m)]


def without_route(facts: Facts, model: str) -> bool:
    """Whether a model has no route by design.

    While a StormService has no pods, the requests tell: none of them needs a route, and there is no
    Deployment.
    """
    if pods := model_pods(facts, model):
        return by_storm_service(pods)
    ways = {r.route for r in facts.profile.requests if r.model == model}
    deployments = facts.of("Deployment")
    candidates = [w for w in deployments if model in {named_model(facts, w), pods_model(facts, w)}]
    return bool(ways) and ways <= {Route.EXTENSION, Route.MODELS} and not candidates


def model_route(facts: Facts, model: str) -> Manifest | None:
    """Return the model's own HTTPRoute."""
    return route_of(model, facts.of("HTTPRoute"), facts.profile.gateway.namespace)


def component_service(component: Component) -> tuple[str, str] | None:
    """Return the Service, as (namespace, name), for whose endpoints a component stands.

    None for a component that stands for something else.
    """
    r = component.resource
    label_name, _, name = r.selector.partition("=")
    return (r.namespace, name) if r.kind == "EndpointSlice" and label_name == _SERVICE else None


def webhook_services(facts: Facts) -> set[tuple[str, str]]:
    """Return the Services, as (namespace, name), that the API server is to ask."""
    configurations = [o for kind in _WEBHOOKS for o in facts.of(kind)]
    hooks = [h for o in configurations for h in o.get("webhooks") or ()]
    services = [(h.get("clientConfig") or {}).get("service") or {} for h in hooks]
    return {(s["namespace"], s["name"]) for s in services if s}


def routed_services(facts: Facts) -> set[tuple[str, str]]:
    """Return the Services, as (namespace, name), to which models' own routes lead, or would."""
    services = {(d.namespace, d.name) for d in facts.declares("Service") if d.name in served(facts)}
    for route in (r for r in facts.of("HTTPRoute") if asked_models(r)):
        for rule in route["spec"].get("rules") or ():
            services |= _backends(rule, route["metadata"]["namespace"])
    return services


def after(facts: Facts, name: str) -> set[str]:
    """Return the components that come after this one, directly or not."""
    return facts.profile.after(name)


def role(facts: Facts, workload: Manifest) -> str:
    """Return what a workload is to the gateway: controller, proxy, plugins, model, network, or "" for anything else."""
    if is_proxy(facts.profile, workload):
        return "proxy"
    meta, template = workload["metadata"], workload["spec"].get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if _answers_metadata(facts, meta["namespace"], labels):
        return "metadata"
    if named_model(facts, workload) or pods_model(facts, workload):
        return "model"
    if any(selects(s, labels) for s in _ext_proc_selectors(facts, meta["namespace"])):
        return "plugins"
    if meta["namespace"] == "kube-system" and labels.get("k8s-app") in _NETWORK:
        return "network"
    return "controller" if is_controller(workload) else ""


def _answers_metadata(facts: Facts, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether pods with these labels are behind the route by which the list of models goes."""
    by = {r.http_route for r in facts.profile.requests if r.route is Route.MODELS}
    routes = [r for r in facts.of("HTTPRoute") if r["metadata"]["name"] in by or _lists_models(r)]
    names = {
        b
        for r in routes
        for rule in r["spec"].get("rules") or ()
        for b in _backends(rule, r["metadata"]["namespace"])
    }
    services = (facts.one("Service", ns, name) for ns, name in names if ns == namespace)
    return any(s is not None and selects(s["spec"].get("selector"), labels) for s in services)


def _lists_models(route: Manifest) -> bool:
    matches = [m for rule in route["spec"].get("rules") or () for m in rule.get("matches") or ()]
    return any((m.get("path") or {}).get("value") == "/v1/models" for m in matches)


def _ext_proc_selectors(facts: Facts, namespace: str) -> Iterator[Mapping[str, str]]:
    """Yield the selectors of Services that an extension policy of the namespace names, or an HTTPRoute of the Gateway's own."""
    names = set()
    for policy in facts.of("EnvoyExtensionPolicy"):
        for processor in policy["spec"].get("extProc") or ():
            names |= _backends(processor, policy["metadata"]["namespace"])
    for route in facts.of("HTTPRoute"):
        if route["metadata"]["namespace"] == facts.profile.gateway.namespace and not _lists_models(
            route
        ):
            for rule in route["spec"].get("rules") or ():
                names |= _backends(rule, route["metadata"]["namespace"])
    for service in facts.of("Service"):
        meta = service["metadata"]
        if meta["namespace"] == namespace and (namespace, meta["name"]) in names:
            yield service["spec"].get("selector") or {}


def _backends(holder: Mapping[str, Any], namespace: str) -> set[tuple[str, str]]:
    return {(b.get("namespace") or namespace, b["name"]) for b in holder.get("backendRefs") or ()}


def affected(facts: Facts, workload: Manifest) -> set[str]:
    """Return what may follow if a Deployment fails: what comes after it, and the requests that go through those."""
    component = component_of(facts, workload)
    names = {component.name, *after(facts, component.name)} if component else set()
    keys = {f"component/{n}" for n in names}
    # AIBrix's controller: it makes the models' routes, and answers the webhooks.
    if component and component.lease:
        keys |= {f"http route/{m}" for m in served(facts)}
    workloads = [
        workload,
        *(
            o
            for c in facts.profile.components
            if c.name in names
            for o in objects_of(facts, c)
            if c.gate == "workload"
        ),
    ]
    for dependent in workloads:
        keys |= requests_through(facts, dependent)
    return keys


def requests_through(facts: Facts, workload: Manifest) -> set[str]:
    """Return the keys of the requests that need a workload."""
    meaning = role(facts, workload)
    # The Gateway is programmed when its proxy is there.
    if meaning == "proxy":
        return {
            f"Gateway/{facts.profile.gateway.namespace}/{facts.profile.gateway.name}",
            *(f"route/{r}" for r in ROUTES),
        }
    if meaning in {"controller", "network"}:
        return {f"route/{r}" for r in ROUTES}
    if meaning == "metadata":
        return {f"route/{Route.MODELS}"}
    if meaning == "plugins":
        return {f"route/{r}" for r in BY_PLUGIN}
    if meaning == "model":
        names = {named_model(facts, workload), pods_model(facts, workload)} - {""}
        return {f"model/{name}" for name in names}
    return set()
