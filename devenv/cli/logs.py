"""devenv logs."""

import re
from contextlib import suppress

import click

from devenv.cli.options import name_option, output_option, profile_option
from devenv.ports.names import Names

# Unit → seconds.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if not match or int(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is not a duration; write it like 30s, 10m or 2h")
    return int(match[1]) * _UNITS[match[2]]


@click.command("logs")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...")
@name_option
@profile_option
@click.option(
    "--since",
    callback=_seconds,
    default="10m",
    show_default=True,
    help="Show lines that are at most this old: 30s, 10m, 2h.",
)
@click.option(
    "--problems",
    is_flag=True,
    help="Show only errors, failed requests, and lines that doctor knows.",
)
@click.option("--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    components: Names,
    cluster: str,
    profile: str | None,
    since: int,
    output: str,
    *,
    problems: bool,
    follow: bool,
) -> None:
    """Show the components' logs, merged by time.

    Shows all components if you name none. Marks lines that doctor knows with their code, and
    translates Envoy's access log into words. -o json prints one line per entry.
    """
    from devenv import wiring
    from devenv.ui.logs import print_logs

    with wiring.world() as world, suppress(KeyboardInterrupt):
        reader = world.logs(cluster, world.choice(cluster, profile, looking=True).profile)
        reader.check(components)
        read = reader.follow if follow else reader.read
        lines = read(components, since)
        if problems:
            lines = (line for line in lines if line.problem)
        print_logs(lines, output)
