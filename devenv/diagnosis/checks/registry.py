"""The list of checks. A check is a pure function from facts to findings."""

from collections.abc import Callable, Iterable

from devenv.diagnosis.model import Finding
from devenv.facts.model import Facts

Check = Callable[[Facts], Iterable[Finding]]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Make a function one of the checks."""
    CHECKS.append(function)
    return function
