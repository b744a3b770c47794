"""Odd values, and documents with one of them somewhere. DEVENV_FUZZ=N tries N examples, and others each time."""

import copy
import os
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from devenv.base.errors import DevenvError

_ASKED = os.environ.get("DEVENV_FUZZ", "")
GONE = object()
ODD = [
    GONE, None, "x", "", 7, -1, 10**30, 1.5, True, [], {}, [None], {"a": None}, ["x"], [[]], "\x00\x1b[31m", "9" * 5000,
]  # fmt: skip


def bounded(examples: int) -> settings:
    return settings(
        max_examples=int(_ASKED or examples), derandomize=not _ASKED, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document, of items that are alike the first alone."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value[:2]):
            yield from paths(inner, (*path, number))


def kinds(value: Any) -> list[tuple[Any, ...]]:
    """Return one path of each kind: the same keys, whatever the numbers between them."""
    by_kind = {
        tuple("#" if isinstance(key, int) else key for key in path): path for path in paths(value)
    }
    return sorted(by_kind.values(), key=str)


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a document that has this value there, or nothing."""
    if not path:
        return None if value is GONE else copy.deepcopy(value)
    changed = copy.deepcopy(document)
    node = changed
    for key in path[:-1]:
        node = node[key]
    if value is GONE:
        del node[path[-1]]
    else:
        node[path[-1]] = copy.deepcopy(value)
    return changed


def refusal(call: Callable[[], object]) -> DevenvError | None:
    """Call, and return the error in devenv's own words; any other is a crash."""
    try:
        call()
    except DevenvError as error:
        return error
    return None


odd_values = st.sampled_from(ODD)
