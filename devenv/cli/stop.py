"""devenv stop."""

import click

from devenv.cli.options import name_option, output_option, wait_option


@click.command("stop")
@name_option
@wait_option
@output_option
def COMMAND(cluster: str, output: str, *, wait: float) -> None:  # noqa: N802 - found by this name
    """Stop the cluster to free its CPU and memory.

    `devenv up` starts it again as it was.
    """
    from devenv import wiring
    from devenv.ui.render import render
    from devenv.ui.status import stopped

    with wiring.world() as world:
        nodes = world.stop(cluster).run(wait)
    render(stopped(cluster, nodes), output)
