"""Calls of doctor that make no sense, and a saved file."""

import pytest

from devenv.base.errors import Exit
from devenv.cli import app, doctor
from devenv.facts import files
from tests.paths import INCIDENTS

HEALTHY = str(INCIDENTS / "healthy" / "facts.json")


@pytest.mark.parametrize(
    "args",
    [
        ["--from", HEALTHY, "--name", "x"],
        ["--from", HEALTHY, "--context", "x"],
        ["--context", "x", "--name", "y"],
        ["--long", "--from", HEALTHY],
        ["--long", "--context", "x"],
        ["--long", "--timeout", "12"],
    ],
)
def test_what_makes_no_sense_together_is_refused(args):
    assert app.run(["doctor", *args]) == Exit.USAGE


def test_a_name_in_the_environment_is_no_call(monkeypatch, capsys):
    monkeypatch.setenv("DEVENV_CLUSTER", "x")
    assert app.run(["doctor", "--from", HEALTHY]) == Exit.OK
    assert "devenv-test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "seconds"),
    [([], 10), (["--timeout", "3"], 3), (["--long"], 40), (["--long", "--timeout", "60"], 60)],
)
def test_long_requests_have_a_longer_limit(args, seconds, monkeypatch):
    looks = []

    def note(*given, long):
        looks.append((given[-1], long))
        return files.read(INCIDENTS / "healthy" / "facts.json")

    monkeypatch.setattr(doctor, "_collect", note)
    assert app.run(["doctor", *args]) == Exit.OK
    assert looks == [(seconds, "--long" in args)]
