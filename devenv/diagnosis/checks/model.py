"""Models: the labels by which AIBrix finds them, their Services, routes and grants."""

from collections.abc import Iterator
from typing import Any

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Confidence, Evidence, Finding
from devenv.diagnosis.read import (
    conditions,
    devenv,
    kubectl,
    label,
    model_pods,
    model_route,
    models,
    named_model,
    newest_model_pods,
    pods_model,
    routed,
    seconds,
    served,
)
from devenv.facts.labels import LABEL_VALUE, MODEL, PORT, ROUTE_NAME, is_ready, service_name
from devenv.facts.model import Facts, owns, selects
from devenv.ports import Manifest

_DEFAULT_PORT = (
    # Where AIBrix takes a model to listen if no label says so (docs/facts/gateway.md)
    "8000"
)


def _finding(
    facts: Facts, code: str, model: str, message: str, evidence: list[Evidence], fix: tuple[str, ...] = (),
    affects: set[str] | None = None, confidence: Confidence = Confidence.CONFIRMED,
) -> Finding:  # fmt: skip
    route = model_route(facts, model)
    names = {f"{model}-router", *([route["metadata"]["name"]] if route else [])}
    parts = {f"component/{c.name}" for c in facts.profile.components if c.resource.name in names}
    about = {f"model/{model}", *parts}
    return Finding(
        code, f"model {model}", message, tuple(evidence), fix or (devenv(facts, "recover"),), confidence=confidence,
        about=frozenset(about), affects=frozenset(about if affects is None else affects),
    )  # fmt: skip


def _by_route(model: str) -> set[str]:
    """What goes by the model's own HTTPRoute."""
    return {f"route/direct/{model}", f"route/plain/{model}", f"http route/{model}"}


@check
def pods(facts: Facts) -> Iterator[Finding]:
    """Every model that is asked for has a ready pod with its label."""
    if not (facts.knows("Pod") and facts.of("Pod")):
        return
    for model in models(facts):
        labelled_pods = model_pods(facts, model)
        if any(is_ready(p) for p in labelled_pods):
            continue
        wrong = [] if labelled_pods else list(_mislabelled(facts, model))
        if wrong:
            yield _mislabel(facts, model, wrong)
        else:
            text = f"{len(labelled_pods)} pods carry {MODEL}={model}, none is ready"
            yield _finding(
                facts,
                "DE501",
                model,
                f"The model {model} has no ready pod.",
                [Evidence("pods", text)],
            )


def _mislabelled(facts: Facts, model: str) -> Iterator[Manifest]:
    """Yield Deployments that are surely meant for the model: one that says so itself, or one that no request asks for."""
    requested_models = set(models(facts))
    for workload in facts.of("Deployment"):
        if workload["spec"].get("replicas", 1) == 0:
            continue
        own_model, pod_model = named_model(facts, workload), pods_model(facts, workload)
        if (own_model == model and pod_model != model) or (
            pod_model and pod_model not in requested_models and own_model in {"", pod_model}
        ):
            yield workload


def _mislabel(facts: Facts, model: str, workloads: list[Manifest]) -> Finding:
    evidence = []
    for workload in workloads:
        labels = workload["spec"]["template"]["metadata"].get("labels") or {}
        evidence.append(
            Evidence(
                f"Deployment {label(workload)}",
                f"its pods carry {MODEL}={labels.get(MODEL, '(no label)')}",
            )
        )
    meta = workloads[0]["metadata"]
    kind = "labels" if LABEL_VALUE.fullmatch(model) else "annotations"
    patch = f'{{"spec":{{"template":{{"metadata":{{"{kind}":{{"{MODEL}":"{model}"}}}}}}}}}}'
    fix = _own_fix(
        facts,
        model,
        kubectl(
            facts,
            "-n",
            meta["namespace"],
            "patch",
            "deployment",
            meta["name"],
            "-p",
            f"'{patch}'",
        ),
    )
    had = "another" if pods_model(facts, workloads[0]) else "none"
    message = f"No pod carries the label {MODEL}={model}, by which the model is found; {label(workloads[0])}'s have {had}."
    others = {f"model/{pod_model}" for w in workloads if (pod_model := pods_model(facts, w))}
    finding = _finding(facts, "DE505", model, message, evidence, fix)
    return Finding(**{**vars(finding), "affects": finding.affects | others})


@check
def unseen(facts: Facts) -> Iterator[Finding]:
    """A Deployment that says it serves a model has pods that say so, too: the plugin reads the pods' label, and no other."""
    requested_models = set(models(facts))
    for workload in facts.of("Deployment"):
        model, has_replicas = named_model(facts, workload), workload["spec"].get("replicas", 1) != 0
        strange = pods_model(facts, workload) != model
        if (
            model
            and model not in requested_models
            and has_replicas
            and strange
            and not model_pods(facts, model)
        ):
            yield _mislabel(facts, model, [workload])


@check
def port(facts: Facts) -> Iterator[Finding]:
    """The port that a model's label names is one that its pod has."""
    for model in served(facts):
        for pod in newest_model_pods(facts, model):
            port_label = (pod["metadata"].get("labels") or {}).get(PORT, _DEFAULT_PORT)
            ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
            open_ports = {str(p.get("containerPort")) for p in ports}
            if open_ports and port_label not in open_ports:
                text = f"{PORT}={port_label}; its containers have {', '.join(sorted(open_ports))}"
                message = (
                    f"The label {PORT} of the model {model} says {port_label}, "
                    f"and its pods listen on {', '.join(sorted(open_ports))}."
                )
                evidence = [Evidence(f"pod {label(pod)}", text)]
                fix = _own_fix(facts, model, *_relabel(facts, pod, _likely(ports)))
                yield _finding(
                    facts,
                    "DE506",
                    model,
                    message,
                    evidence,
                    fix,
                    affects={f"route/extension/{model}"},
                )
                break


def _likely(ports: list[dict[str, Any]]) -> str:
    """Return the port on which a model's server listens: one that is named http, else the first."""
    http_ports = [p for p in ports if str(p.get("name", "")).startswith("http")]
    return str((http_ports or ports)[0].get("containerPort"))


def _relabel(facts: Facts, pod: Manifest, port: str) -> list[str]:
    """Return a command by which the pods of a Deployment name this port."""
    owner = next((w for w in facts.of("Deployment") if owns(w, pod)), None)
    if owner is None:
        return []
    patch = f'{{"spec":{{"template":{{"metadata":{{"labels":{{"{PORT}":"{port}"}}}}}}}}}}'
    meta = owner["metadata"]
    return [
        kubectl(
            facts, "-n", meta["namespace"], "patch", "deployment", meta["name"], "-p", f"'{patch}'"
        )
    ]


@check
def service(facts: Facts) -> Iterator[Finding]:
    """The model's Service has the name that the route looks for, and selects the model's pods."""
    if not (facts.knows("Service") and facts.of("Service")):
        return
    for model in routed(facts):
        labelled_pods = model_pods(facts, model)
        for namespace in sorted(
            {p["metadata"]["namespace"] for p in labelled_pods} or _namespaces(facts, model)
        ):
            model_service = facts.one("Service", namespace, _service_name(facts, model))
            if model_service is None:
                yield _misnamed(facts, model, namespace, labelled_pods)
            elif labelled_pods and not any(
                selects(model_service["spec"].get("selector"), p["metadata"].get("labels"))
                for p in labelled_pods
            ):
                text = f"selector {model_service['spec'].get('selector')}"
                message = f"The Service {label(model_service)} selects none of the model's pods."
                yield _finding(
                    facts,
                    "DE508",
                    model,
                    message,
                    [Evidence(f"Service {label(model_service)}", text)],
                    affects=_by_route(model),
                )


def _service_name(facts: Facts, model: str) -> str:
    """Return the Service that the model's route leads to; where there is no route, the one that it would lead to."""
    route = model_route(facts, model)
    names = [
        b["name"]
        for rule in (route["spec"].get("rules") or () if route else ())
        for b in rule.get("backendRefs") or ()
    ]
    return str(names[0]) if names else _named_service(facts, model) or model


def _named_service(facts: Facts, model: str) -> str:
    """Return the Service that an annotation of the model's Deployment names; "" for none."""
    if not facts.profile.model_annotations:
        return ""
    deployments = [w for w in facts.of("Deployment") if named_model(facts, w) == model]
    return next(filter(None, map(service_name, deployments)), "")


def _misnamed(facts: Facts, model: str, namespace: str, labelled_pods: list[Manifest]) -> Finding:
    sets = [{MODEL: model}, *(p["metadata"].get("labels") or {} for p in labelled_pods)]
    likely = [
        s for s in facts.of("Service")
        if s["metadata"]["namespace"] == namespace and any(selects(s["spec"].get("selector"), labels) for labels in sets)
    ]  # fmt: skip
    target = _service_name(facts, model)
    evidence = [Evidence("API server", f"no Service {namespace}/{target}")]
    evidence += [
        Evidence(f"Service {label(s)}", "selects the model's pods under another name")
        for s in likely
    ]
    goal = "one named like the model" if target == model else "one of that name"
    message = f"There is no Service {namespace}/{target}: AIBrix's route leads to {goal}."
    if likely:
        name = likely[0]["metadata"]["name"]
        goal = "one named like the model" if target == model else f"one named {target}"
        message = (
            f"The Service of the model {model} is named {name}: AIBrix's route leads to {goal}."
        )
    return _finding(
        facts,
        "DE502",
        model,
        message,
        evidence,
        _own_fix(facts, model, *_expose(facts, target, labelled_pods)),
        _by_route(model),
    )


def _expose(facts: Facts, name: str, pods: list[Manifest]) -> list[str]:
    """Return a command that makes the Service."""
    owners = [w for w in facts.of("Deployment") for p in pods if owns(w, p)]
    if not owners:
        return []
    meta, labels = owners[0]["metadata"], pods[0]["metadata"].get("labels") or {}
    port = labels.get(PORT, _DEFAULT_PORT)
    return [
        kubectl(
            facts,
            "-n",
            meta["namespace"],
            "expose",
            "deployment",
            meta["name"],
            "--name",
            name,
            "--port",
            port,
        )
    ]


def _own_fix(facts: Facts, model: str, *commands: str) -> tuple[str, ...]:
    """Return how to mend it: the profile's own models are put back, others by their owner."""
    return (devenv(facts, "recover"), *commands) if model in models(facts) else tuple(commands)


def _namespaces(facts: Facts, model: str) -> set[str]:
    """Return where a model's Service is to be, where no pod tells: as its route says, else the profile's manifests."""
    return _route_namespaces(facts, model) or {
        d.namespace for d in facts.declares("Service") if d.name == model
    }


def _route_namespaces(facts: Facts, model: str) -> set[str]:
    route = model_route(facts, model)
    rules = route["spec"].get("rules") or () if route else ()
    return {
        b.get("namespace") or facts.profile.gateway.namespace
        for rule in rules
        for b in rule.get("backendRefs") or ()
    }


@check
def route(facts: Facts) -> Iterator[Finding]:
    """The model's HTTPRoute exists, and its conditions are good."""
    if not facts.knows("HTTPRoute") or "HTTPRoute" not in facts.objects:
        return
    for model in routed(facts):
        http_route = model_route(facts, model)
        if http_route is None:
            name = f"{facts.profile.gateway.namespace}/{model}-router"
            message = f"The model {model} has no HTTPRoute: there is no {name}."
            evidence = [Evidence("API server", f"no HTTPRoute {name}")]
            if facts.profile.model_annotations and not ROUTE_NAME.fullmatch(model):
                message = f"The model {model} has no HTTPRoute."
                evidence = [Evidence("API server", f"no HTTPRoute matches on model: {model}")]
            yield _routeless(facts, model, message, evidence)
            continue
        for condition in (
            c
            for c in conditions(http_route)
            if c["type"] in {"Accepted", "ResolvedRefs"} and c["status"] != "True"
        ):
            yield _unresolved(facts, model, http_route, condition)


def _routeless(facts: Facts, model: str, message: str, evidence: list[Evidence]) -> Finding:
    """Say why nobody has made the route, where the controller is there that should have.

    It reads the Deployment's own label, when the Deployment is added: not the pods', and none that comes later.
    """
    controllers = [c.name for c in facts.profile.components if c.lease]
    deployments = [
        w for w in facts.of("Deployment") if model in {named_model(facts, w), pods_model(facts, w)}
    ]
    commands: list[str] = []
    if unlabelled := [w for w in deployments if named_model(facts, w) != model]:
        meta = unlabelled[0]["metadata"]
        verb = "label" if LABEL_VALUE.fullmatch(model) else "annotate"
        evidence.append(
            Evidence(
                f"Deployment {label(unlabelled[0])}",
                f"only its pods carry {MODEL}={model}, it itself does not",
            )
        )
        message = f"The model {model} has no HTTPRoute: its Deployment {label(unlabelled[0])} itself lacks the label {MODEL}."
        commands.append(
            kubectl(
                facts, "-n", meta["namespace"], verb, "deployment", meta["name"], f"{MODEL}={model}"
            )
        )
    elif deployments and controllers:
        evidence.append(
            Evidence(
                f"Deployment {label(deployments[0])}",
                "has the label: it came later, or the route was deleted",
            )
        )
    commands += [devenv(facts, "restart", name) for name in controllers]
    finding = _finding(facts, "DE503", model, message, evidence, affects=_by_route(model))
    fix = tuple(commands) if controllers else _own_fix(facts, model, *commands)
    return Finding(
        **{
            **vars(finding),
            "fix": fix or finding.fix,
            "about": frozenset({*finding.about, f"http route/{model}"}),
        }
    )


def _unresolved(facts: Facts, model: str, route: Manifest, condition: dict[str, Any]) -> Finding:
    text = f"{condition['type']}={condition['status']} {condition.get('reason', '')}: {condition.get('message', '').strip()}"
    evidence = [
        Evidence(f"HTTPRoute {label(route)}", text, seconds(condition.get("lastTransitionTime")))
    ]
    message = f"The route of the model {model} leads nowhere: {condition.get('reason', '')}."
    fix: tuple[str, ...] = ()
    if ports := _other_port(facts, route):
        requested_port, open_ports = ports
        message = f"The route of the model {model} asks for port {requested_port}, and its Service has {', '.join(open_ports)}."
        fix = _own_fix(facts, model, *_port_labels(facts, model, route, open_ports[0]))
    finding = _finding(facts, "DE507", model, message, evidence, fix, affects=_by_route(model))
    return Finding(**{**vars(finding), "about": frozenset({*finding.about, f"http route/{model}"})})


def _other_port(facts: Facts, route: Manifest) -> tuple[str, list[str]] | None:
    """Return the port that a route asks its Service for, and those that the Service has, where it is none of them."""
    for backend in (
        b for rule in route["spec"].get("rules") or () for b in rule.get("backendRefs") or ()
    ):
        model_service = facts.one(
            "Service", backend.get("namespace") or route["metadata"]["namespace"], backend["name"]
        )
        ports = [
            str(p.get("port")) for p in ((model_service or {}).get("spec") or {}).get("ports") or ()
        ]
        if ports and str(backend.get("port")) not in ports:
            return str(backend.get("port")), ports
    return None


def _port_labels(facts: Facts, model: str, route: Manifest, port: str) -> list[str]:
    """Return commands by which the route is made anew, for this port: the controller never changes one that it has made."""
    deployments = [w["metadata"] for w in facts.of("Deployment") if named_model(facts, w) == model]
    meta = route["metadata"]
    return [
        *(
            kubectl(
                facts,
                "-n",
                m["namespace"],
                "label",
                "--overwrite",
                "deployment",
                m["name"],
                f"{PORT}={port}",
            )
            for m in deployments[:1]
        ),
        kubectl(facts, "-n", meta["namespace"], "delete", "httproute", meta["name"]),
        *(devenv(facts, "restart", c.name) for c in facts.profile.components if c.lease),
    ]


@check
def grant(facts: Facts) -> Iterator[Finding]:
    """A route may lead to a Service of another namespace only by that namespace's ReferenceGrant."""
    gateway_namespace = facts.profile.gateway.namespace
    if not facts.knows("ReferenceGrant") or "ReferenceGrant" not in facts.objects:
        return
    for model in routed(facts):
        for namespace in sorted(_route_namespaces(facts, model) - {gateway_namespace}):
            if not any(
                _allows(g, gateway_namespace)
                for g in facts.of("ReferenceGrant")
                if g["metadata"]["namespace"] == namespace
            ):
                message = f"No ReferenceGrant in {namespace} lets HTTPRoutes of {gateway_namespace} lead to its Services."
                evidence = [Evidence("API server", f"no such ReferenceGrant in {namespace}")]
                yield _finding(facts, "DE504", model, message, evidence, affects=_by_route(model))


def _allows(grant: Manifest, namespace: str) -> bool:
    sources = grant["spec"].get("from") or ()
    targets = grant["spec"].get("to") or ()
    return any(
        f.get("kind") == "HTTPRoute" and f.get("namespace") == namespace for f in sources
    ) and any(t.get("kind") == "Service" for t in targets)
