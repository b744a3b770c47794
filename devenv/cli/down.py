"""devenv down."""

from typing import TYPE_CHECKING

import click

from devenv.base.errors import Exit
from devenv.cli.options import name_option, output_option, wait_option

if TYPE_CHECKING:
    from devenv.cluster.down import Removal
    from devenv.workstation.purge import PurgePlan


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
@click.option("-y", "--yes", is_flag=True, help="Purge without asking.")
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
    """Remove the cluster: its nodes, their volumes and its kubeconfig context.

    Images and caches stay. An adopted cluster stays, too: devenv removes only what it added.

    --purge lists everything first, the cluster included, and asks you to type the cluster's name.
    It never removes another cluster, nor an image that you built.
    """
    if everything and not purge:
        raise click.UsageError("--all works only with --purge.")
    from devenv import wiring
    from devenv.ui.down import Teardown, down
    from devenv.ui.render import render
    from devenv.workstation.purge import PurgePlan

    plan, stayed = PurgePlan(), list[str]()
    with wiring.world() as world:
        teardown = world.down(cluster)
        listed = None
        if purge:
            listed = teardown.plan()
            plan = world.purge.plan(cluster, everything=everything)
        if dry_run:
            removal = listed or teardown.plan()
        else:
            if listed:
                _confirm(cluster, listed, plan, yes=yes)
            removal = teardown.run(wait, listed)
            if plan.items:
                stayed = world.purge.apply(plan.items, wait)
    result = Teardown(cluster, removal, plan, tuple(stayed), dry_run)
    render(down(result), output)
    return Exit.OK if result.is_complete else Exit.FAILED


def _confirm(cluster: str, removal: "Removal", plan: "PurgePlan", *, yes: bool) -> None:
    """List what would go and what stays, and ask once.

    Raises DevenvError unless the answer is yes.
    """
    from devenv.ui import prompts
    from devenv.ui.down import show_purge

    if removal.is_empty and not plan.items:
        return
    show_purge(cluster, removal, plan)
    if removal.is_empty:
        prompts.confirm_or_stop("Remove all of this?", "Nothing was removed.", assume_yes=yes)
        return
    question = f"Type {cluster} to remove all of this:"
    prompts.typed_or_stop(question, cluster, "Nothing was removed.", assume_yes=yes)
