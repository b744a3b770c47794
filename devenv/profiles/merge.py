"""How one piece of YAML changes another: maps are merged by key, lists of named things by name, null removes."""

from collections.abc import Mapping
from typing import Any


def merge(base: Any, change: Any) -> Any:
    """Return `base` as `change` makes it. Neither is modified."""
    if isinstance(base, Mapping) and isinstance(change, Mapping):
        merged = {k: merge(v, change[k]) if k in change else v for k, v in base.items()}
        merged |= {
            k: merge({}, v) if isinstance(v, Mapping) else v
            for k, v in change.items()
            if k not in base
        }
        return {k: v for k, v in merged.items() if v is not None}
    if _named(base) and _named(change):
        changes = {item["name"]: item for item in change}
        items = [
            merge(item, changes.pop(item["name"])) if item["name"] in changes else item
            for item in base
        ]
        return [*items, *changes.values()]
    return change


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in value)
    )
