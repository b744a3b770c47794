"""devenv list."""

import click

from devenv.cli.options import output_option
from devenv.ui.life import sign_of_life


@click.command("list")
@output_option
def COMMAND(output: str) -> None:  # noqa: N802 - found by this name
    """List the clusters: profile, version of AIBrix, state, URL, age and size.

    SIZE is what the cluster's nodes have written to the disk; `?` if the engine does not tell it
    within 3 seconds. `devenv ls` is the same command.
    """
    with sign_of_life("Looking at the clusters"):
        from devenv import wiring
        from devenv.ui.clusters import clusters
        from devenv.ui.render import render

        with wiring.world() as world:
            listed_clusters = world.listing().read()
    render(clusters(listed_clusters), output)
