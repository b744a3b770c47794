"""Objects that stay in deletion: a finalizer holds them, or what they contain does not go."""

import re
from collections.abc import Iterable, Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import json_word, kubectl_command, recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.manifests import Condition, changed_at, conditions_of_type, spell_condition
from devenv.diagnosis.model import Advice, Command, Evidence, Finding, Fix, Subject
from devenv.diagnosis.read import GATEWAY_GROUPS, components_with
from devenv.diagnosis.roles import (
    GATEWAY_KINDS,
    Role,
    components_of_gateway,
    effects_of_failure,
    workloads_of_components,
    workloads_of_role,
)
from devenv.diagnosis.times import parse_time, spell_span
from devenv.diagnosis.workloads import Workload
from devenv.facts.collect import CRD
from devenv.facts.model import WORKLOADS, Facts
from devenv.facts.objects import fields_of, full_name, items_of, name_of, namespace_of, status_of
from devenv.facts.references import CLAIM
from devenv.facts.revisions import is_ending
from devenv.ports.kube import Manifest

# Seconds that a deletion may take. A pod's deletionTimestamp is the end of its grace period.
_PATIENCE, _POD_PATIENCE = 30.0, 60.0
# What tells why a namespace stays, the most telling first.
_NAMESPACE_TROUBLES = (
    "NamespaceFinalizersRemaining",
    "NamespaceContentRemaining",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
)
_DISCOVERY = "NamespaceDeletionDiscoveryFailure"
_CONTENT = "NamespaceContentRemaining"
# In the message of NamespaceContentRemaining: a resource with its group.
_REMAINING = re.compile(r"(?P<resource>[a-z0-9][a-z0-9.-]*?)\.? has \d+ resource instances")
# In the message of a failed discovery: a group and a version that no server answers for.
_UNSERVED = re.compile(r"(?P<group>[a-z0-9-]+(?:\.[a-z0-9-]+)+)/(?P<version>v\d\w*)")
_WITHOUT_FINALIZERS = json_word({"metadata": {"finalizers": None}})
# The finalizer of every namespace, which goes once all in it is gone.
_OF_KUBERNETES = "kubernetes"
_IN_USE = "kubernetes.io/pvc-protection"
# Kinds from which Envoy Gateway makes the proxy.
# Facts hold no API version, which tells these two apart from others of the name.
_RESOURCES = {"Gateway": "gateways.gateway.networking.k8s.io"}


@check
def find_held_objects(facts: Facts) -> Iterator[Finding]:
    """DE314: an object was deleted, and is still there after more than a deletion takes."""
    for kind, objects in facts.objects.items():
        for obj in filter(is_ending, objects):
            # A definition that is going is as good as gone, which another check finds.
            if kind == CRD or not _is_overdue(facts, kind, obj):
                continue
            if kind == "Namespace":
                yield _held_namespace(facts, obj)
            else:
                yield _held_object(facts, kind, obj)


def _deleted_at(obj: Manifest) -> float:
    return parse_time(obj["metadata"]["deletionTimestamp"])


def _is_overdue(facts: Facts, kind: str, obj: Manifest) -> bool:
    """Whether a deletion takes longer than usual. A namespace waits for the pods in it."""
    if kind == "Pod":
        return _has_outlived(facts, obj, _POD_PATIENCE)
    namespace = name_of(obj) if kind == "Namespace" else namespace_of(obj)
    return _has_outlived(facts, obj, _PATIENCE) and not _waits_for_pods(facts, namespace)


def _has_outlived(facts: Facts, obj: Manifest, patience: float) -> bool:
    return facts.now - _deleted_at(obj) > patience


def _waits_for_pods(facts: Facts, namespace: str) -> bool:
    """Whether a namespace is being deleted in which pods are within their grace periods."""
    if not namespace or _ending_namespace(facts, namespace) is None:
        return False
    pods = [pod for pod in facts.of("Pod") if namespace_of(pod) == namespace]
    return any(is_ending(pod) and not _has_outlived(facts, pod, _POD_PATIENCE) for pod in pods)


def _ending_namespace(facts: Facts, name: str) -> Manifest | None:
    namespace = facts.one("Namespace", "", name)
    return namespace if namespace and is_ending(namespace) else None


def _finalizers_of(obj: Manifest) -> list[str]:
    return [str(name) for name in items_of(obj["metadata"], "finalizers")]


def _span(facts: Facts, obj: Manifest) -> str:
    return spell_span(facts.now - _deleted_at(obj))


# One object


def _held_object(facts: Facts, kind: str, obj: Manifest) -> Finding:
    name, finalizers = full_name(obj), _finalizers_of(obj)
    about = {keys.object_of(kind, name)}
    if kind in WORKLOADS:
        about.add(keys.deployment(name))
    about |= keys.components(components_with(facts, obj))
    holder = f"the finalizer {', '.join(finalizers)} holds it"
    if not finalizers:
        holder = "no finalizer holds it, but its node has not confirmed its end"
    text = f"deletionTimestamp={obj['metadata']['deletionTimestamp']} finalizers={finalizers}"
    return Finding(
        code="DE314",
        subject=Subject(kind, name),
        says=f"{kind} {name} was deleted {_span(facts, obj)} ago and does not go: {holder}.",
        evidence=(Evidence(f"{kind} {name}", text, _deleted_at(obj)),),
        fix=_fixes(facts, kind, obj),
        about=frozenset(about),
        affects=frozenset(about | _effects_of(facts, kind, obj)),
        names=frozenset(_holders_of(facts, kind, obj)),
    )


def _fixes(facts: Facts, kind: str, obj: Manifest) -> tuple[Fix, ...]:
    namespace, name = namespace_of(obj), name_of(obj)
    if not _finalizers_of(obj):
        words = ("delete", kind.lower(), name, "--grace-period=0", "--force")
        return (kubectl_command(facts, namespace, *words),)
    if kind == CLAIM and _finalizers_of(obj) == [_IN_USE]:
        describe = kubectl_command(facts, namespace, "describe", kind.lower(), name)
        return (Advice("end the pods that use the claim; the next command lists them"), describe)
    release = _release(facts, kind, namespace, name)
    if _is_declared(facts, kind, obj):
        return (*recover(facts), release)
    return (release,)


def _release(facts: Facts, kind: str, namespace: str, name: str) -> Command:
    resource = _RESOURCES.get(kind, kind.lower())
    words = ("patch", resource, name, "--type=merge", "-p", _WITHOUT_FINALIZERS)
    return kubectl_command(facts, namespace, *words)


def _is_declared(facts: Facts, kind: str, obj: Manifest) -> bool:
    """Whether the profile's manifests have the object, so that `recover` puts it back."""
    identity = (namespace_of(obj), name_of(obj))
    return any((d.namespace, d.name) == identity for d in facts.declares(kind))


def _effects_of(facts: Facts, kind: str, obj: Manifest) -> set[Key]:
    """Return the keys of what may fail: controllers treat what is being deleted as gone."""
    effects: set[Key] = set()
    if kind in WORKLOADS:
        effects |= effects_of_failure(Workload(facts, kind, obj))
    names = set(components_with(facts, obj))
    if kind in GATEWAY_KINDS:
        effects |= keys.ALL_ROUTES | {keys.FILTER, keys.ORIGINAL_ROUTE, keys.XDS, keys.ENTRANCE}
        gateway = facts.profile.gateway
        effects.add(keys.object_of("Gateway", f"{gateway.namespace}/{gateway.name}"))
        names |= components_of_gateway(facts)
    return effects | _effects_through(facts, names)


def _effects_through(facts: Facts, components: set[str]) -> set[Key]:
    """Return the keys of these components, of those after them, and of the requests through all."""
    names = set(components)
    for component in components:
        names |= set(facts.profile.after(component))
    effects: set[Key] = keys.components(names)
    for workload in workloads_of_components(facts, names):
        effects |= {keys.deployment(workload.full_name), *effects_of_failure(workload)}
    return effects


def _holders_of(facts: Facts, kind: str, obj: Manifest) -> Iterator[Key]:
    """Yield the keys of who must let the object go.

    A finding about one of them is the cause: Envoy Gateway itself, a Gateway that is held and keeps
    its class, or the namespace, whose own finding has the commands for all that it contains.
    """
    if _ending_namespace(facts, namespace_of(obj)):
        yield keys.object_of("Namespace", namespace_of(obj))
    ours = tuple(group.removeprefix(".") for group in GATEWAY_GROUPS)
    if any(name.partition("/")[0].endswith(ours) for name in _finalizers_of(obj)):
        for workload in workloads_of_role(facts, Role.CONTROLLER):
            # One that runs is not what holds the object.
            if status_of(workload.manifest).get("availableReplicas"):
                continue
            yield keys.deployment(workload.full_name)
    if kind == "GatewayClass":
        for gateway in facts.of("Gateway"):
            is_of_class = gateway["spec"].get("gatewayClassName") == name_of(obj)
            if is_of_class and is_ending(gateway):
                yield keys.object_of("Gateway", full_name(gateway))


# A namespace


def _held_namespace(facts: Facts, namespace: Manifest) -> Finding:
    name = name_of(namespace)
    all_conditions = conditions_of_type(namespace, *_NAMESPACE_TROUBLES)
    troubles = [condition for condition in all_conditions if condition["status"] == "True"]
    troubles.sort(key=lambda condition: _NAMESPACE_TROUBLES.index(condition["type"]))
    about = {keys.object_of("Namespace", name)}
    components = {c.name for c in facts.profile.components if c.resource.namespace == name}
    return Finding(
        code="DE314",
        subject=Subject("Namespace", name),
        says=f"The namespace {name} was deleted {_span(facts, namespace)} ago and does not go: "
        f"{_reason_of(namespace, troubles)}.",
        evidence=tuple(_evidence(namespace, troubles)),
        fix=_namespace_fixes(facts, namespace, troubles),
        about=frozenset(about),
        affects=frozenset(about | _effects_through(facts, components)),
        reason=str(troubles[0].get("reason") or "") if troubles else "",
    )


def _reason_of(namespace: Manifest, troubles: list[Condition]) -> str:
    messages = [str(condition.get("message") or "").rstrip(".") for condition in troubles]
    if messages:
        return "; ".join(messages)
    finalizers = [*_finalizers_of(namespace), *_spec_finalizers(namespace)]
    return f"its own finalizers hold it ({', '.join(finalizers) or 'none'})"


def _spec_finalizers(namespace: Manifest) -> list[str]:
    """Return the finalizers that only a namespace has, beside those of its metadata."""
    return [str(name) for name in items_of(fields_of(namespace, "spec"), "finalizers")]


def _evidence(namespace: Manifest, troubles: Iterable[Condition]) -> Iterator[Evidence]:
    source = f"Namespace {name_of(namespace)}"
    finalizers = [*_finalizers_of(namespace), *_spec_finalizers(namespace)]
    text = f"deletionTimestamp={namespace['metadata']['deletionTimestamp']} finalizers={finalizers}"
    yield Evidence(source, text, _deleted_at(namespace))
    for condition in troubles:
        yield Evidence(source, spell_condition(condition), changed_at(condition))


def _namespace_fixes(
    facts: Facts, namespace: Manifest, troubles: Iterable[Condition]
) -> tuple[Fix, ...]:
    name = name_of(namespace)
    fixes: list[Fix] = []
    for condition in troubles:
        message = str(condition.get("message") or "")
        if condition["type"] == _DISCOVERY:
            for match in _UNSERVED.finditer(message):
                service = f"{match['version']}.{match['group']}"
                fixes.append(kubectl_command(facts, "", "delete", "apiservice", service))
        elif condition["type"] == _CONTENT:
            resources = [match["resource"] for match in _REMAINING.finditer(message)]
            fixes += [_release_all(facts, name, resource) for resource in resources]
    if not fixes:
        fixes += _own_releases(facts, namespace)
    describe = kubectl_command(facts, "", "describe", "namespace", name)
    return tuple(dict.fromkeys(fixes)) or (describe,)


def _own_releases(facts: Facts, namespace: Manifest) -> Iterator[Fix]:
    """Yield the commands that take away a namespace's own finalizers, but for Kubernetes' own.

    Those of its spec can be changed by one subresource only, which kubectl knows by no name.
    """
    name = name_of(namespace)
    if _finalizers_of(namespace):
        yield _release(facts, "Namespace", "", name)
    finalizers = _spec_finalizers(namespace)
    rest = [finalizer for finalizer in finalizers if finalizer == _OF_KUBERNETES]
    if finalizers == rest:
        return
    identity = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    content = json_word({**identity, "spec": {"finalizers": rest}})
    path = f"/api/v1/namespaces/{name}/finalize"
    replace = kubectl_command(facts, "", "replace", "--raw", path, "-f", "-")
    yield Command(("echo", content, "|", *replace.words))


def _release_all(facts: Facts, namespace: str, resource: str) -> Command:
    """Return the command that takes the finalizers from all that is left of a resource."""
    names = kubectl_command(facts, namespace, "get", resource, "-o", "name")
    patch = kubectl_command(
        facts, namespace, "patch", "NAME", "--type=merge", "-p", _WITHOUT_FINALIZERS
    )
    return Command((*names.words, "|", "xargs", "-INAME", *patch.words))
