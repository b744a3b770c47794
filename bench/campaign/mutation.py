"""Random changes of one field: which, to what, and what stands on the changed object's way.

Pure: the same seed and the same objects give the same changes, so that a campaign can be resumed.
"""

import copy
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Manifest = Mapping[str, Any]
Path = tuple[str | int, ...]
# Fields that name an object: another name would be another object.
_IDENTITY = frozenset({"apiVersion", "kind", "metadata", "status"})
# Kinds whose fields are thousands of lines of a schema.
_UNCHANGED_KINDS = frozenset({"CustomResourceDefinition", "Namespace"})
# Kinds that only lead from one object to another.
_LINKS = frozenset({"ClusterRoleBinding", "RoleBinding", "ClusterRole", "Role", "ServiceAccount"})
_SHORTEST_NAME = 4
# How often a field is taken away.
_TAKEN_AWAY = 0.2


@dataclass(frozen=True)
class Change:
    """One field of one object with another value. `value` is None if the field is taken away."""

    kind: str
    namespace: str
    name: str
    path: Path
    before: Any
    value: Any

    def __str__(self) -> str:
        place = "/".join(map(str, self.path))
        return f"{self.kind} {self.namespace}/{self.name} {place}: {self.before!r} → {self.value!r}"


def changeable(objects: Iterable[Manifest]) -> list[Manifest]:
    """Return the objects of which a field may be changed."""
    return [obj for obj in objects if obj["kind"] not in _UNCHANGED_KINDS and list(leaves(obj))]


def leaves(obj: Manifest) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the value of each field that holds no others."""
    for key, value in obj.items():
        if key not in _IDENTITY:
            yield from _leaves((key,), value)


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves((*path, key), part)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from _leaves((*path, number), part)
    else:
        yield path, value


def choose(objects: Sequence[Manifest], chance: random.Random) -> Change:
    """Return a change of one field; each object is as likely as any other."""
    obj = chance.choice(objects)
    path, before = chance.choice(list(leaves(obj)))
    metadata = obj["metadata"]
    return Change(
        kind=obj["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        path=path,
        before=before,
        value=_other_value(before, chance),
    )


def _other_value(value: Any, chance: random.Random) -> Any:
    """Return a value of the same type that differs, or None to take the field away."""
    if chance.random() < _TAKEN_AWAY:
        return None
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return chance.choice([0, value + 1, value * 10])
    if isinstance(value, str) and value:
        place = chance.randrange(len(value))
        return f"{value[:place]}x{value[place + 1 :]}" if value[place] != "x" else f"{value}y"
    return None


def applied(obj: Manifest, change: Change) -> dict[str, Any]:
    """Return a copy of the object with the change.

    Raises LookupError or TypeError if it has no such field.
    """
    changed = copy.deepcopy(dict(obj))
    *way, last = change.path
    holder: Any = changed
    for key in way:
        holder = holder[key]
    holder[last]
    if change.value is None:
        del holder[last]
    else:
        holder[last] = change.value
    return changed


# What stands on an object's way


def way_of(change: Change, objects: Sequence[Manifest]) -> frozenset[str]:
    """Return the names of the changed object, of its owners, and of what refers to it or it to.

    `objects` are those of the cluster as they were. Roles and accounts only lead on to others.
    """
    names_by_object = {id(obj): obj["metadata"]["name"] for obj in objects}
    first = [obj for obj in objects if _is(obj, change)]
    reached = {id(obj): obj for obj in first}
    queue = list(first)
    while queue:
        current = queue.pop()
        if current not in first and current["kind"] not in _LINKS and not _is_owned(current):
            continue
        for obj in objects:
            if id(obj) not in reached and _are_joined(current, obj):
                reached[id(obj)] = obj
                queue.append(obj)
    return frozenset({change.name} | {names_by_object[key] for key in reached})


def _is(obj: Manifest, change: Change) -> bool:
    metadata = obj["metadata"]
    key = (obj["kind"], metadata.get("namespace", ""), metadata["name"])
    return key == (change.kind, change.namespace, change.name)


def _is_owned(obj: Manifest) -> bool:
    return bool(obj["metadata"].get("ownerReferences"))


def _are_joined(one: Manifest, other: Manifest) -> bool:
    """Whether one of the two names the other, or selects it by its labels."""
    return _names(one, other) or _names(other, one)


def _names(one: Manifest, other: Manifest) -> bool:
    name = other["metadata"]["name"]
    if len(name) < _SHORTEST_NAME:
        return False
    return name in _strings(one) or _selects(one, other)


def _strings(obj: Manifest) -> set[str]:
    owners = obj["metadata"].get("ownerReferences") or ()
    texts = {str(value) for _, value in leaves(obj)}
    return texts | {owner["name"] for owner in owners}


def _selects(service: Manifest, workload: Manifest) -> bool:
    if service["kind"] != "Service":
        return False
    selector = service.get("spec", {}).get("selector") or {}
    template = workload.get("spec", {}).get("template") or {}
    labels = template.get("metadata", {}).get("labels") or {}
    return bool(selector) and selector.items() <= labels.items()
