"""How `logs` reads its options."""

from contextlib import nullcontext
from types import SimpleNamespace

import click
import pytest

from devenv.cli.logs import COMMAND
from devenv.facts.logs import parse


@pytest.mark.parametrize(
    "args",
    [
        ["--since-time", "yesterday"],
        ["--since-time", "2026-01-31"],
        ["--since-time", "2026-01-31T14:05:00"],
        ["--since", "5m", "--since-time", "2026-01-31T14:05:00Z"],
        ["--previous", "--follow"],
        ["--tail", "0"],
    ],
)
def test_a_range_that_makes_no_sense_is_a_wrong_call(args):
    with pytest.raises(click.UsageError):
        COMMAND.main(args, standalone_mode=False)


@pytest.mark.parametrize(
    ("args", "begin"),
    [
        ([], 0.0),
        (["--since-time", "2026-01-31T14:05:00Z"], 1769868300.0),
        (["--since-time", "2026-01-31T14:05:00.5+02:00"], 1769861100.5),
    ],
)
def test_a_time_has_a_zone(args, begin):
    assert COMMAND.make_context("logs", args).params["begin"] == begin


def test_short_options():
    params = COMMAND.make_context("logs", ["-f", "-n", "c", "-o", "json", "redis"]).params
    assert (params["follow"], params["cluster"], params["output"]) == (True, "c", "json")
    assert COMMAND.make_context("logs", ["-p"]).params["previous"]


@pytest.mark.parametrize("lines", [(), ("2026-01-31T14:05:00Z a",)])
def test_that_there_are_no_lines_is_told_beside_the_result(monkeypatch, capsys, lines):
    log_lines = [parse("redis", "redis-1", "master", line) for line in lines]
    reader = SimpleNamespace(check=lambda _: None, read=lambda *_: log_lines)
    choice = SimpleNamespace(profile=None)
    world = SimpleNamespace(logs=lambda *_: reader, choice=lambda *_, **__: choice)
    monkeypatch.setattr("devenv.wiring.world", lambda: nullcontext(world))
    COMMAND.main(["redis"], standalone_mode=False)
    printed = capsys.readouterr()
    assert (bool(printed.out), bool(printed.err)) == (bool(lines), not lines)
