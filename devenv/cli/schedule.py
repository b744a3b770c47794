"""devenv schedule."""

import re
from pathlib import Path

import click

from devenv.base.errors import DevenvError, Exit
from devenv.cli.options import name_option, named, output_option, profile_option
from devenv.cli.suggestions import SuggestingGroup


def _time(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[int, int]:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", value):
        raise click.BadParameter(f"{value!r} is not a time of day; write it like 11:45")
    hour, minute = value.split(":")
    return int(hour), int(minute)


@click.group("schedule", cls=SuggestingGroup)
def COMMAND() -> None:  # noqa: N802 - found by this name
    """Schedule a daily prune and health check."""


@COMMAND.command("install")
@click.option("--at", callback=_time, default="11:45", show_default=True, help="Time of day.")
@click.option("--weekdays", is_flag=True, help="Run only from Monday to Friday.")
@click.option("--recover", is_flag=True, help="Also repair what doctor finds.")
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

    The job is a systemd user timer, a launchd agent or a crontab entry. If a budget is exceeded, it
    removes what `devenv prune --dry-run` would list, without asking. `devenv prune --history` shows
    each removal.
    """
    from devenv import wiring
    from devenv.ui import schedule as reports
    from devenv.ui.render import render

    with wiring.world() as world:
        if named():
            world.ownership.refuse_unknown(cluster)
        profile_name = world.choice(cluster, profile).name
        state = world.schedule.install(
            at, cluster, profile_name, weekdays=weekdays, recover=recover
        )
    render(reports.installed(state), output)


@COMMAND.command("status")
@output_option
def status(output: str) -> int:
    """Show the next run, the last run and its result.

    Exits with 1 if the job is not installed.
    """
    from devenv import wiring
    from devenv.ui import schedule as reports
    from devenv.ui.render import render

    with wiring.world() as world:
        state = world.schedule.status()
    render(reports.status(state), output)
    return Exit.OK if state.present else Exit.FAILED


@COMMAND.command("remove")
@output_option
def remove(output: str) -> None:
    """Remove the daily job completely."""
    from devenv import wiring
    from devenv.ui import schedule as reports
    from devenv.ui.render import render

    with wiring.world() as world:
        backends = world.schedule.remove()
    render(reports.removed(backends), output)


@COMMAND.command("run")
@click.option(
    "--job", type=click.Path(path_type=Path), help="Job file. [default: the installed one]"
)
@output_option
def run(job: Path | None, output: str) -> int:
    """Run the installed job now.

    Exits with 1 if a problem remains.
    """
    from devenv import wiring
    from devenv.ui import schedule as reports
    from devenv.ui.render import render

    with wiring.world() as world:
        installed_job = world.schedule.enter(job)
        try:
            report = world.scheduled(installed_job).run()
        except DevenvError as error:
            # Nobody sees an error of cron's, such as a profile that is invalid by now.
            world.schedule.keep(str(error))
            raise
    render(reports.ran(report), output)
    return Exit.OK if report.well else Exit.FAILED
