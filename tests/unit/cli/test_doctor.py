"""Calls of doctor that make no sense, and a saved file."""

from pathlib import Path

import pytest

from devenv.cli import app
from devenv.errors import Exit

HEALTHY = str(Path(__file__).parents[2] / "incidents" / "healthy" / "facts.json")


@pytest.mark.parametrize(
    "args",
    [
        ["--from", HEALTHY, "--name", "x"],
        ["--from", HEALTHY, "--context", "x"],
        ["--context", "x", "--name", "y"],
    ],
)
def test_two_ways_to_say_which_cluster_are_refused(args):
    assert app.run(["doctor", *args]) == Exit.USAGE


def test_a_name_in_the_environment_is_no_call(monkeypatch, capsys):
    monkeypatch.setenv("DEVENV_CLUSTER", "x")
    assert app.run(["doctor", "--from", HEALTHY]) == Exit.OK
    assert "devenv-test" in capsys.readouterr().out
