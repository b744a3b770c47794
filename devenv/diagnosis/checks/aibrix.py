"""AIBrix's own control plane: who leads, and whether its webhooks answer. Its pods are looked at with all others."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding, Verdict
from devenv.diagnosis.read import component_of, devenv, label, objects_of, pods_of, seconds, served
from devenv.facts.labels import is_ready
from devenv.facts.model import Facts
from devenv.gates import ready
from devenv.ports import Manifest
from devenv.profiles.model import Component

# Seconds for a new controller to take the lease: 15 until it expires, and the pod's own start.
_LEADING = 60.0
_KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_SLICE = "kubernetes.io/service-name"


@check
def leader(facts: Facts) -> Iterator[Finding]:
    """A pod of each workload that elects a leader holds the lease: the others do nothing."""
    if not (facts.knows("Lease") and facts.knows("Pod") and facts.of("Pod")):
        return
    for component in (c for c in facts.profile.components if c.lease):
        pods = [p for w in objects_of(facts, component) for p in pods_of(facts, w)]
        ready_pods = [p for p in pods if is_ready(p)]
        leases = [o for o in facts.of("Lease") if _is_of(component, o)]
        holders = [
            str((o.get("spec") or {}).get("holderIdentity") or "").rpartition("_")[0]
            for o in leases
        ]
        if ready_pods and not any(p["metadata"]["name"] in holders for p in pods):
            yield _leaderless(facts, component, ready_pods, leases, holders)


def _is_of(component: Component, lease: Manifest) -> bool:
    meta = lease["metadata"]
    return bool(
        meta["namespace"] == component.resource.namespace and meta["name"].endswith(component.lease)
    )


def _leaderless(
    facts: Facts,
    component: Component,
    pods: list[Manifest],
    leases: list[Manifest],
    holders: list[str],
) -> Finding:
    began = max(seconds(p["metadata"].get("creationTimestamp")) for p in pods)
    text = (
        f"held by {', '.join(filter(None, holders)) or 'nobody'}, no pod of it"
        if leases
        else "no such Lease"
    )
    under_way = facts.taken - began < _LEADING
    verdict = Verdict.PROGRESS if under_way else Verdict.FAILED
    message = f"No pod of {component.name} leads, so no route is made for a new model{' yet' if under_way else ''}."
    about = frozenset({f"component/{component.name}", f"lease/{component.lease}"})
    affects = (
        about
        | {f"component/{n}" for n in facts.profile.after(component.name)}
        | {f"http route/{m}" for m in served(facts)}
    )
    fix = (devenv(facts, "restart", component.name),)
    return Finding(
        "DE702", component.name, message, (Evidence(f"Lease {component.lease}", text, began),), fix, verdict, about=about,
        affects=frozenset(affects),
    )  # fmt: skip


@check
def webhooks(facts: Facts) -> Iterator[Finding]:
    """Whoever a webhook names answers, with a certificate that the API server knows."""
    if not (facts.knows("EndpointSlice") and "EndpointSlice" in facts.objects):
        return
    # By the Service that is to answer.
    silent: dict[str, list[tuple[str, Manifest, str]]] = {}
    for kind in _KINDS:
        for configuration in facts.of(kind):
            if problem := _lacks(facts, configuration):
                silent.setdefault(_asked(configuration), []).append((kind, configuration, problem))
    for service, entries in silent.items():
        yield _silent(facts, service, entries)


def _asked(configuration: Manifest) -> str:
    """Return whom the configuration's hooks ask."""
    services = [
        (h.get("clientConfig") or {}).get("service") or {}
        for h in configuration.get("webhooks") or ()
    ]
    return next((f"{s['namespace']}/{s['name']}" for s in services if s), label(configuration))


def _lacks(facts: Facts, configuration: Manifest) -> str:
    for hook in configuration.get("webhooks") or ():
        service = (hook.get("clientConfig") or {}).get("service")
        if not service:
            continue
        name = f"{service['namespace']}/{service['name']}"
        has_services = bool(facts.of("Service"))
        if has_services and facts.one("Service", service["namespace"], service["name"]) is None:
            return f"the Service {name} does not exist"
        slices = [
            s for s in facts.of("EndpointSlice")
            if s["metadata"]["namespace"] == service["namespace"]
            and (s["metadata"].get("labels") or {}).get(_SLICE) == service["name"]
        ]  # fmt: skip
        if all(ready.endpoints(s) for s in slices):
            return f"nobody is ready behind the Service {name}"
    return ready.webhook(configuration)


def _silent(facts: Facts, service: str, entries: list[tuple[str, Manifest, str]]) -> Finding:
    hooks = [h for _, configuration, _ in entries for h in configuration.get("webhooks") or ()]
    strict = any(h.get("failurePolicy") != "Ignore" for h in hooks)
    resources = sorted(
        {r for h in hooks for rule in h.get("rules") or () for r in rule.get("resources") or ()}
    )
    what = (
        "creating or changing them is refused"
        if strict
        else "what is created meanwhile is not seen by it"
    )
    message = f"The webhooks of {service} do not answer: of {', '.join(resources) or 'what they watch'}, {what}."
    about = {
        f"Service/{service}",
        *(f"{kind}/{label(configuration)}" for kind, configuration, _ in entries),
    }
    fix: list[str] = []
    for _, configuration, _ in entries:
        parts = [
            c.name
            for c in facts.profile.components
            if any(o is configuration for o in objects_of(facts, c))
        ]
        about |= {f"component/{name}" for name in parts}
        fix += [devenv(facts, "restart", c.name) for c in _behind(facts, configuration)]
    if any(ready.webhook(configuration) for _, configuration, _ in entries):
        about.add(f"certificate/{service}")
    evidence = tuple(
        Evidence(f"{kind} {label(configuration)}", problem)
        for kind, configuration, problem in entries
    )
    return Finding(
        "DE701",
        f"webhooks of {service}",
        message,
        evidence,
        (devenv(facts, "recover"), *dict.fromkeys(fix)),
        about=frozenset(about),
    )


def _behind(facts: Facts, configuration: Manifest) -> list[Component]:
    """Return the components whose pods the configuration's Services select."""
    components: dict[str, Component] = {}
    for hook in configuration.get("webhooks") or ():
        reference = (hook.get("clientConfig") or {}).get("service") or {}
        service = facts.one("Service", reference.get("namespace", ""), reference.get("name", ""))
        for workload in facts.of("Deployment"):
            labels = (workload["spec"]["template"]["metadata"].get("labels") or {}).items()
            selector = (service or {}).get("spec", {}).get("selector") or {}
            component = component_of(facts, workload)
            if component and selector and selector.items() <= labels:
                components[component.name] = component
    return list(components.values())
