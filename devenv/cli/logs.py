"""devenv logs."""

import re
from contextlib import suppress

import click

from devenv.cli.options import name_option, output_option, profile_option

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smhd])", value)
    if not found or int(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no length of time; write it like 30s, 10m or 2h")
    return int(found[1]) * _UNITS[found[2]]


@click.command("logs")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...")
@name_option
@profile_option
@click.option(
    "--since",
    callback=_seconds,
    default="10m",
    show_default=True,
    help="How far back: 30s, 10m, 2h.",
)
@click.option(
    "--problems", is_flag=True, help="Only errors, failed requests, and lines that doctor knows."
)
@click.option("--follow", is_flag=True, help="Go on showing what is written, until Ctrl-C.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    components: tuple[str, ...],
    cluster: str,
    profile: str | None,
    since: int,
    output: str,
    *,
    problems: bool,
    follow: bool,
) -> None:
    """Show the components' logs merged by time, all of them if none is named, with known lines marked by their code.

    Envoy's access log is shown in words. -o json prints one line an entry.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import logs as show  # noqa: PLC0415

    with wiring.world() as world, suppress(KeyboardInterrupt):
        reader = world.logs(cluster, world.choice(cluster, profile, looking=True).profile)
        reader.check(components)
        found = reader.follow(components, since) if follow else reader.read(components, since)
        shown = (line for line in found if line.problem or not problems)
        show.json_lines(shown) if output == "json" else show.lines(shown)
