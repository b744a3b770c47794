"""devenv logs."""

import math
from contextlib import suppress
from datetime import datetime

import click

from devenv.cli import values
from devenv.cli.additions import leave_out_total
from devenv.cli.durations import seconds_of
from devenv.cli.options import name_option, output_option, profile_option
from devenv.ports.names import Names

# Seconds: the age of lines without any option that limits them, and what is added to an age that
# is reckoned from a time.
_RECENT, _MARGIN = 600, 60


def _time(_ctx: click.Context, _option: click.Parameter, value: str | None) -> float:
    """Return a time in seconds since 1970, 0 if none was given."""
    if value is None:
        return 0.0
    moment = None
    with suppress(ValueError):
        moment = datetime.fromisoformat(value)
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            f"{value!r} is not a time with its zone; write it like 2026-01-31T14:05:00Z"
        )
    return moment.timestamp()


@click.command("logs")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...", shell_complete=values.workloads)
@name_option
@profile_option
@click.option(
    "--since",
    callback=seconds_of,
    metavar="DURATION",
    help="Show lines that are at most this old: 30s, 10m, 2h. "
    "[default: 10m; any age with --since-time, --tail or --previous]",
)
@click.option(
    "--since-time",
    "begin",
    callback=_time,
    metavar="TIME",
    help="Show lines from this time on, such as 2026-01-31T14:05:00Z (RFC 3339).",
)
@click.option(
    "--tail",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show only the last N lines of each container.",
)
@click.option(
    "-p",
    "--previous",
    is_flag=True,
    help="Show only what containers wrote before their last restart.",
)
@click.option(
    "--problems",
    is_flag=True,
    help="Show only errors, failed requests, and lines that doctor knows.",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    components: Names,
    cluster: str,
    profile: str | None,
    since: int,
    begin: float,
    tail: int | None,
    output: str,
    *,
    problems: bool,
    previous: bool,
    follow: bool,
) -> None:
    """Show the components' logs, merged by time.

    Shows all components if you name none. Marks lines that doctor knows with their code, and
    translates Envoy's access log into words. -o json prints one line per entry.
    """
    if since and begin:
        raise click.UsageError("--since and --since-time both choose the age: pass only one.")
    if previous and follow:
        raise click.UsageError(
            "--previous shows what has ended, so --follow has nothing to follow."
        )
    if follow:
        leave_out_total()
    from devenv import wiring
    from devenv.facts.logs import LogRange
    from devenv.ui.logs import print_logs, say_that_there_are_none

    with wiring.world() as world, suppress(KeyboardInterrupt):
        if begin:
            # Some more: the API server's clock may differ. The reader cuts at the exact time.
            since = max(0, math.ceil(world.clock.now() - begin)) + _MARGIN
        elif not (since or tail or previous):
            since = _RECENT
        log_range = LogRange(since, begin, tail or 0, previous)
        reader = world.logs(cluster, world.choice(cluster, profile, looking=True).profile)
        reader.check(components)
        read = reader.follow if follow else reader.read
        lines = read(components, log_range)
        if problems:
            lines = (line for line in lines if line.problem)
        if not print_logs(lines, output):
            say_that_there_are_none(log_range, problems=problems)
