"""devenv disk."""

import click

from devenv.base.errors import Exit
from devenv.cli.options import name_option, named, output_option, profile_option
from devenv.ui.life import sign_of_life


@click.command("disk")
@name_option
@profile_option
@click.option(
    "--all", "everything", is_flag=True, help="Show every image and volume, not only the largest."
)
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, everything: bool
) -> int:
    """Show what uses the disk, and whether it is within its budget.

    Shows each file system of the host, the engine and the nodes once.

    Exits with 1 if a budget is exceeded, 4 if the engine or a running node could not be examined.
    """
    with sign_of_life("Looking at the disks"):
        from devenv import wiring
        from devenv.ui import disk as reports
        from devenv.ui.render import render

        with wiring.world() as world:
            if named():
                world.ownership.refuse_unknown(cluster)
            used_profile = world.choice(cluster, profile, looking=True).profile
            survey = world.surveyor(cluster, used_profile).look(plan=False)
    render(reports.survey(survey, everything=everything), output)
    if any(disk.over for disk in survey.disks):
        return Exit.FAILED
    return Exit.UNKNOWN if survey.unknown else Exit.OK
