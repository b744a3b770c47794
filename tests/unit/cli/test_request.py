"""How `request` reads its options."""

import click
import pytest

from devenv.cli import requesting
from devenv.cli.request import COMMAND
from devenv.gates.single import Question


@pytest.mark.parametrize(
    "args",
    [
        ["hello", "--route", "models"],
        ["--route", "models", "--model", "m"],
        ["--route", "plain", "--strategy", "random"],
        ["--raw", "-o", "json"],
        ["--raw", "--for", "30s"],
        ["--concurrency", "2"],
        ["--concurrency", "0", "--for", "30s"],
        ["--for", "30"],
        ["one", "two"],
    ],
)
def test_options_that_make_no_sense_together_are_wrong_usage(args):
    with pytest.raises(click.UsageError):
        COMMAND.main(args, standalone_mode=False)


@pytest.fixture
def calls(monkeypatch):
    """What the command calls, with what."""
    calls = []
    monkeypatch.setattr(
        requesting, "ask_once", lambda *args, **kwargs: calls.append((args, kwargs))
    )
    monkeypatch.setattr(requesting, "keep_asking", lambda *args: calls.append(args))
    return calls


def test_one_request_goes_by_the_strategy(calls):
    COMMAND.main(["who are you", "--model", "m", "--raw"], standalone_mode=False)
    asked = requesting.Asked("devenv", None, Question("m", prompt="who are you"), 30.0, "text")
    assert calls == [((asked, "extension"), {"is_raw": True})]


@pytest.mark.parametrize(
    ("args", "route", "concurrency", "seconds"),
    [
        (["--for", "30s"], None, 1, 30),
        (["--for", "2m", "--concurrency", "8"], None, 8, 120),
        (["--for", "30s", "--route", "extension", "--strategy", "pd"], "extension", 1, 30),
    ],
)
def test_a_series_takes_all_routes_unless_one_is_named(calls, args, route, concurrency, seconds):
    COMMAND.main(args, standalone_mode=False)
    ((_, *rest),) = calls
    assert rest == [route, concurrency, seconds]
