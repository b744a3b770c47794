"""Reads the parts of Kubernetes objects that every object may have.

The API server leaves an empty part out, or gives null for it. Here both count as empty.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from devenv.ports.kube import Manifest

Fields = Mapping[str, Any]


def name_of(obj: Fields) -> str:
    """Return `metadata.name`. Every object has one, so its absence is a KeyError."""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Fields) -> str:
    """Return `metadata.namespace`, "" for an object of the whole cluster."""
    return str(obj["metadata"].get("namespace") or "")


def full_name(obj: Fields) -> str:
    """Return an object's name for a sentence: NAMESPACE/NAME, or NAME if it has no namespace."""
    if namespace := namespace_of(obj):
        return f"{namespace}/{name_of(obj)}"
    return name_of(obj)


def labels_of(obj: Fields) -> Mapping[str, str]:
    """Return the labels of an object, or of a pod template."""
    return fields_of(obj.get("metadata"), "labels")


def annotations_of(obj: Fields) -> Mapping[str, str]:
    """Return the annotations of an object, or of a pod template."""
    return fields_of(obj.get("metadata"), "annotations")


def status_of(obj: Fields) -> Fields:
    """Return `status`, which only controllers write."""
    return fields_of(obj, "status")


def conditions_of(obj: Fields) -> list[Manifest]:
    """Return `status.conditions`."""
    return items_of(status_of(obj), "conditions")


def owners_of(obj: Fields) -> list[Manifest]:
    """Return `metadata.ownerReferences`."""
    return items_of(obj["metadata"], "ownerReferences")


def fields_of(parent: Fields | None, key: str) -> Fields:
    """Return the map under a key."""
    return (parent or {}).get(key) or {}


def items_of(parent: Fields | None, key: str) -> list[Any]:
    """Return the list under a key."""
    return list((parent or {}).get(key) or ())


def is_true(conditions: Iterable[Fields], name: str) -> bool:
    """Whether the conditions hold one of that type with the status True."""
    return any(c.get("type") == name and c.get("status") == "True" for c in conditions)
