"""devenv version."""

import click

from devenv.cli.options import name_option, output_option
from devenv.ui.life import sign_of_life


@click.command("version")
@name_option
@output_option
def COMMAND(cluster: str, output: str) -> None:  # noqa: N802 - found by this name
    """Show the versions of devenv, of the programs that it uses, and of what the cluster runs.

    Takes at most a few seconds, and does not fail if something does not answer. `devenv --version`
    prints devenv's own version alone.
    """
    with sign_of_life("Asking for versions"):
        from devenv import wiring
        from devenv.ui.render import render
        from devenv.ui.versions import versions

        with wiring.world() as world:
            all_versions = world.versions(cluster).read()
    render(versions(all_versions), output)
