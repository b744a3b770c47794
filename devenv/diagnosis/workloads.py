"""One workload among the facts, with its component, its pods and the models that it names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from devenv.diagnosis.commands import kubectl_command
from devenv.diagnosis.manifests import template_of
from devenv.diagnosis.model import Command
from devenv.facts.collect import is_of
from devenv.facts.labels import model_name
from devenv.facts.model import WORKLOADS, Facts, owns
from devenv.facts.objects import full_name, labels_of, name_of, namespace_of, status_of
from devenv.facts.revisions import KEEPERS, lasting_pods, newest_hash, newest_pods
from devenv.ports.kube import Manifest
from devenv.profiles.model import Component


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet."""

    facts: Facts
    # The API server leaves it out in lists.
    kind: str
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name, without the namespace."""
        return name_of(self.manifest)

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return namespace_of(self.manifest)

    @property
    def full_name(self) -> str:
        """NAMESPACE/NAME."""
        return full_name(self.manifest)

    @property
    def source(self) -> str:
        """What evidence calls it: KIND NAMESPACE/NAME."""
        return f"{self.kind} {self.full_name}"

    @property
    def target(self) -> str:
        """What kubectl calls it, such as deployment/NAME."""
        return f"{self.kind.lower()}/{self.name}"

    def kubectl(self, *words: str) -> Command:
        """Return a kubectl command for its namespace, to copy."""
        return kubectl_command(self.facts, self.namespace, *words)

    @property
    def is_scaled_to_zero(self) -> bool:
        """Whether it is to have no pods at all."""
        replicas: int = self.manifest["spec"].get("replicas", 1)
        return replicas == 0

    @property
    def update_strategy(self) -> Manifest:
        """How a StatefulSet or DaemonSet replaces its pods."""
        return self.manifest["spec"].get("updateStrategy") or {}

    # The profile

    @property
    def component(self) -> Component | None:
        """The component of the profile that it is."""
        for component in self.facts.profile.components:
            if is_of(component, self.manifest):
                return component
        return None

    @property
    def is_of_profile(self) -> bool:
        """Whether `recover` can restore it, because the profile's manifests have it.

        If the manifests were not read, any workload may be among them.
        """
        if self.facts.declared is None or self.component:
            return True
        for declared in self.facts.declares(self.kind):
            if (declared.namespace, declared.name) == (self.namespace, self.name):
                return True
        return False

    # Models

    @property
    def own_model(self) -> str:
        """The model that it names itself, "" for none."""
        return model_named_by(self.facts, self.manifest)

    @property
    def pod_model(self) -> str:
        """The model that its pods name, "" for none."""
        return model_named_by(self.facts, template_of(self.manifest))

    @property
    def models(self) -> set[str]:
        """The models that it or its pods name: none, one, or by mistake two."""
        return {self.own_model, self.pod_model} - {""}

    # Pods

    @property
    def pod_labels(self) -> Mapping[str, str]:
        """The labels of its pods."""
        return labels_of(template_of(self.manifest))

    @property
    def pods(self) -> list[Manifest]:
        """Its pods that are to run on: neither terminating nor ended."""
        return lasting_pods(self.manifest, self.facts.of("Pod"))

    @property
    def newest_pods(self) -> list[Manifest]:
        """Its pods of the newest revision: the others are being replaced.

        All of its pods if none is of the newest revision yet, if the revisions could not be read,
        or if older pods are meant to stay.
        """
        pods = self.pods
        if self._keeps_older_pods:
            return pods
        revisions = self.facts.of(KEEPERS[self.kind]) if self.kind in KEEPERS else ()
        return newest_pods(self.kind, self.manifest, revisions, pods) or pods

    def is_outdated(self, revision: str) -> bool:
        """Whether pods of a revision, given by its hash, are being replaced or were replaced.

        False if the newest revision is unknown, or if older pods are meant to stay.
        """
        if self._keeps_older_pods:
            return False
        revisions = self.facts.of(KEEPERS[self.kind]) if self.kind in KEEPERS else ()
        newest = newest_hash(self.kind, self.manifest, revisions)
        return bool(newest) and revision != newest

    @property
    def _keeps_older_pods(self) -> bool:
        """Whether a StatefulSet or DaemonSet does not replace all of its pods by itself."""
        rolling_update = self.update_strategy.get("rollingUpdate") or {}
        return self.update_strategy.get("type") == "OnDelete" or bool(
            rolling_update.get("partition")
        )

    @property
    def last_failed_pod(self) -> Manifest | None:
        """The newest of its pods that failed, or were evicted or refused by a node."""
        failed_pods = list(filter(self._has_failed, self.facts.of("Pod")))
        failed_pods.sort(key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        return failed_pods[-1] if failed_pods else None

    def _has_failed(self, pod: Manifest) -> bool:
        return self.owns(pod) and status_of(pod).get("phase") == "Failed"

    def owns(self, pod: Manifest) -> bool:
        """Whether it made a pod."""
        return owns(self.manifest, pod)

    @property
    def has_earlier_revision(self) -> bool:
        """Whether `kubectl rollout undo` can return to an earlier revision of a Deployment."""
        revisions = 0
        for replica_set in self.facts.of("ReplicaSet"):
            if namespace_of(replica_set) == self.namespace:
                owners = replica_set["metadata"].get("ownerReferences") or ()
                revisions += sum(owner.get("name") == self.name for owner in owners)
        return revisions > 1


def all_workloads(facts: Facts) -> Iterator[Workload]:
    """Yield all Deployments, StatefulSets and DaemonSets."""
    for kind in WORKLOADS:
        for manifest in facts.of(kind):
            yield Workload(facts, kind, manifest)


def deployments(facts: Facts) -> Iterator[Workload]:
    """Yield all Deployments."""
    for manifest in facts.of("Deployment"):
        yield Workload(facts, "Deployment", manifest)


def model_named_by(facts: Facts, obj: Manifest) -> str:
    """Return the model that an object or a pod template names, "" for none.

    Whether an annotation counts depends on the version of AIBrix.
    """
    return model_name(obj, annotated=facts.profile.model_annotations)
