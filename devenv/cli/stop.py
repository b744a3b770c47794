"""devenv stop."""

import click

from devenv.cli.options import name_option, output_option, wait_option


@click.command("stop")
@name_option
@wait_option
@output_option
def COMMAND(cluster: str, output: str, *, wait: float) -> None:  # noqa: N802 - found by this name
    """Stop the cluster cleanly, to give its CPU and memory back. `devenv up` starts it again as it was."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        nodes = world.stop(cluster).run(wait)
    if output == "json":
        reports.emit_json("stop", {"cluster": cluster, "nodes": [n.name for n in nodes]})
    else:
        reports.stop(cluster, nodes)
