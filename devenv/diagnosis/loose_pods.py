"""Pods that no Deployment, StatefulSet or DaemonSet made: bare ones, and those of other owners."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from devenv.diagnosis.workloads import Workload
from devenv.facts.labels import STORM_SERVICE, is_ready
from devenv.facts.model import WORKLOADS, Facts
from devenv.facts.objects import full_name, labels_of, name_of, namespace_of, owners_of, status_of
from devenv.facts.revisions import is_lasting
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component

POD = "Pod"
# Owners whose pods are judged elsewhere: the kubelet's static pods are owned by their node.
_JUDGED_OWNERS = {*WORKLOADS, "Node"}


@dataclass(frozen=True)
class _Owner:
    """What made a pod: its kind and name. A bare pod owns itself."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class LoosePods(Workload):
    """The pods of one owner of a kind that Kubernetes itself does not have, or one bare pod.

    Its manifest is that of the first pod, as a template.
    """

    members: tuple[Manifest, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether it is a pod that nothing replaces when it is deleted."""
        return self.kind == POD

    @property
    def target(self) -> str:
        """What kubectl calls its first pod: kubectl may not know the owner's kind."""
        return f"pod/{name_of(self.members[0])}"

    @property
    def is_scaled_to_zero(self) -> bool:
        """A group of pods has at least one."""
        return False

    @property
    def component(self) -> Component | None:
        """None: a component of a profile is a workload."""
        return None

    @property
    def is_of_profile(self) -> bool:
        """Nothing restores it: profiles have workloads only."""
        return False

    @property
    def pods(self) -> list[Manifest]:
        """Its pods that are to run on."""
        return list(filter(is_lasting, self.members))

    @property
    def newest_pods(self) -> list[Manifest]:
        """All of its pods: revisions of such owners are unknown."""
        return self.pods

    def owns(self, pod: Manifest) -> bool:
        """Whether a pod is one of them."""
        return full_name(pod) in map(full_name, self.members)

    @property
    def has_earlier_revision(self) -> bool:
        """`kubectl rollout undo` does not work for it."""
        return False

    @property
    def problem(self) -> str:
        """Which of its pods is not ready, "" if all are."""
        for pod in self.pods:
            if not is_ready(pod):
                phase = status_of(pod).get("phase") or "unknown"
                return f"pod {name_of(pod)} is not ready, its phase is {phase}"
        return ""


def loose_pods(facts: Facts) -> Iterator[LoosePods]:
    """Yield the loose pods that are to run on, by their owners."""
    groups: dict[_Owner, list[Manifest]] = {}
    for pod in filter(is_lasting, facts.of(POD)):
        owner = _owner_of(facts, pod)
        if owner.kind not in _JUDGED_OWNERS:
            groups.setdefault(owner, []).append(pod)
    for owner, pods in groups.items():
        yield LoosePods(facts, owner.kind, _manifest(owner, pods[0]), tuple(pods))


def _owner_of(facts: Facts, pod: Manifest) -> _Owner:
    """Return what made a pod, climbing over its ReplicaSet."""
    namespace = namespace_of(pod)
    own = _Owner(POD, namespace, name_of(pod))
    owner = _first_owner(pod, own)
    if owner.kind == "ReplicaSet":
        replica_set = facts.one("ReplicaSet", namespace, owner.name)
        if replica_set is None:
            # Looks of older versions have no ReplicaSets: then it is a Deployment's.
            kind = owner.kind if facts.of("ReplicaSet") else "Deployment"
            return replace(owner, kind=kind)
        return _first_owner(replica_set, owner)
    if storm_service := labels_of(pod).get(STORM_SERVICE):
        return _Owner("StormService", namespace, storm_service)
    return owner


def _first_owner(obj: Manifest, otherwise: _Owner) -> _Owner:
    for owner in owners_of(obj):
        kind, name = owner.get("kind"), owner.get("name")
        if kind and name:
            return _Owner(str(kind), namespace_of(obj), str(name))
    return otherwise


def _manifest(owner: _Owner, pod: Manifest) -> Manifest:
    metadata = {**pod["metadata"], "name": owner.name, "namespace": owner.namespace}
    return {"metadata": metadata, "spec": {"template": pod}, "status": {}}
