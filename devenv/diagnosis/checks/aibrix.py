"""AIBrix's control plane: which pod leads, and whether its webhooks answer."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import devenv_command, recover
from devenv.diagnosis.manifests import (
    NamespacedName,
    created_at,
    hook_service,
    hooks_of,
    lease_holder,
)
from devenv.diagnosis.model import Command, Evidence, Finding, Subject, Verdict
from devenv.diagnosis.read import (
    SERVICE_LABEL,
    WEBHOOK_KINDS,
    components_with,
    has_any,
    was_listed,
)
from devenv.diagnosis.roles import workloads_of_components
from devenv.diagnosis.served_models import served_models
from devenv.diagnosis.workloads import deployments
from devenv.facts.labels import is_ready
from devenv.facts.model import Facts, selects
from devenv.facts.objects import full_name, labels_of, name_of, namespace_of
from devenv.gates import ready
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component

# Seconds for a new controller to take the lease: 15 until it expires, and the pod's own start.
_LEADING = 60.0


# The leader


@check
def find_leaderless_components(facts: Facts) -> Iterator[Finding]:
    """DE702: no pod of a controller holds its lease, so all of its pods wait."""
    if not (facts.knows("Lease") and has_any(facts, "Pod")):
        return
    for component in facts.profile.components:
        if not component.lease:
            continue
        pods = _pods_of_component(facts, component)
        ready_pods = list(filter(is_ready, pods))
        leases = _leases_of(facts, component)
        holders = set(map(lease_holder, leases))
        if ready_pods and holders.isdisjoint(map(name_of, pods)):
            yield _leaderless(facts, component, ready_pods, leases)


def _pods_of_component(facts: Facts, component: Component) -> list[Manifest]:
    pods: list[Manifest] = []
    for workload in workloads_of_components(facts, {component.name}):
        pods += workload.pods
    return pods


def _leases_of(facts: Facts, component: Component) -> list[Manifest]:
    """Return a component's leases. A name may have a prefix."""
    leases = []
    for lease in facts.of("Lease"):
        in_namespace = namespace_of(lease) == component.resource.namespace
        if in_namespace and name_of(lease).endswith(component.lease):
            leases.append(lease)
    return leases


def _leaderless(
    facts: Facts, component: Component, ready_pods: list[Manifest], leases: list[Manifest]
) -> Finding:
    started = max(map(created_at, ready_pods))
    is_starting = facts.now - started < _LEADING
    yet = " yet" if is_starting else ""
    about = {keys.component(component.name), keys.lease(component.lease)}
    later = keys.components(facts.profile.after(component.name))
    routes = keys.http_routes(served_models(facts))
    return Finding(
        code="DE702",
        subject=Subject.component(component.name),
        says=f"No pod of {component.name} leads, so no new model gets a route{yet}.",
        evidence=(Evidence(f"Lease {component.lease}", _describe_holders(leases), started),),
        fix=(devenv_command(facts, "restart", component.name),),
        verdict=Verdict.PROGRESS if is_starting else Verdict.FAILED,
        about=frozenset(about),
        affects=frozenset(about | later | routes),
    )


def _describe_holders(leases: list[Manifest]) -> str:
    if not leases:
        return "no such Lease"
    holders = ", ".join(filter(None, map(lease_holder, leases)))
    if not holders:
        return "no pod holds it"
    return f"held by {holders}, not by a pod of the component"


# Webhooks


@dataclass(frozen=True)
class _SilentWebhooks:
    """A configuration whose webhooks do not answer, and why."""

    kind: str
    configuration: Manifest
    problem: str


@check
def find_silent_webhooks(facts: Facts) -> Iterator[Finding]:
    """DE701: nothing answers a webhook, or not with a certificate that the API server knows."""
    if not was_listed(facts, "EndpointSlice"):
        return
    by_service: dict[str, list[_SilentWebhooks]] = {}
    for kind in WEBHOOK_KINDS:
        for configuration in facts.of(kind):
            if problem := _webhook_problem(facts, configuration):
                silent = _SilentWebhooks(kind, configuration, problem)
                by_service.setdefault(_first_service(configuration), []).append(silent)
    for service, silent_webhooks in by_service.items():
        yield _silent_service(facts, service, silent_webhooks)


def _services_called_by(configuration: Manifest) -> list[NamespacedName]:
    return list(filter(None, map(hook_service, hooks_of(configuration))))


def _first_service(configuration: Manifest) -> str:
    """Return the Service that a configuration calls, or its own name if it calls none."""
    for service in _services_called_by(configuration):
        return str(service)
    return full_name(configuration)


def _webhook_problem(facts: Facts, configuration: Manifest) -> str:
    """Return why a configuration's webhooks do not answer, "" if they do."""
    has_services = bool(facts.of("Service"))
    for service in _services_called_by(configuration):
        exists = facts.one("Service", service.namespace, service.name) is not None
        if has_services and not exists:
            return f"the Service {service} does not exist"
        if not _has_ready_endpoint(facts, service):
            return f"no pod is ready behind the Service {service}"
    return ready.webhook(configuration)


def _has_ready_endpoint(facts: Facts, service: NamespacedName) -> bool:
    """Whether a pod behind a Service is ready, by any of its EndpointSlices."""
    for endpoint_slice in facts.of("EndpointSlice"):
        service_name = str(labels_of(endpoint_slice).get(SERVICE_LABEL))
        slice_service = NamespacedName(namespace_of(endpoint_slice), service_name)
        if slice_service == service and not ready.endpoints(endpoint_slice):
            return True
    return False


def _silent_service(facts: Facts, service: str, silent_webhooks: list[_SilentWebhooks]) -> Finding:
    about = {keys.service(service)}
    evidence: list[Evidence] = []
    restarts: dict[Command, None] = {}
    for silent in silent_webhooks:
        configuration = silent.configuration
        source = f"{silent.kind} {full_name(configuration)}"
        evidence.append(Evidence(source, silent.problem))
        about.add(keys.object_of(silent.kind, full_name(configuration)))
        about |= keys.components(components_with(facts, configuration))
        if ready.webhook(configuration):
            # The controller writes the certificate, not the profile.
            about.add(keys.certificate(service))
        for name in _components_behind(facts, configuration):
            restarts[devenv_command(facts, "restart", name)] = None
    return Finding(
        code="DE701",
        subject=Subject("webhooks of", service),
        says=_describe_silence(service, silent_webhooks),
        evidence=tuple(evidence),
        fix=(*recover(facts), *restarts),
        about=frozenset(about),
    )


def _describe_silence(service: str, silent_webhooks: list[_SilentWebhooks]) -> str:
    """Return what does not answer, and what that means for the objects that it watches."""
    resources: set[str] = set()
    is_strict = False
    for silent in silent_webhooks:
        for hook in hooks_of(silent.configuration):
            is_strict = is_strict or hook.get("failurePolicy") != "Ignore"
            for rule in hook.get("rules") or ():
                resources.update(rule.get("resources") or ())
    watched = ", ".join(sorted(resources)) or "the objects that they watch"
    effect = f"creates and changes {watched} without them"
    if is_strict:
        effect = f"refuses to create or change {watched}"
    return f"The webhooks of {service} do not answer, so the API server {effect}."


def _components_behind(facts: Facts, configuration: Manifest) -> list[str]:
    """Return the names of the components whose pods the configuration's Services select."""
    names: dict[str, None] = {}
    for service in _services_called_by(configuration):
        obj = facts.one("Service", service.namespace, service.name)
        if obj is None:
            continue
        for deployment in deployments(facts):
            is_behind = selects(obj["spec"].get("selector"), deployment.pod_labels)
            if is_behind and (component := deployment.component):
                names[component.name] = None
    return list(names)
