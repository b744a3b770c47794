"""devenv recover."""

from typing import TYPE_CHECKING

import click

from devenv.cli.doctor import exit_code
from devenv.cli.options import name_option, output_option, profile_option, wait_option

if TYPE_CHECKING:
    from devenv.recovery.recover import Proposal


@click.command("recover")
@name_option
@profile_option
@wait_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and do nothing.")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, wait: float, dry_run: bool, yes: bool
) -> int:
    """Repair what `doctor` finds: show the plan, carry it out step by step, and end with the live requests.

    On a full disk, deletes devenv's own caches there and images that nothing in the node uses, each listed first. Shows
    what it can't repair, with the fix.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts  # noqa: PLC0415
    from devenv.ui import recovery as show  # noqa: PLC0415

    rounds = 0

    def agree(proposal: "Proposal") -> None:
        nonlocal rounds
        show.proposal(proposal)
        prompts.confirm_or_stop(
            "Do this?",
            "Nothing more was changed." if rounds else "Nothing was changed.",
            assume_yes=yes,
        )
        rounds += 1

    with wiring.world() as world:
        recover = world.recover(cluster, world.choice(cluster, profile), agree)
        if dry_run:
            proposed = recover.propose()
            show.planned_json(cluster, proposed) if output == "json" else show.planned(proposed)
            return exit_code(proposed.diagnosis)
        result = recover.run(wait)
    show.recovery_json(result) if output == "json" else show.recovery(result)
    return exit_code(result.after)
