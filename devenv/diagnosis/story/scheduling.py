"""What the scheduler says of a pod that fits no node, and which of the facts show why."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from devenv.diagnosis.workloads import Workload
from devenv.facts.model import Facts
from devenv.facts.objects import fields_of, items_of, name_of, status_of
from devenv.facts.revisions import is_lasting
from devenv.ports.kube import Manifest

# The scheduler's word for a node that is cordoned.
CORDONED = "unschedulable"
_LACKING = re.compile(r"Insufficient ([A-Za-z0-9][\w./-]*\w)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)")
_UNITS = {
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def lacking_resources(message: str) -> list[str]:
    """Return the resources of which the scheduler finds too little, such as nvidia.com/gpu."""
    return list(dict.fromkeys(_LACKING.findall(message)))


def absent_resources(facts: Facts, message: str) -> list[str]:
    """Return those of the lacking resources that no node has at all."""
    return [name for name in lacking_resources(message) if not _any_node_has(facts, name)]


def _any_node_has(facts: Facts, resource: str) -> bool:
    """Whether a node has a resource, or may have it because its resources were not read."""
    nodes = facts.of("Node")
    if not nodes:
        return True
    for node in nodes:
        allocatable = fields_of(status_of(node), "allocatable")
        if not allocatable or amount(allocatable.get(resource)) > 0:
            return True
    return False


def can_never_fit(facts: Facts, pod: Manifest, message: str) -> bool:
    """Whether a pod requests more of a lacking resource than any node has, even if it is empty."""
    nodes = [fields_of(status_of(node), "allocatable") for node in facts.of("Node")]
    if not nodes or not all(nodes):
        return False
    for resource in lacking_resources(message):
        if all(amount(node.get(resource)) < requested(pod, resource) for node in nodes):
            return True
    return False


def is_beside_old_pod(workload: Workload, pod: Manifest, message: str) -> bool:
    """Whether a new pod would fit a node if the workload's old pods there were gone."""
    resources = lacking_resources(message)
    newest = workload.newest_pods
    old_pods = [p for p in workload.pods if p not in newest and p["spec"].get("nodeName")]
    if not resources or not old_pods:
        return False
    for node in workload.facts.of("Node"):
        old_pods_there = [p for p in old_pods if p["spec"]["nodeName"] == name_of(node)]
        if old_pods_there and _fits(workload.facts, node, pod, resources, old_pods_there):
            return True
    return False


def _fits(
    facts: Facts, node: Manifest, pod: Manifest, resources: Iterable[str], gone: list[Manifest]
) -> bool:
    """Whether a node has enough for a pod once the pods in `gone` are."""
    names = {name_of(p) for p in gone}
    staying = [p for p in _pods_on(facts, node) if name_of(p) not in names]
    allocatable = fields_of(status_of(node), "allocatable")
    for resource in resources:
        taken = sum(requested(p, resource) for p in staying)
        if requested(pod, resource) > amount(allocatable.get(resource)) - taken:
            return False
    return True


def _pods_on(facts: Facts, node: Manifest) -> list[Manifest]:
    pods = filter(is_lasting, facts.of("Pod"))
    return [pod for pod in pods if pod["spec"].get("nodeName") == name_of(node)]


def requested(pod: Manifest, resource: str) -> float:
    """Return how much of a resource a pod's containers request; a limit alone is a request."""
    total = 0.0
    for container in items_of(pod["spec"], "containers"):
        resources = fields_of(container, "resources")
        requests, limits = fields_of(resources, "requests"), fields_of(resources, "limits")
        total += amount(requests.get(resource, limits.get(resource)))
    return total


def amount(quantity: Any) -> float:
    """Return the number that a Kubernetes quantity stands for, 0 if it is not one."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return 0.0
    return float(match[1]) * _UNITS[match[2]]


def cordoned_nodes(facts: Facts) -> list[Manifest]:
    """Return the nodes that take no new pods because someone cordoned them."""
    return [node for node in facts.of("Node") if _spec(node).get("unschedulable") is True]


def _spec(node: Manifest) -> Mapping[str, Any]:
    return fields_of(node, "spec")
