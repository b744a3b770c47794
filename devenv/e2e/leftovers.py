"""What tests leave in a namespace: new objects that no other object owns."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.errors import DevenvError
from devenv.ports import Kube, Manifest

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
    kinds = [*_KINDS, *_own_kinds(kube)]
    return {
        ObjectName(kind, namespace, obj["metadata"]["name"], api_version)
        for api_version, kind in kinds
        for obj in kube.select(api_version, kind, namespace)
        if _stands_alone(obj)
    }


def _own_kinds(kube: Kube) -> Iterator[tuple[str, str]]:
    for definition in kube.select(*_DEFINITIONS):
        spec = definition["spec"]
        if str(spec["group"]).endswith(_GROUP) and spec.get("scope") == "Namespaced":
            version = next(v["name"] for v in spec["versions"] if v.get("storage"))
            yield f"{spec['group']}/{version}", spec["names"]["kind"]


def _stands_alone(obj: Manifest) -> bool:
    meta = obj["metadata"]
    return not meta.get("ownerReferences") and not meta.get("deletionTimestamp")


def remove(kube: Kube, leftovers: set[ObjectName]) -> list[ObjectName]:
    """Delete these objects, and return those whose deletion was accepted."""
    removed: list[ObjectName] = []
    for leftover in sorted(leftovers):
        try:
            kube.delete(leftover.api_version, leftover.kind, leftover.namespace, leftover.name)
        except DevenvError:
            continue
        removed.append(leftover)
    return removed
