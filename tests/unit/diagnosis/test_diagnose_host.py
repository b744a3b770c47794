"""What the machine and its engine have to do with a verdict."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.ui.diagnosis import lines
from tests.unit.diagnosis.test_diagnose_incidents import read


@pytest.mark.parametrize("name", ["healthy", "redis-is-down", "the-incident"])
def test_a_frozen_holder_of_the_lock_changes_nothing_in_the_verdict(name):
    facts = read(name)
    before = diagnose(facts)
    after = diagnose(facts.model_copy(update={"frozen": "process 7, for 3 h"}))
    assert (after.causes, after.progress, after.healthy) == (
        before.causes,
        before.progress,
        before.healthy,
    )
    (told,) = [line for line in lines(after) if "process 7, for 3 h" in line]
    assert "DE107" in told


def test_a_holder_that_works_is_progress():
    after = diagnose(read("redis-is-down").model_copy(update={"changing": "process 7"}))
    assert [c.root.code for c in after.progress] == ["DE107"]
