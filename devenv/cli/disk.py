"""devenv disk."""

import click

from devenv.cli.options import name_option, named, output_option, profile_option
from devenv.errors import Exit
from devenv.ui.life import sign_of_life


@click.command("disk")
@name_option
@profile_option
@click.option(
    "--all", "everything", is_flag=True, help="Show every image and volume, not only the largest."
)
@output_option
def COMMAND(cluster: str, profile: str | None, output: str, *, everything: bool) -> int:  # noqa: N802 - found by this name
    """Show what uses the disk on this machine, in the engine and in the nodes: each file system once, against its budget.

    Exits with 1 if a budget is exceeded, 4 if the engine or a running node could not be asked.
    """
    with sign_of_life("Looking at the disks"):
        from devenv import wiring  # noqa: PLC0415 - help must not wait for it
        from devenv.ui import disk as show  # noqa: PLC0415

        with wiring.world() as world:
            if named():
                world.refuse_unknown(cluster)
            survey = world.surveyor(
                cluster, world.choice(cluster, profile, looking=True).profile
            ).look(plan=False)
    show.survey_json(survey) if output == "json" else show.survey(survey, everything=everything)
    if any(d.over for d in survey.disks):
        return Exit.FAILED
    return Exit.UNKNOWN if survey.unknown else Exit.OK
