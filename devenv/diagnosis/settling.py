"""When the parts that a request passes last changed for the better: what failed before is past."""

from collections.abc import Collection, Iterator

from devenv.diagnosis.containers import main_containers_of
from devenv.diagnosis.manifests import changed_at, conditions
from devenv.diagnosis.times import parse_time
from devenv.diagnosis.workloads import Workload, all_workloads
from devenv.facts.model import Facts
from devenv.ports.kube import Manifest

# Kinds, besides routes, that Envoy Gateway turns into Envoy's configuration.
_CONFIGURING = (
    "Gateway",
    "EnvoyPatchPolicy",
    "EnvoyExtensionPolicy",
    "ClientTrafficPolicy",
)


def last_start(facts: Facts, models: Collection[str]) -> float:
    """Return when a part of the way last started or became ready; 0 if nothing tells.

    That is: a node, or a workload of the profile or of one of the models. In seconds since 1970.
    """
    times = [node.started for node in facts.nodes]
    for workload in all_workloads(facts):
        if workload.component or not workload.models.isdisjoint(models):
            times += _changes_of(workload)
    return max(times, default=0.0)


def last_acceptance(facts: Facts, route: Manifest | None) -> float:
    """Return when the gateway's objects, or this route, were last accepted; 0 if nothing tells.

    In seconds since 1970.
    """
    objects = [obj for kind in _CONFIGURING for obj in facts.of(kind)]
    if route is not None:
        objects.append(route)
    times: list[float] = []
    for obj in objects:
        times += [changed_at(c) for c in conditions(obj) if c["status"] == "True"]
    return max(times, default=0.0)


def _changes_of(workload: Workload) -> Iterator[float]:
    """Yield when a workload's rollout ended, and when its pods started and became ready."""
    for condition in conditions(workload.manifest):
        if condition["status"] == "True":
            yield changed_at(condition)
            yield parse_time(condition.get("lastUpdateTime"))
    for pod in workload.pods:
        for condition in conditions(pod):
            if condition["type"] == "Ready" and condition["status"] == "True":
                yield changed_at(condition)
        for container in main_containers_of(workload.facts, pod):
            yield container.running_since
