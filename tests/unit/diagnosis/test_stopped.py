"""A cluster that its user has stopped is told as that, and one that ended otherwise is not."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.read import ago
from tests.unit.diagnosis.test_incidents import read

TAKEN = 1_800_000_000.0


def finding(status, ended, stopped):
    facts = read("node-paused")
    node = facts.nodes[0].model_copy(update={"status": status, "ended": ended})
    found = diagnose(
        facts.model_copy(
            update={"nodes": (node,), "stopped": stopped, "taken": TAKEN, "port_owner": ""}
        )
    )
    return next(cause.root for cause in found.causes if cause.root.code == "DE203")


@pytest.mark.parametrize(("status", "ended", "stopped", "by_command"), [
    ("exited", TAKEN - 300, TAKEN - 299, True),
    ("exited", TAKEN - 300, 0.0, False),
    # It was started again otherwise, and ended again.
    ("exited", TAKEN - 300, TAKEN - 9000, False),
    ("paused", TAKEN - 300, TAKEN - 299, False),
])  # fmt: skip
def test_the_users_own_stop_is_named(status, ended, stopped, by_command):
    says = finding(status, ended, stopped).says
    assert ("`devenv stop`, 5 min ago" in says) is by_command
    assert (status in says) is not by_command


@pytest.mark.parametrize(("span", "text"), [
    (-3, "0 s"), (20, "20 s"), (40, "1 min"), (300, "5 min"), (5000, "83 min"), (7300, "2 h"),
])  # fmt: skip
def test_a_time_is_said_as_a_person_says_it(span, text):
    assert ago(span) == text
