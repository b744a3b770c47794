"""devenv down."""

from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, output_option, wait_option
from devenv.errors import Exit

if TYPE_CHECKING:
    from devenv.lifecycle.down import Removal
    from devenv.lifecycle.purge import PurgePlan


@click.command("down")
@name_option
@wait_option
@click.option(
    "--purge",
    is_flag=True,
    help="Also remove the images that devenv built and its caches; list them and ask first.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="With --purge: also remove images and caches that other clusters use.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Purge without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str,
    output: str,
    *,
    wait: float,
    purge: bool,
    everything: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove the cluster: its nodes, their volumes and its kubeconfig context. Images and caches stay.

    An adopted cluster stays, too: devenv removes only what it brought into it.

    --purge lists everything first, the cluster included, and asks you to type the cluster's name. It never removes another
    cluster, nor an image that you built.
    """
    if everything and not purge:
        raise click.UsageError("--all works only with --purge.")
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.lifecycle.purge import PurgePlan  # noqa: PLC0415
    from devenv.ui import reports  # noqa: PLC0415

    plan, stayed = PurgePlan(), list[str]()
    with wiring.world() as world:
        down = world.down(cluster)
        removal = down.plan() if dry_run or purge else None
        if removal and purge:
            plan = world.purge.plan(cluster, everything=everything)
            if not dry_run:
                _confirm(cluster, removal, plan, yes=yes)
        if removal is None or not dry_run:
            removal = down.run(wait, removal)
            stayed = world.purge.apply(plan.items, wait) if plan.items else []
    if output == "json":
        removed = [
            i.name for i in plan.items if not any(s.startswith(f"{i.name}:") for s in stayed)
        ]
        shape = reports.down_json(cluster, removal, dry_run=dry_run, purged=removed, stayed=stayed)
        reports.emit_json("down", shape | reports.kept_json(plan))
    else:
        reports.down(cluster, removal, dry_run=dry_run)
        reports.purged(plan, stayed, dry_run=dry_run)
    return Exit.FAILED if stayed or removal.stayed else Exit.OK


def _confirm(cluster: str, removal: "Removal", plan: "PurgePlan", *, yes: bool) -> None:
    """List what would go and what stays, and ask once. Raises DevenvError unless the answer is a clear yes."""
    from devenv.ui import prompts, reports  # noqa: PLC0415 - only where something is purged

    if removal.is_empty and not plan.items:
        return
    reports.to_purge(cluster, removal, plan)
    if removal.is_empty:
        prompts.confirm_or_stop("Remove all of this?", "Nothing was removed.", assume_yes=yes)
        return
    question = f"Type {cluster} to remove all of this:"
    prompts.typed_or_stop(question, cluster, "Nothing was removed.", assume_yes=yes)
