"""The facts of a healthy cluster are kept, others are not, and nothing is lost if they can't be."""

import pytest

from devenv.diagnosis.good import GoodFacts
from devenv.facts import files
from devenv.facts.model import parse
from tests.paths import INCIDENTS


def facts(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


@pytest.fixture
def good(fakes):
    return GoodFacts(fakes.host, fakes.reporter)


def test_healthy_facts_are_kept(good):
    good.keep("c", lambda: facts("healthy"))
    assert files.read(good.path("c")).cluster == facts("healthy").cluster
    assert good.path("c").stat().st_mode & 0o777 == 0o600


def test_facts_of_a_fault_are_not(good):
    good.keep("c", lambda: facts("the-incident"))
    assert not good.path("c").exists()


def test_a_full_disk_is_told_and_no_error(good, fakes):
    def refused():
        raise OSError(28, "No space left on device")

    good.keep("c", refused)
    assert any("No space left on device" in line for line in fakes.reporter.said)
