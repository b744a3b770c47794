"""How `logs` reads its options."""

import click
import pytest

from devenv.cli.logs import COMMAND


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
