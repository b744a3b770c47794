"""Which of the profile's objects are missing in the cluster, or were changed by another tool."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from devenv.diagnosis import keys
from devenv.diagnosis.changes import Change, changes_of
from devenv.diagnosis.concern import concerned
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Finding
from devenv.facts.objects import full_name
from devenv.install.manifests import key
from devenv.ports.kube import Manifest
from devenv.profiles.model import Profile

_CRD = "CustomResourceDefinition"
# Kinds that are never put back.
_SKIPPED_KINDS = {
    "Namespace",
    "Job",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ServiceAccount",
}
# Field managers whose changes are no drift: devenv itself, and controllers that do their work.
_EXPECTED_MANAGERS = {
    "devenv",
    "devenv-reload",
    "kube-controller-manager",
    "envoy-gateway",
    "kubelet",
    "kube-scheduler",
}
# Fields that a line names.
_SHOWN_FIELDS = 3

# Returns the live object with an API version, kind, namespace and name, None if it is missing.
ReadObject = Callable[[str, str, str, str], Manifest | None]


@dataclass(frozen=True)
class Drift:
    """An object of the profile that is missing or changed."""

    manifest: Manifest
    is_missing: bool = False
    # Field managers that have written to it, besides the expected ones.
    by: tuple[str, ...] = ()
    # The fields that differ from the manifest.
    changes: tuple[Change, ...] = ()

    @property
    def name(self) -> str:
        """The object's kind, namespace and name."""
        _, kind, _, _ = key(self.manifest)
        return f"{kind} {full_name(self.manifest)}"

    @property
    def state(self) -> str:
        """What happened to the object, and whose doing it was, if Kubernetes knows."""
        if self.is_missing:
            return "missing"
        if self.by:
            return f"changed by {', '.join(self.by)}"
        return "changed"

    def __str__(self) -> str:
        line = f"{self.name}: {self.state}"
        if self.changes:
            paths = [change.path for change in self.changes[:_SHOWN_FIELDS]]
            line += f": {', '.join(paths)}"
        return line


def to_put_back(
    read: ReadObject, manifests: Sequence[Manifest], roots: Sequence[Finding], profile: Profile
) -> tuple[Drift, ...]:
    """Return the objects that a repair of these root causes puts back.

    These are the missing or changed objects that they are about, and the missing ones that they
    affect. What was changed elsewhere stays as it is: the user may want it so.
    """
    about: set[Key] = set()
    affected: set[Key] = set()
    for root in roots:
        about |= root.about
        affected |= root.about | root.affects
    undefined_kinds = _undefined_kinds(manifests, about)
    candidates = [
        manifest
        for manifest in manifests
        if concerned(manifest, affected, profile) or _group_kind(manifest) in undefined_kinds
    ]
    drifts = drift(read, candidates)
    return tuple(d for d in drifts if d.is_missing or concerned(d.manifest, about, profile))


def concerning(drifts: Iterable[Drift], profile: Profile) -> Callable[[Finding], bool]:
    """Return whether one of the drifted objects is one that a root cause is about."""
    manifests = [drift.manifest for drift in drifts]

    def has_drifted(root: Finding) -> bool:
        return any(concerned(manifest, root.about, profile) for manifest in manifests)

    return has_drifted


def _undefined_kinds(
    manifests: Sequence[Manifest], about: AbstractSet[Key]
) -> set[tuple[str, str]]:
    """Return the kinds, as (API group, kind), whose definition is gone, and with it all objects."""
    kinds = set()
    for manifest in manifests:
        if manifest["kind"] == _CRD and keys.definition(manifest["metadata"]["name"]) in about:
            spec = manifest["spec"]
            kinds.add((str(spec["group"]), str(spec["names"]["kind"])))
    return kinds


def _group_kind(manifest: Manifest) -> tuple[str, str]:
    return manifest["apiVersion"].rpartition("/")[0], manifest["kind"]


def drift(read: ReadObject, manifests: Iterable[Manifest]) -> list[Drift]:
    """Return the objects that are missing, that another tool has written to, or that differ."""
    drifts = []
    for manifest in manifests:
        if manifest["kind"] in _SKIPPED_KINDS:
            continue
        if object_drift := _drift_of(manifest, read(*key(manifest))):
            drifts.append(object_drift)
    return drifts


def _drift_of(manifest: Manifest, live: Manifest | None) -> Drift | None:
    if live is None:
        return Drift(manifest, is_missing=True)
    # The API server fills in much of a definition, so its fields can't be compared.
    if manifest["kind"] == _CRD:
        return None
    managers = _unexpected_managers(live)
    changes = tuple(changes_of(manifest, live))
    if not managers and not changes:
        return None
    return Drift(manifest, by=managers, changes=changes)


def _unexpected_managers(obj: Manifest) -> tuple[str, ...]:
    """Return who else has set fields of the object's spec or data, by its `managedFields`."""
    entries = obj["metadata"].get("managedFields") or ()
    managers = {str(entry.get("manager")) for entry in entries if _sets_spec(entry)}
    return tuple(sorted(managers - _EXPECTED_MANAGERS))


def _sets_spec(entry: Mapping[str, Any]) -> bool:
    fields = entry.get("fieldsV1") or ()
    return entry.get("subresource") != "status" and ("f:spec" in fields or "f:data" in fields)
