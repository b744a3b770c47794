"""How one piece of YAML changes another.

Maps merge by key, lists of named items by name, and null removes a key.
"""

from collections.abc import Mapping
from typing import Any


def merge(base: Any, change: Any) -> Any:
    """Return `base` as `change` makes it. Neither is modified."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        return _merge_maps(base, change)
    if _has_named_items(base) and _has_named_items(change):
        return _merge_lists(base, change)
    return change


def _merge_maps(base: Mapping[Any, Any], change: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a map with the changes; a key whose change is null is dropped."""
    merged = dict(base)
    for key, value in change.items():
        if key in base:
            merged[key] = merge(base[key], value)
        elif isinstance(value, Mapping):
            # This drops the keys that are null in it.
            merged[key] = merge({}, value)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


def _merge_lists(base: list[Any], change: list[Any]) -> list[Any]:
    """Return the items of `base`, each with its change, and then the new items."""
    changes = {item["name"]: item for item in change}
    merged = []
    for item in base:
        item_change = changes.pop(item["name"], None)
        if item_change is None:
            merged.append(item)
        else:
            merged.append(merge(item, item_change))
    return [*merged, *changes.values()]


def _has_named_items(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(map(_is_named, value))


def _is_named(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("name"), str)
