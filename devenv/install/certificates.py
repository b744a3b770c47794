"""Renews Envoy Gateway's certificates: all of them, since each run of certgen has its own CA."""

from dataclasses import dataclass

from devenv.base.wait import Deadline, until
from devenv.facts.certificates import (
    CERTIFICATES,
    are_of_different_runs,
    missing_names,
    own_certificates,
)
from devenv.facts.objects import fields_of, items_of, name_of, namespace_of
from devenv.install.manifests import key
from devenv.ports.clock import Clock
from devenv.ports.kube import Kube, Manifest

_SECRET = ("v1", "Secret")
# Seconds for the Job of before, with its pod, to go.
_END_SECONDS = 60.0
# Seconds for certgen to make its Secrets: about 4, more if its first try fails.
_MAKING_SECONDS = 90.0


@dataclass(frozen=True)
class Certificates:
    """The Secrets of certgen in one cluster. Their content is never read."""

    kube: Kube
    clock: Clock

    def are_broken(self, namespace: str) -> bool:
        """Whether only some exist, or they are of different runs. Before the first, none does."""
        certificates = self._existing(namespace)
        if not certificates:
            return False
        return bool(missing_names(certificates)) or are_of_different_runs(certificates)

    def renew(self, job: Manifest) -> None:
        """Delete all of them and the Job, and let the Job create new ones.

        Raises DevenvError if they don't come.
        """
        namespace = namespace_of(job)
        self.kube.delete(*key(job))
        until("certgen", lambda: self._find_old_job(job), Deadline(self.clock, _END_SECONDS))
        for name in CERTIFICATES:
            self.kube.delete(*_SECRET, namespace, name)
        self.kube.apply(job)
        until(
            "Envoy Gateway's certificates",
            lambda: ", ".join(missing_names(self._existing(namespace))),
            Deadline(self.clock, _MAKING_SECONDS),
            f"Look at the Job {name_of(job)} in {namespace}.",
        )

    def restart_users(self, namespace: str) -> None:
        """End the pods that mount one of them; their owners make new ones."""
        for pod in self.kube.select("v1", "Pod", namespace):
            if _mounts_certificate(pod):
                self.kube.delete("v1", "Pod", namespace, name_of(pod))

    def _existing(self, namespace: str) -> list[Manifest]:
        return own_certificates(self.kube.metadata(*_SECRET), namespace)

    def _find_old_job(self, job: Manifest) -> str:
        return "the end of the old Job" if self.kube.get(*key(job)) else ""


def _mounts_certificate(pod: Manifest) -> bool:
    """Whether a volume of a pod is one of the Secrets."""
    volumes = items_of(fields_of(pod, "spec"), "volumes")
    names = {fields_of(volume, "secret").get("secretName") for volume in volumes}
    return bool(names.intersection(CERTIFICATES))
