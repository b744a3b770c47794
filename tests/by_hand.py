"""Slow tests of the cluster tier that `make test` leaves out: what they show, others show on another layer or case.

`DEVENV_EXHAUSTIVE=1` runs them, too.
"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

exhaustive = pytest.mark.exhaustive


def cases(names: Iterable[str], *, by_hand: Collection[str]) -> list[Any]:
    """Return a parameter for each name; those in `by_hand` have the mark."""
    names = list(names)
    assert set(by_hand) <= set(names)
    return [pytest.param(name, marks=exhaustive if name in by_hand else ()) for name in names]
