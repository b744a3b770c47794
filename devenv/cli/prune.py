"""devenv prune."""

from typing import TYPE_CHECKING

import click

from devenv.base.errors import Exit
from devenv.cli import values
from devenv.cli.options import name_option, named, output_option, profile_option, wait_option
from devenv.ui.life import sign_of_life

if TYPE_CHECKING:
    from devenv.disk.prune import Proposal


def _size(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    from devenv.profiles.quantities import parse

    if value is None:
        return None
    if value.isdigit():
        raise click.BadParameter(f"{value!r} has no unit; write it like 64Mi or 2Gi")
    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("prune")
@name_option
@profile_option
@wait_option
@click.option(
    "--free",
    callback=_size,
    metavar="SIZE",
    help="Free this much (such as 5Gi) on one disk, even if its budget is not exceeded.",
)
@click.option(
    "--on",
    "place",
    metavar="DISK",
    shell_complete=values.places,
    help="Only this disk: host, engine or a node. [default: all; with --free: engine]",
)
@click.option(
    "--caches",
    is_flag=True,
    help="Also remove devenv's own caches; the next build takes longer.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@click.option("--history", is_flag=True, help="Show past removals, and how much each freed.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str,
    profile: str | None,
    output: str,
    *,
    wait: float,
    free: int | None,
    place: str | None,
    caches: bool,
    dry_run: bool,
    yes: bool,
    history: bool,
) -> int:
    """Free disk space without harming the cluster.

    Lists what may go, cheapest first, then removes exactly that, until the disk is `headroom` below
    its budget's limit. Images without a name and build cache that no image needs go first, whatever
    their age.

    Never removes what a container or workload uses, even if it is stopped or scaled to zero; kind's
    node images; volumes; networks; what the profile or config.yaml protects; or images with a name
    that were loaded, built or used in the last 24 hours.
    """
    with sign_of_life("Looking for what may go"):
        from devenv import wiring
        from devenv.disk.prune import USER
        from devenv.ui import prompts
        from devenv.ui import prune as reports
        from devenv.ui.render import render, show_aside

    with wiring.world() as world:
        with sign_of_life("Looking for what may go"):
            if named() and not history:
                world.ownership.refuse_unknown(cluster)
            prune = world.pruner(cluster, world.profile_of(cluster, profile), caches=caches)
        if history:
            render(reports.history(prune.surveyor.history.entries()), output)
            return Exit.OK
        with sign_of_life("Looking for what may go"):
            if free is not None:
                place = place or "engine"
            proposal = prune.propose(free, place=place or "")
        if dry_run or proposal.empty:
            render(reports.plan(proposal), output)
            return _exit_code(proposal)
        show_aside(reports.plan(proposal))
        prompts.confirm_or_stop("Remove all of this?", "Nothing was removed.", assume_yes=yes)
        outcome = prune.run(proposal, USER, wait)
    render(reports.outcome(outcome), output)
    return Exit.FAILED if outcome.unfinished else Exit.OK


def _exit_code(proposal: "Proposal") -> int:
    """Return 1 if something should go and nothing may, 4 if nothing is known to be too full."""
    if not proposal.empty:
        return Exit.OK
    if any(plan.goal for plan in proposal.plans):
        return Exit.FAILED
    return Exit.UNKNOWN if proposal.survey.unknown else Exit.OK
