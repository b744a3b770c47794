"""devenv config view."""

import click

from devenv.cli.options import name_option, output_option, profile_option
from devenv.cli.origins import sources
from devenv.cli.suggestions import SuggestingGroup


@click.group("config", cls=SuggestingGroup)
def COMMAND() -> None:  # noqa: N802 - found by this name
    """Show what applies here, and where it is set."""


@COMMAND.command("view")
@name_option
@profile_option
@output_option
@click.pass_context
def view(ctx: click.Context, cluster: str, profile: str | None, output: str) -> None:
    """Show paths, settings and variables, each with its source.

    Values are those of config.yaml if it has them, otherwise the profile's. To change one, edit
    config.yaml. Asks neither the engine nor the API server.
    """
    from devenv import wiring
    from devenv.ui.configuration import configuration
    from devenv.ui.render import render

    with wiring.world() as world:
        reader = world.configuration(cluster, profile, sources(ctx))
    render(configuration(reader.read()), output)
