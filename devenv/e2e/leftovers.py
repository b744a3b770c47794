"""What tests have left in a namespace: objects that were not there before, and that nothing owns."""

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
_GROUP = "aibrix.ai"  # how the groups of AIBrix's own kinds end
_DEFINITIONS = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


@dataclass(frozen=True, order=True)
class ObjectName:
    """That by which the API server finds an object."""

    kind: str
    namespace: str
    name: str
    api_version: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def objects(kube: Kube, namespace: str) -> set[ObjectName]:
    """Return a namespace's objects that no other owns and that are not on their way out."""
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
    """Ask for the removal of these objects, and return those that are asked to go."""
    removed: list[ObjectName] = []
    for leftover in sorted(leftovers):
        try:
            kube.delete(leftover.api_version, leftover.kind, leftover.namespace, leftover.name)
        except DevenvError:
            continue
        removed.append(leftover)
    return removed
