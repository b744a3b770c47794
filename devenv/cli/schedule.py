"""devenv schedule."""

import re
from pathlib import Path

import click

from devenv.cli.options import name_option, named, output_option, profile_option
from devenv.errors import DevenvError, Exit


def _time(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[int, int]:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value):
        raise click.BadParameter(f"{value!r} is no time of day; write it like 11:45")
    hour, minute = value.split(":")
    return int(hour), int(minute)


@click.group("schedule")
def COMMAND() -> None:  # noqa: N802 - found by this name
    """Schedule a daily prune and health check."""


@COMMAND.command("install")
@click.option("--at", callback=_time, default="11:45", show_default=True, help="The time of day.")
@click.option("--weekdays", is_flag=True, help="From Monday to Friday only.")
@click.option("--recover", is_flag=True, help="Repair what doctor finds then, too.")
@name_option
@profile_option
@output_option
def install(
    at: tuple[int, int],
    cluster: str,
    profile: str | None,
    output: str,
    *,
    weekdays: bool,
    recover: bool,
) -> None:
    """Install the daily job, replacing an earlier one.

    The job is a systemd user timer, a launchd agent or a crontab entry. It removes without asking what `devenv prune
    --dry-run` would list, and only if a budget is exceeded. It journals each removal first: `devenv prune --history`.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import schedule as show  # noqa: PLC0415

    with wiring.world() as world:
        if named():
            world.refuse_unknown(cluster)
        state = world.schedule.install(
            at, cluster, world.choice(cluster, profile).name, weekdays=weekdays, recover=recover
        )
    show.status_json(state) if output == "json" else show.installed(state)


@COMMAND.command("status")
@output_option
def status(output: str) -> int:
    """Show the next run, the last run and its result. Exits with 1 if the job is not installed."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import schedule as show  # noqa: PLC0415

    with wiring.world() as world:
        state = world.schedule.status()
    show.status_json(state) if output == "json" else show.status(state)
    return Exit.OK if state.present else Exit.FAILED


@COMMAND.command("remove")
@output_option
def remove(output: str) -> None:
    """Remove the daily job, and leave nothing of it."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import schedule as show  # noqa: PLC0415

    with wiring.world() as world:
        removed = world.schedule.remove()
    show.removed_json(removed) if output == "json" else show.removed(removed)


@COMMAND.command("run")
@click.option(
    "--job",
    type=click.Path(path_type=Path),
    help="The job's file. [default: the one that is installed]",
)
@output_option
def run(job: Path | None, output: str) -> int:
    """Run the job now, as it is installed. Exits with 1 if something still does not work."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import schedule as show  # noqa: PLC0415

    with wiring.world() as world:
        installed = world.schedule.enter(job)
        try:
            report = world.scheduled(installed).run()
        except (
            DevenvError
            # A profile or settings that are wrong by now: nobody would see it.
        ) as error:
            world.schedule.keep(str(error))
            raise
    show.ran_json(report) if output == "json" else show.ran(report)
    return Exit.OK if report.well else Exit.FAILED
