"""Which codes have tests of their own, and what all checks find in facts."""

from collections.abc import Callable

import pytest

from devenv.diagnosis.diagnose import CHECKS
from devenv.diagnosis.model import Finding
from devenv.facts.model import Facts
from tests.unit.diagnosis.typed import faults_of_fix

# code → the names of its tests
COVERED: dict[str, list[str]] = {}


def covers(code: str) -> Callable:
    """Mark a test as one of a code's own, and give it that code."""

    def mark(test: Callable) -> Callable:
        COVERED.setdefault(code, []).append(test.__qualname__)
        return pytest.mark.parametrize("code", [code])(test)

    return mark


def findings(facts: Facts) -> list[Finding]:
    """Return what all checks find, the harmless too. What each says to type can be typed."""
    every = [finding for check in CHECKS for finding in check(facts)]
    faults = [fault for finding in every for fix in finding.fix for fault in faults_of_fix(fix)]
    assert not faults, faults
    return sorted(every, key=lambda finding: (finding.code, str(finding.subject)))


def codes(facts: Facts) -> list[str]:
    return [finding.code for finding in findings(facts)]


def only_finding(facts: Facts) -> Finding:
    """Return the finding of facts in which one thing is broken."""
    every = findings(facts)
    assert len(every) == 1, [(finding.code, str(finding.subject)) for finding in every]
    return every[0]


def is_command(line: str) -> bool:
    """Whether a line of a fix can be typed as it stands."""
    return line.startswith(("devenv ", "kubectl ", "sudo ", "docker "))
