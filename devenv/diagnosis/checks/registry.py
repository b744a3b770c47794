"""The list of all checks. A check is a pure function from facts to findings."""

from collections.abc import Callable, Iterable

from devenv.diagnosis.model import Finding
from devenv.facts.model import Facts

Check = Callable[[Facts], Iterable[Finding]]
# In the order in which the modules of checks are imported.
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Add a function to the checks."""
    CHECKS.append(function)
    return function
