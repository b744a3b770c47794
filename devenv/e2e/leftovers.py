"""Finds and removes what tests leave in a namespace: new objects that no other object owns."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.ports.kube import KindKey, Kube, Manifest

_KINDS = (
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
)
# How the groups of AIBrix's own kinds end.
_GROUP = "aibrix.ai"
_DEFINITIONS = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True, order=True)
class ObjectName:
    """What identifies an object to the API server."""

    kind: str
    namespace: str
    name: str
    api_version: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def objects(kube: Kube, namespace: str) -> set[ObjectName]:
    """Return a namespace's objects without an owner, except those that are being deleted."""
    names = set()
    for api_version, kind in (*_KINDS, *_aibrix_kinds(kube)):
        for obj in kube.select(api_version, kind, namespace):
            if not _is_owned(obj) and not _is_being_deleted(obj):
                name = obj["metadata"]["name"]
                names.add(ObjectName(kind, namespace, name, api_version))
    return names


def _aibrix_kinds(kube: Kube) -> Iterator[KindKey]:
    """Yield the namespaced kinds of AIBrix, in the version in which they are stored."""
    for definition in kube.select(*_DEFINITIONS):
        spec = definition["spec"]
        group = str(spec["group"])
        is_namespaced = spec.get("scope") == "Namespaced"
        if group.endswith(_GROUP) and is_namespaced:
            version = _stored_version(spec)
            yield f"{group}/{version}", spec["names"]["kind"]


def _stored_version(spec: Manifest) -> str:
    """Return the version in which the API server stores a kind. There is exactly one."""
    stored_version = next(each for each in spec["versions"] if each.get("storage"))
    return str(stored_version["name"])


def _is_owned(obj: Manifest) -> bool:
    return bool(obj["metadata"].get("ownerReferences"))


def _is_being_deleted(obj: Manifest) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def remove(kube: Kube, leftovers: set[ObjectName]) -> list[ObjectName]:
    """Delete these objects, and return those whose deletion was accepted."""
    removed = []
    for leftover in sorted(leftovers):
        try:
            kube.delete(leftover.api_version, leftover.kind, leftover.namespace, leftover.name)
        except DevenvError:
            continue
        removed.append(leftover)
    return removed
