"""devenv setup."""

import click

from devenv.cli.options import name_option, output_option, profile_option


@click.command("setup")
@name_option
@profile_option
@click.option("-y", "--yes", is_flag=True, help="Install packages without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, yes: bool
) -> None:
    """Install missing prerequisites and start Docker.

    Installs Docker's packages and, if no registry answers, those that images are built with.
    If it may not install them, it prints the commands that do.
    """
    from devenv import wiring
    from devenv.ui import prompts
    from devenv.ui.render import render
    from devenv.ui.setup import actions

    with wiring.world() as world:
        confirm = prompts.install(assume_yes=yes)
        changes = world.setup(world.choice(cluster, profile), confirm).run()
    render(actions(changes), output)
