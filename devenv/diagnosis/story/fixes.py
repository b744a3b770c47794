"""Commands that heal what Kubernetes tells, made for the cluster of the facts."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from devenv.diagnosis.commands import json_word, kubectl_command, recover
from devenv.diagnosis.loose_pods import LoosePods
from devenv.diagnosis.manifests import template_of
from devenv.diagnosis.model import Advice, Command, Fix
from devenv.diagnosis.story.culprits import QUOTA, WEBHOOK, Culprit, limits_in_force
from devenv.diagnosis.story.reader import Blockage, preemption_of
from devenv.diagnosis.workloads import Workload
from devenv.facts.collect import containers_in, repository
from devenv.facts.model import Facts
from devenv.facts.objects import fields_of, items_of, name_of, namespace_of, owners_of
from devenv.facts.references import CLAIM, PULL
from devenv.ports.kube import Manifest

_KEY_REFERENCES = {"Secret": "secretKeyRef", "ConfigMap": "configMapKeyRef"}
_WEBHOOKS = "mutatingwebhookconfigurations,validatingwebhookconfigurations"
_SCALABLE = {"ReplicaSet", "StatefulSet"}
# What a node fails at: manifests that are put back change nothing there.
_NODE_REASONS = {"FailedCreatePodSandBox", "NetworkNotReady"}


def heal(workload: Workload, blockage: Blockage) -> tuple[Fix, ...]:
    """Return how a workload is healed: commands, and advice only where no command can do it."""
    if blockage.reason in _NODE_REASONS:
        return (show(workload),)
    if blockage.is_over:
        return tuple(_try_again(workload))
    fixes: list[Fix] = []
    if blockage.culprit:
        fixes += _heal_culprit(workload, blockage.culprit)
    if workload.is_of_profile and (blockage.culprit is None or _may_be_of_profile(blockage)):
        fixes += recover(workload.facts)
    if not any(isinstance(fix, Command) for fix in fixes):
        fixes.append(_undo_or_show(workload))
    return tuple(fixes)


def _undo_or_show(workload: Workload) -> Command:
    """Return the command that returns to the revision before, if there is one."""
    if workload.has_earlier_revision:
        return workload.kubectl("rollout", "undo", workload.target)
    return show(workload)


def show(workload: Workload) -> Command:
    """Return the command that shows what Kubernetes says of a workload and its pods."""
    if isinstance(workload, LoosePods):
        return workload.kubectl("describe", workload.target)
    for pod in workload.newest_pods:
        return workload.kubectl("describe", f"pod/{name_of(pod)}")
    return workload.kubectl("describe", workload.target)


def _may_be_of_profile(blockage: Blockage) -> bool:
    """Whether the profile's manifests, put back, can heal it.

    They can't heal another user's quota or policy.
    """
    culprit = blockage.culprit
    is_missing = culprit is None or culprit.is_missing or bool(culprit.lacks)
    return is_missing or (culprit is not None and culprit.kind == CLAIM)


def _heal_culprit(workload: Workload, culprit: Culprit) -> Iterator[Fix]:
    if culprit.lacks:
        yield from _give_key(workload, culprit)
    elif culprit.is_missing:
        yield from _create(workload, culprit)
    elif culprit.kind == QUOTA:
        yield from _raise_quota(workload, culprit)
    elif culprit.kind == CLAIM:
        yield from _replace_claim(workload, culprit)
    elif culprit.kind == "Namespace":
        label = "pod-security.kubernetes.io/enforce-"
        yield kubectl_command(workload.facts, "", "label", "namespace", culprit.name, label)
    elif culprit.kind in {"PriorityClass", "Pod"}:
        yield from _end_preemption(workload)
    elif culprit.kind == WEBHOOK:
        # The name of a webhook: that of its configuration is not known.
        yield kubectl_command(workload.facts, "", "get", _WEBHOOKS)
    else:
        yield kubectl_command(
            workload.facts, culprit.namespace, "describe", culprit.kind.lower(), culprit.name
        )


# What is missing


def _create(workload: Workload, culprit: Culprit) -> Iterator[Fix]:
    facts, name = workload.facts, culprit.name
    if culprit.kind in _KEY_REFERENCES:
        yield _create_content(workload, culprit)
    elif culprit.kind == "ServiceAccount":
        yield workload.kubectl("create", "serviceaccount", name)
    elif culprit.kind == "PriorityClass":
        yield kubectl_command(facts, "", "create", "priorityclass", name, "--value=0")
    elif culprit.kind == "Node":
        yield _patch_pods(workload, {"nodeName": None})
    else:
        yield Advice(f"create the {culprit.kind} {culprit.full_name}")


def _create_content(workload: Workload, culprit: Culprit) -> Command:
    """Return the command that creates a Secret or ConfigMap. In capitals: what only users know."""
    references = _references_to(workload, culprit)
    if any(reference.get("by") == PULL for reference in references):
        server = _registry_of(workload)
        return workload.kubectl(
            "create",
            "secret",
            "docker-registry",
            culprit.name,
            f"--docker-server={server}",
            "--docker-username=USERNAME",
            "--docker-password=PASSWORD",
        )
    keys = dict.fromkeys(str(r["key"]) for r in references if r.get("key"))
    literals = [f"--from-literal={key}=VALUE" for key in keys]
    words = ["secret", "generic"] if culprit.kind == "Secret" else ["configmap"]
    return workload.kubectl("create", *words, culprit.name, *literals)


def _references_to(workload: Workload, culprit: Culprit) -> list[Manifest]:
    references: list[Manifest] = []
    for pod in (*workload.newest_pods, template_of(workload.manifest)):
        references += items_of(pod.get("spec"), "references")
    name = (culprit.kind, culprit.name)
    return [r for r in references if (r["kind"], r["name"]) == name]


def _registry_of(workload: Workload) -> str:
    """Return the registry of a workload's first image that names one."""
    for container in containers_in(template_of(workload.manifest)["spec"]):
        host, slash, _ = repository(str(container.get("image"))).partition("/")
        if slash and ("." in host or ":" in host):
            return host
    return "docker.io"


# Keys


def _give_key(workload: Workload, culprit: Culprit) -> Iterator[Fix]:
    """Yield how a pod gets a key: by naming one that there is, or else by adding it."""
    obj = workload.facts.one(culprit.kind, culprit.namespace, culprit.name)
    existing_keys = list(map(str, items_of(obj, "keys")))
    matches = get_close_matches(culprit.lacks, existing_keys, n=1)
    variable = _variable_with(workload, culprit)
    if matches and variable and not isinstance(workload, LoosePods):
        yield _name_key(workload, culprit, variable, matches[0])
        return
    content = "stringData" if culprit.kind == "Secret" else "data"
    patch = json_word({content: {culprit.lacks: "VALUE"}})
    target = f"{culprit.kind.lower()}/{culprit.name}"
    yield workload.kubectl("patch", target, "--type", "merge", "-p", patch)


def _variable_with(workload: Workload, culprit: Culprit) -> str:
    for reference in _references_to(workload, culprit):
        by = str(reference.get("by"))
        if reference.get("key") == culprit.lacks and by.startswith("variable "):
            return by.removeprefix("variable ")
    return ""


def _name_key(workload: Workload, culprit: Culprit, variable: str, key: str) -> Command:
    """Return the command by which a variable takes its value from another key."""
    source = {_KEY_REFERENCES[culprit.kind]: {"name": culprit.name, "key": key}}
    spec: dict[str, list[Any]] = {}
    for group in ("initContainers", "containers"):
        for container in items_of(template_of(workload.manifest)["spec"], group):
            names = [entry["name"] for entry in items_of(container, "env")]
            if variable in names:
                env = [{"name": variable, "valueFrom": source}]
                spec.setdefault(group, []).append({"name": container["name"], "env": env})
    return _patch_pods(workload, spec)


def _patch_pods(workload: Workload, spec: Mapping[str, Any]) -> Command:
    """Return the command that changes a workload's pod template."""
    if isinstance(workload, LoosePods):
        return workload.kubectl("delete", workload.target)
    patch = json_word({"spec": {"template": {"spec": spec}}})
    return workload.kubectl("patch", workload.target, "-p", patch)


# What refuses


def _raise_quota(workload: Workload, culprit: Culprit) -> Iterator[Fix]:
    """Yield the command that lifts the limits that are used up, or those that pods don't meet."""
    quota = workload.facts.one(QUOTA, culprit.namespace, culprit.name)
    lifted = dict.fromkeys(limits_in_force(quota, culprit.trouble))
    patch = json_word({"spec": {"hard": lifted}})
    target = f"resourcequota/{culprit.name}"
    if lifted:
        yield workload.kubectl("patch", target, "--type", "merge", "-p", patch)
    else:
        yield workload.kubectl("describe", target)
    yield from _try_again(workload)


def _try_again(workload: Workload) -> Iterator[Fix]:
    """Yield the command that spares a workload Kubernetes' pause after refusals.

    Nothing makes pods without a workload again.
    """
    if not isinstance(workload, LoosePods):
        yield workload.kubectl("rollout", "restart", workload.target)


def _replace_claim(workload: Workload, culprit: Culprit) -> Iterator[Fix]:
    """Yield the command that makes a claim again, of a class that exists: it can't be changed."""
    facts = workload.facts
    claim = facts.one(CLAIM, culprit.namespace, culprit.name)
    current = str(fields_of(claim, "spec").get("storageClassName") or "")
    class_names = sorted(map(name_of, facts.of("StorageClass")))
    if claim and current and class_names and current not in class_names:
        matches = get_close_matches(current, class_names, n=1, cutoff=0)
        get = kubectl_command(facts, culprit.namespace, "get", CLAIM, culprit.name, "-o", "json")
        change = f"""sed 's/"storageClassName": "{current}"/"storageClassName": "{matches[0]}"/'"""
        replace = kubectl_command(facts, culprit.namespace, "replace", "--force", "-f", "-")
        yield Command((*get.words, "|", change, "|", *replace.words))
        return
    yield _undo_or_show(workload)


def _end_preemption(workload: Workload) -> Iterator[Fix]:
    """Yield the command that ends what took a workload's place."""
    preemption = preemption_of(workload)
    if preemption is None:
        return
    pod, facts = preemption.pod, workload.facts
    namespace = namespace_of(pod)
    target = _scalable_owner(facts, pod)
    if target:
        yield kubectl_command(facts, namespace, "scale", target, "--replicas=0")
    else:
        yield kubectl_command(facts, namespace, "delete", f"pod/{name_of(pod)}")


def _scalable_owner(facts: Facts, pod: Manifest) -> str:
    """Return what kubectl scales to end a pod, such as deployment/NAME.

    "" for a pod without such an owner.
    """
    for owner in owners_of(pod):
        if owner.get("kind") not in _SCALABLE:
            continue
        replica_set = facts.one("ReplicaSet", namespace_of(pod), str(owner.get("name")))
        for deployment in owners_of(replica_set) if replica_set else ():
            return f"deployment/{deployment.get('name')}"
        return f"{str(owner['kind']).lower()}/{owner.get('name')}"
    return ""


# Probes


def correct_probe(workload: Workload, container_name: str, kind: str) -> tuple[Fix, ...]:
    """Return how a probe on a port that the container doesn't have gets its own port."""
    for container in containers_in(template_of(workload.manifest)["spec"]):
        if container["name"] != container_name or isinstance(workload, LoosePods):
            continue
        ports = [port.get("containerPort") for port in items_of(container, "ports")]
        probe = fields_of(container, f"{kind}Probe")
        for action in ("httpGet", "tcpSocket", "grpc"):
            port = fields_of(probe, action).get("port")
            if port is not None and ports and port not in [*ports, *_port_names(container)]:
                change = {"name": container_name, f"{kind}Probe": {action: {"port": ports[0]}}}
                return (_patch_pods(workload, {"containers": [change]}),)
    return ()


def _port_names(container: Manifest) -> list[str]:
    return [str(port["name"]) for port in items_of(container, "ports") if port.get("name")]
