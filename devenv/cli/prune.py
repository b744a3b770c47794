"""devenv prune."""

import click

from devenv.cli.options import name_option, named, output_option, profile_option, wait_option
from devenv.errors import Exit
from devenv.ui.life import sign_of_life


def _size(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    from devenv.profiles.quantities import parse  # noqa: PLC0415 - help must not wait for it

    if value and value.isdigit():
        raise click.BadParameter(f"{value!r} has no unit; write it like 64Mi or 2Gi")
    try:
        return None if value is None else parse(value)
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
    help="Free this much (like 5Gi) on one disk, whatever its budget.",
)
@click.option(
    "--on",
    "place",
    metavar="DISK",
    help="Only this disk: host, engine or a node. [default: all; with --free: engine]",
)
@click.option(
    "--caches",
    is_flag=True,
    help="Allow devenv's own caches to go, too; the next build takes longer.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, and remove nothing.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--history", is_flag=True, help="Show past removals, and how much each freed.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, wait: float, free: int | None, place: str | None, caches: bool,
    dry_run: bool, yes: bool, history: bool,
) -> int:  # fmt: skip
    """Free disk space: list what may go, cheapest first, then remove exactly that, until the disk is below its low mark.

    Images without a name and build cache that no image needs go first, whatever their age.

    Never removes what a container or workload uses, whatever its state; kind's node images; volumes; networks; what
    config.yaml protects; or images with a name that were loaded, built or used in the last 24 hours.
    """
    with sign_of_life("Looking for what may go"):
        from devenv import wiring  # noqa: PLC0415 - help must not wait for it
        from devenv.disk.prune import USER  # noqa: PLC0415
        from devenv.ui import disk as show  # noqa: PLC0415
        from devenv.ui import prompts  # noqa: PLC0415

    with wiring.world() as world:
        with sign_of_life("Looking for what may go"):
            if named() and not history:
                world.refuse_unknown(cluster)
            prune = world.pruner(cluster, world.choice(cluster, profile).profile, caches=caches)
        if history:
            entries = prune.surveyor.history.entries()
            show.history_json(entries) if output == "json" else show.history(entries)
            return Exit.OK
        with sign_of_life("Looking for what may go"):
            proposal = prune.propose(free, place=place or ("engine" if free is not None else ""))
        if dry_run or proposal.empty:
            show.planned_json(proposal) if output == "json" else show.planned(proposal)
            if proposal.empty and any(p.goal for p in proposal.plans):
                return Exit.FAILED
            return Exit.UNKNOWN if proposal.empty and proposal.survey.unknown else Exit.OK
        show.proposal(proposal)
        prompts.confirm_or_stop("Remove all of this?", "Nothing was removed.", assume_yes=yes)
        outcome = prune.run(proposal, USER, wait)
    show.outcome_json(outcome) if output == "json" else show.outcome(outcome)
    return Exit.FAILED if outcome.left else Exit.OK
