"""Divides items by a predicate."""

from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


def partition(
    items: Iterable[_Item], predicate: Callable[[_Item], bool]
) -> tuple[list[_Item], list[_Item]]:
    """Return the items for which the predicate holds, and the others, each in their order."""
    matching_items: list[_Item] = []
    other_items: list[_Item] = []
    for item in items:
        if predicate(item):
            matching_items.append(item)
        else:
            other_items.append(item)
    return matching_items, other_items
