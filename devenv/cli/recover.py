"""devenv recover."""

from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, named, output_option, profile_option, wait_option

if TYPE_CHECKING:
    from devenv.recovery.proposal import Proposal


@click.command("recover")
@name_option
@profile_option
@wait_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Repair without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, wait: float, dry_run: bool, yes: bool
) -> int:
    """Repair what `doctor` finds, step by step, and verify the result.

    Shows the plan and asks first. Ends with the live requests.

    On a full disk, deletes devenv's own caches there and unused images in the node; it lists each
    of them before it asks. Shows what it can't repair, with the fix.
    """
    from devenv import wiring
    from devenv.ui import prompts
    from devenv.ui import recovery as reports
    from devenv.ui.render import render, show_aside

    has_changed = False

    def agree(proposal: "Proposal") -> None:
        nonlocal has_changed
        show_aside(reports.plan(cluster, proposal))
        otherwise = "Nothing more was changed." if has_changed else "Nothing was changed."
        prompts.confirm_or_stop("Do this?", otherwise, assume_yes=yes)
        has_changed = True

    with wiring.world() as world:
        if named():
            world.ownership.refuse_unknown(cluster)
        recover = world.recover(cluster, world.choice(cluster, profile), agree)
        if dry_run:
            proposal = recover.propose()
            render(reports.plan(cluster, proposal), output)
            return proposal.diagnosis.exit_code
        result = recover.run(wait)
    render(reports.recovery(result), output)
    return result.after.exit_code
