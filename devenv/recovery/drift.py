"""What of the profile's manifests is missing in the cluster, or was changed there by somebody else."""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.lifecycle.manifests import key
from devenv.ports import Kube, Manifest

_SKIPPED = {
    "Namespace",
    "CustomResourceDefinition",
    "Job",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ServiceAccount",
}
_OURS = "devenv"
_CONTROLLERS = ("kube-controller-manager", "envoy-gateway", "kubelet", "kube-scheduler")


@dataclass(frozen=True)
class Drift:
    """One object. `by`: who changed it; none where it is missing."""

    manifest: Manifest
    by: tuple[str, ...]

    def __str__(self) -> str:
        _, kind, namespace, name = key(self.manifest)
        where = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        return f"{where}: changed by {', '.join(self.by)}" if self.by else f"{where}: missing"


def drift(kube: Kube, manifests: Iterable[Manifest]) -> list[Drift]:
    """Return the objects that are missing, and those in which others than devenv own fields of the spec."""
    found = []
    for manifest in manifests:
        if manifest["kind"] in _SKIPPED:
            continue
        there = kube.get(*key(manifest))
        if there is None:
            found.append(Drift(manifest, ()))
        elif by := _others(there):
            found.append(Drift(manifest, by))
    return found


def _others(obj: Manifest) -> tuple[str, ...]:
    """As the API server notes them, field by field (managedFields)."""
    found = {
        str(entry.get("manager"))
        for entry in obj["metadata"].get("managedFields") or ()
        if entry.get("manager") not in {_OURS, *_CONTROLLERS}
        and entry.get("subresource") != "status"
        and {"f:spec", "f:data"} & set(entry.get("fieldsV1") or ())
    }
    return tuple(sorted(found))
