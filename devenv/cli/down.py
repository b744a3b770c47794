"""devenv down."""

import click

from devenv.cli.options import name_option, output_option, wait_option
from devenv.errors import Exit


@click.command("down")
@name_option
@wait_option
@click.option("--purge", is_flag=True, help="List, and then remove, the images that devenv built and its caches too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", is_flag=True, help="Purge without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, output: str, *, wait: float, purge: bool, dry_run: bool, yes: bool
) -> int:
    """Remove the cluster: its nodes with their volumes, and its context in the kubeconfig. Images and caches stay.

    A cluster that was adopted stays too: only what devenv brought into it is taken out.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts, reports  # noqa: PLC0415

    stayed: list[str] = []
    with wiring.world() as world:
        down = world.down(cluster)
        removal = down.plan() if dry_run else down.run(wait)
        items = world.purge.plan() if purge else []
        if items and not dry_run:
            reports.listed(items)
            prompts.confirm_or_stop("Remove all of this?", "Nothing more was removed.", assume_yes=yes)
            stayed = world.purge.apply(items, wait)
    if output == "json":
        removed = [i.name for i in items if not any(s.startswith(f"{i.name}:") for s in stayed)]
        reports.emit_json("down", reports.down_json(cluster, removal, dry_run=dry_run, purged=removed, stayed=stayed))
    else:
        reports.down(cluster, removal, dry_run=dry_run)
        reports.purged(items, stayed, dry_run=dry_run)
    return Exit.FAILED if stayed or removal.stayed else Exit.OK
