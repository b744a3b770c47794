"""devenv down."""

import click

from devenv.cli.options import name_option, output_option, wait_option


@click.command("down")
@name_option
@wait_option
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@output_option
def COMMAND(cluster: str, output: str, *, dry_run: bool, wait: float) -> None:  # noqa: N802 - found by this name
    """Remove the cluster: its nodes with their volumes, and its context in the kubeconfig. Images and caches stay."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        down = world.down(cluster)
        nodes = down.plan() if dry_run else down.run(wait)
    if output == "json":
        reports.emit_json("down", {"cluster": cluster, "dry_run": dry_run, "nodes": [n.name for n in nodes]})
    else:
        reports.down(cluster, nodes, dry_run=dry_run)
