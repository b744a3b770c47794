"""Models: the labels by which AIBrix finds them, their Services, routes and grants."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from devenv.base.counting import counted
from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, kubectl_command, recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import (
    Backend,
    Condition,
    backends_of,
    changed_at,
    conditions_of_type,
    spell_condition,
)
from devenv.diagnosis.model import Command, Evidence, Finding, Fix, Subject
from devenv.diagnosis.read import has_any, leading_components, was_listed
from devenv.diagnosis.served_models import (
    ServedModel,
    requested_models,
    routed_models,
    served_models,
)
from devenv.diagnosis.workloads import Workload, deployments
from devenv.facts.labels import LABEL_VALUE, MODEL, PORT, ROUTE_NAME, service_name
from devenv.facts.model import Facts, selects
from devenv.facts.objects import full_name, labels_of, name_of, namespace_of
from devenv.ports.kube import Manifest
from devenv.profiles.model import Route

# Where AIBrix takes a model to listen if no label tells (docs/facts/gateway.md).
_DEFAULT_PORT = "8000"


def _finding(
    model: ServedModel,
    code: str,
    message: str,
    evidence: list[Evidence],
    fix: tuple[Fix, ...] = (),
    affects: set[Key] | None = None,
) -> Finding:
    """Return a finding about a model. Unless told otherwise, it affects what it is about."""
    about = {keys.model(model.name), *keys.components(_route_components(model))}
    return Finding(
        code=code,
        subject=Subject("model", str(model)),
        says=message,
        evidence=tuple(evidence),
        fix=fix or recover(model.facts),
        about=frozenset(about),
        affects=frozenset(about if affects is None else affects),
    )


def _route_components(model: ServedModel) -> Iterator[str]:
    """Yield the names of the components that are the model's HTTPRoute."""
    route_names = {f"{model}-router"}
    if model.route:
        route_names.add(name_of(model.route))
    for component in model.facts.profile.components:
        if component.resource.name in route_names:
            yield component.name


def _fix_for_owner(model: ServedModel, *commands: Command) -> tuple[Command, ...]:
    """Return the commands, for the profile's own models with `recover` before them."""
    if model.is_requested:
        return (*recover(model.facts), *commands)
    return commands


# Pods and their labels


@check
def find_models_without_pods(facts: Facts) -> Iterator[Finding]:
    """DE501, DE505: a model that requests ask for has no ready pod, or no pod with its label."""
    if not has_any(facts, "Pod"):
        return
    for name in requested_models(facts):
        model = ServedModel(facts, name)
        if not model.has_ready_pod:
            yield _missing_pods(model)


def _missing_pods(model: ServedModel) -> Finding:
    pods = model.pods
    mislabelled = list(_mislabelled_deployments(model))
    if mislabelled and not pods:
        return _wrong_label(model, mislabelled)
    text = f"{counted(len(pods), 'pod')} with {MODEL}={model}, none is ready"
    message = f"The model {model} has no ready pod."
    return _finding(model, "DE501", message, [Evidence("pods", text)])


def _mislabelled_deployments(model: ServedModel) -> Iterator[Workload]:
    """Yield the Deployments that are surely meant for a model, though their pods don't name it.

    Either the Deployment itself names the model, or no request asks for what its pods name.
    """
    for deployment in deployments(model.facts):
        if deployment.is_scaled_to_zero:
            continue
        own_model, pod_model = deployment.own_model, deployment.pod_model
        says_so = own_model == model.name and pod_model != model.name
        is_unrequested = bool(pod_model) and not ServedModel(model.facts, pod_model).is_requested
        if says_so or (is_unrequested and own_model in {"", pod_model}):
            yield deployment


@check
def find_deployments_with_other_label(facts: Facts) -> Iterator[Finding]:
    """DE505: a Deployment names a model, and its pods name another or none.

    gateway-plugins reads only the pods' label.
    """
    for deployment in deployments(facts):
        model = ServedModel(facts, deployment.own_model)
        is_named = bool(model.name) and not deployment.is_scaled_to_zero
        if not is_named or model.is_requested or deployment.pod_model == model.name:
            continue
        if not model.pods:
            yield _wrong_label(model, [deployment])


def _wrong_label(model: ServedModel, mislabelled: list[Workload]) -> Finding:
    """DE505: no pod carries the model's label, but the pods of these Deployments should."""
    deployment = mislabelled[0]
    label = "another" if deployment.pod_model else "none"
    message = (
        f"No pod carries the label {MODEL}={model}, by which AIBrix finds the model; "
        f"the pods of {deployment.full_name} carry {label}."
    )
    evidence = list(map(_label_evidence, mislabelled))
    fix = _fix_for_owner(model, _relabel_pods(deployment, model))
    finding = _finding(model, "DE505", message, evidence, fix)
    pod_models = {d.pod_model for d in mislabelled}
    return replace(finding, affects=finding.affects | keys.models(pod_models - {""}))


def _label_evidence(deployment: Workload) -> Evidence:
    """Return which model the pods of a Deployment name."""
    label = deployment.pod_labels.get(MODEL, "(no label)")
    return Evidence(deployment.source, f"its pods carry {MODEL}={label}")


def _relabel_pods(deployment: Workload, model: ServedModel) -> Command:
    """Return the command by which a Deployment's pods name a model."""
    # A name that is no valid label goes into an annotation, which AIBrix's main reads.
    field = "labels" if LABEL_VALUE.fullmatch(model.name) else "annotations"
    return _patch_pods(deployment, {field: {MODEL: model.name}})


def _patch_pods(deployment: Workload, metadata: dict[str, Any]) -> Command:
    """Return the command that changes the metadata of a Deployment's pod template."""
    content = {"spec": {"template": {"metadata": metadata}}}
    patch = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return deployment.kubectl("patch", "deployment", deployment.name, "-p", f"'{patch}'")


@check
def find_wrong_port_labels(facts: Facts) -> Iterator[Finding]:
    """DE506: a model's port label names a port that its pod does not have."""
    for name in served_models(facts):
        model = ServedModel(facts, name)
        for pod in model.newest_pods:
            if _lacks_labelled_port(pod):
                yield _wrong_port_label(model, pod)
                break


def _lacks_labelled_port(pod: Manifest) -> bool:
    """Whether a pod has ports, but not the one that its label names."""
    open_ports = _open_ports(pod)
    return bool(open_ports) and _labelled_port(pod) not in open_ports


def _labelled_port(pod: Manifest) -> str:
    """Return the port on which AIBrix sends requests to a pod."""
    return labels_of(pod).get(PORT, _DEFAULT_PORT)


def _container_ports(pod: Manifest) -> Iterator[dict[str, Any]]:
    for container in pod["spec"].get("containers") or ():
        yield from container.get("ports") or ()


def _open_ports(pod: Manifest) -> set[str]:
    return {str(port.get("containerPort")) for port in _container_ports(pod)}


def _wrong_port_label(model: ServedModel, pod: Manifest) -> Finding:
    labelled_port, open_ports = _labelled_port(pod), ", ".join(sorted(_open_ports(pod)))
    message = (
        f"The label {PORT} of the model {model} says {labelled_port}, "
        f"but its pods listen on {open_ports}."
    )
    text = f"{PORT}={labelled_port}; its containers have {open_ports}"
    return _finding(
        model,
        code="DE506",
        message=message,
        evidence=[Evidence(f"pod {full_name(pod)}", text)],
        fix=_fix_for_owner(model, *_correct_port_label(model.facts, pod)),
        affects={keys.route(Route.EXTENSION, model.name)},
    )


def _correct_port_label(facts: Facts, pod: Manifest) -> Iterator[Command]:
    """Yield the command by which the pods of a Deployment name the port that they have."""
    metadata = {"labels": {PORT: _server_port(pod)}}
    for deployment in deployments(facts):
        if deployment.owns(pod):
            yield _patch_pods(deployment, metadata)
            return


def _server_port(pod: Manifest) -> str:
    """Return the port on which a model server probably listens: one named http, or the first."""
    ports = list(_container_ports(pod))
    for port in ports:
        if str(port.get("name", "")).startswith("http"):
            return str(port.get("containerPort"))
    return str(ports[0].get("containerPort"))


# The Service


@check
def find_wrong_services(facts: Facts) -> Iterator[Finding]:
    """DE502, DE508: a model's Service has another name than its route needs, or selects no pod."""
    if not has_any(facts, "Service"):
        return
    for model in routed_models(facts):
        name = _service_name_for(model)
        for namespace in sorted(_service_namespaces(model)):
            service = facts.one("Service", namespace, name)
            if service is None:
                yield _missing_service(model, namespace, name)
            elif _selects_none(service, model.pods):
                yield _service_without_pods(model, service)


def _service_name_for(model: ServedModel) -> str:
    """Return the name of the Service to which a model's route leads, or would lead."""
    for backend in model.backends:
        return backend.service.name
    return _annotated_service_name(model) or model.name


def _annotated_service_name(model: ServedModel) -> str:
    """Return the Service that an annotation of the model's Deployment names, "" for none."""
    if not model.facts.profile.model_annotations:
        return ""
    for deployment in model.deployments:
        name = service_name(deployment.manifest)
        if name and deployment.own_model == model.name:
            return name
    return ""


def _service_namespaces(model: ServedModel) -> set[str]:
    """Return where a model's Service belongs: beside its pods.

    Without pods, its route tells, and without a route the profile's manifests.
    """
    if pods := model.pods:
        return set(map(namespace_of, pods))
    if namespaces := model.backend_namespaces:
        return namespaces
    declared_services = model.facts.declares("Service")
    return {service.namespace for service in declared_services if service.name == model.name}


def _selects_none(service: Manifest, pods: list[Manifest]) -> bool:
    """Whether a Service selects none of a model's pods, although there are some."""
    selector = service["spec"].get("selector")
    return bool(pods) and not any(selects(selector, labels_of(pod)) for pod in pods)


def _service_without_pods(model: ServedModel, service: Manifest) -> Finding:
    text = f"selector {service['spec'].get('selector')}"
    return _finding(
        model,
        code="DE508",
        message=f"The Service {full_name(service)} selects none of the model's pods.",
        evidence=[Evidence(f"Service {full_name(service)}", text)],
        affects=keys.through_http_route(model.name),
    )


def _missing_service(model: ServedModel, namespace: str, name: str) -> Finding:
    """DE502. A Service of another name that selects the model's pods is probably the one."""
    message = f"The Service {namespace}/{name} does not exist, but AIBrix's route leads to it."
    evidence = [Evidence("API server", f"no Service {namespace}/{name}")]
    misnamed_services = list(_services_for_model(model, namespace))
    if misnamed_services:
        message = (
            f"The Service of the model {model} is named {name_of(misnamed_services[0])}, "
            f"but AIBrix's route leads to a Service named {name}."
        )
    for service in misnamed_services:
        text = "selects the model's pods under another name"
        evidence.append(Evidence(f"Service {full_name(service)}", text))
    return _finding(
        model,
        code="DE502",
        message=message,
        evidence=evidence,
        fix=_fix_for_owner(model, *_create_service(model, name)),
        affects=keys.through_http_route(model.name),
    )


def _services_for_model(model: ServedModel, namespace: str) -> Iterator[Manifest]:
    """Yield the Services of a namespace that select a model's pods, or would select some."""
    label_sets = [{MODEL: model.name}, *map(labels_of, model.pods)]
    for service in model.facts.of("Service"):
        selector = service["spec"].get("selector")
        selects_model = any(selects(selector, labels) for labels in label_sets)
        if selects_model and namespace_of(service) == namespace:
            yield service


def _create_service(model: ServedModel, name: str) -> Iterator[Command]:
    """Yield the command that creates a Service for the Deployment of a model's pods."""
    pods = model.pods
    for deployment in deployments(model.facts):
        if any(map(deployment.owns, pods)):
            options = ("--name", name, "--port", _labelled_port(pods[0]))
            yield deployment.kubectl("expose", "deployment", deployment.name, *options)
            return


# The route


@check
def find_wrong_routes(facts: Facts) -> Iterator[Finding]:
    """DE503, DE507: a model has no HTTPRoute, or one that is not accepted or leads nowhere."""
    if not was_listed(facts, "HTTPRoute"):
        return
    for model in routed_models(facts):
        route = model.route
        if route is None:
            yield _missing_route(model)
            continue
        for condition in conditions_of_type(route, "Accepted", "ResolvedRefs"):
            if condition["status"] != "True":
                yield _unaccepted_route(model, route, condition)


def _missing_route(model: ServedModel) -> Finding:
    """DE503. AIBrix's controller makes the route when a Deployment with the model's name is added.

    It reads the Deployment's own label then, not the pods', and none that is added later.
    """
    controllers = leading_components(model.facts)
    restarts = [devenv_command(model.facts, "restart", name) for name in controllers]
    for deployment in model.deployments:
        if deployment.own_model != model.name:
            return _unlabelled_deployment(model, deployment, restarts)
    message, evidence = _describe_missing_route(model)
    if model.deployments and controllers:
        text = "has the label: it was added later, or the route was deleted"
        evidence.append(Evidence(model.deployments[0].source, text))
    fix = tuple(restarts) or _fix_for_owner(model)
    return _route_finding(model, "DE503", message, evidence, fix)


def _unlabelled_deployment(
    model: ServedModel, deployment: Workload, restarts: list[Command]
) -> Finding:
    """DE503 for a model that only the pods of its Deployment name. `restarts`: the controllers'."""
    _, evidence = _describe_missing_route(model)
    text = f"only its pods carry {MODEL}={model}, it itself does not"
    evidence.append(Evidence(deployment.source, text))
    message = (
        f"The model {model} has no HTTPRoute: its Deployment {deployment.full_name} itself lacks "
        f"the label {MODEL}."
    )
    verb = "label" if LABEL_VALUE.fullmatch(model.name) else "annotate"
    label = deployment.kubectl(verb, "deployment", deployment.name, f"{MODEL}={model}")
    fix = (label, *restarts) if restarts else _fix_for_owner(model, label)
    return _route_finding(model, "DE503", message, evidence, fix)


def _describe_missing_route(model: ServedModel) -> tuple[str, list[Evidence]]:
    """Return the sentence that a model has no HTTPRoute, and the evidence."""
    profile = model.facts.profile
    if profile.model_annotations and not ROUTE_NAME.fullmatch(model.name):
        # AIBrix's main hashes the name of such a route, so it can't be told.
        text = f"no HTTPRoute matches on model: {model}"
        return f"The model {model} has no HTTPRoute.", [Evidence("API server", text)]
    name = f"{profile.gateway.namespace}/{model}-router"
    message = f"The model {model} has no HTTPRoute: {name} does not exist."
    return message, [Evidence("API server", f"no HTTPRoute {name}")]


def _route_finding(
    model: ServedModel, code: str, message: str, evidence: list[Evidence], fix: tuple[Fix, ...]
) -> Finding:
    """Return a finding about a model's route, and thereby about the model."""
    effects = keys.through_http_route(model.name)
    finding = _finding(model, code, message, evidence, fix, effects)
    return replace(finding, about=finding.about | {keys.http_route(model.name)})


def _unaccepted_route(model: ServedModel, route: Manifest, condition: Condition) -> Finding:
    """DE507. If the route asks for a port that its Service lacks, the fix is to make it again."""
    source, text = f"HTTPRoute {full_name(route)}", spell_condition(condition).rstrip()
    evidence = [Evidence(source, text, changed_at(condition))]
    message = f"The route of the model {model} leads nowhere: {condition.get('reason', '')}."
    fix: tuple[Fix, ...] = ()
    if backend := _find_wrong_port(model.facts, route):
        open_ports = _service_ports(model.facts, backend)
        message = (
            f"The route of the model {model} asks for port {backend.port}, "
            f"but its Service has {', '.join(open_ports)}."
        )
        fix = _fix_for_owner(model, *_remake_route(model, route, port=open_ports[0]))
    return _route_finding(model, "DE507", message, evidence, fix)


def _find_wrong_port(facts: Facts, route: Manifest) -> Backend | None:
    """Return the backend of a route that asks for a port which its Service lacks."""
    for backend in backends_of(route):
        ports = _service_ports(facts, backend)
        if ports and backend.port not in ports:
            return backend
    return None


def _service_ports(facts: Facts, backend: Backend) -> list[str]:
    """Return the ports of a backend's Service, none if the Service does not exist."""
    service = facts.one("Service", backend.service.namespace, backend.service.name)
    if service is None:
        return []
    return [str(port.get("port")) for port in service["spec"].get("ports") or ()]


def _remake_route(model: ServedModel, route: Manifest, port: str) -> Iterator[Command]:
    """Yield commands by which AIBrix's controller makes a route again, for another port.

    It never changes a route that it has made, so the route must be deleted.
    """
    facts = model.facts
    for deployment in model.deployments:
        if deployment.own_model == model.name:
            name, label = deployment.name, f"{PORT}={port}"
            yield deployment.kubectl("label", "--overwrite", "deployment", name, label)
            break
    yield kubectl_command(facts, namespace_of(route), "delete", "httproute", name_of(route))
    for controller in leading_components(facts):
        yield devenv_command(facts, "restart", controller)


# Grants


@check
def find_missing_grants(facts: Facts) -> Iterator[Finding]:
    """DE504: no ReferenceGrant lets a model's route lead to a Service of another namespace."""
    if not was_listed(facts, "ReferenceGrant"):
        return
    gateway_namespace = facts.profile.gateway.namespace
    for model in routed_models(facts):
        for namespace in sorted(model.backend_namespaces - {gateway_namespace}):
            if not _is_granted(facts, gateway_namespace, namespace):
                yield _missing_grant(model, namespace)


def _is_granted(facts: Facts, source: str, target: str) -> bool:
    """Whether HTTPRoutes of one namespace may lead to Services of another."""
    return any(_grants(grant, source, target) for grant in facts.of("ReferenceGrant"))


def _grants(grant: Manifest, source: str, target: str) -> bool:
    sources = grant["spec"].get("from") or ()
    targets = grant["spec"].get("to") or ()
    to_services = any(t.get("kind") == "Service" for t in targets)
    if namespace_of(grant) != target or not to_services:
        return False
    return any((s.get("kind"), s.get("namespace")) == ("HTTPRoute", source) for s in sources)


def _missing_grant(model: ServedModel, namespace: str) -> Finding:
    source = model.facts.profile.gateway.namespace
    return _finding(
        model,
        code="DE504",
        message=(
            f"No ReferenceGrant in {namespace} lets HTTPRoutes of {source} lead to its Services."
        ),
        evidence=[Evidence("API server", f"no such ReferenceGrant in {namespace}")],
        affects=keys.through_http_route(model.name),
    )
