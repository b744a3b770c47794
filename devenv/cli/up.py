"""devenv up."""

from typing import TYPE_CHECKING, Any

import click

from devenv.cli.options import (
    name_option,
    output_option,
    profile_option,
    variant_of,
    variant_options,
    wait_option,
)

if TYPE_CHECKING:
    from devenv.lifecycle.adopt import Adoption
    from devenv.lifecycle.choice import Choice


@click.command("up")
@name_option
@profile_option
@wait_option
@variant_options
@click.option(
    "--adopt",
    is_flag=True,
    help="Take over a kind cluster that devenv did not make; list the changes and ask first.",
)
@click.option("--yes", is_flag=True, help="Adopt without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str,
    profile: str | None,
    output: str,
    *,
    wait: float,
    adopt: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Create the cluster, or finish creating it, and verify every route.

    Takes images from the engine, pulls them, or builds them if no registry answers. Leaves existing resources untouched
    and resumes an interrupted run. Returns only when Envoy's log has proved a request on each route.

    A new cluster runs AIBrix's own release if its images are at hand or a registry answers; otherwise it uses the
    profile offline.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts, reports  # noqa: PLC0415

    def agree(adoption: "Adoption") -> None:
        reports.adoption(adoption)
        prompts.confirm_or_stop(
            "Make these changes to the cluster?", "Nothing was changed.", assume_yes=yes
        )

    with wiring.world() as world:
        variant = variant_of(chosen)
        # Without it there is nothing to choose among.
        world.engine.info()
        world.check_kubeconfig()
        choice = world.choice(cluster, profile, variant, is_new=True)
        world.reporter.say(_said(choice))
        if choice.profile.like:
            world.reporter.say(
                f"{choice.profile.version} is newer than what devenv knows; it is treated like {choice.profile.like}."
            )
        if left_out := choice.profile.left_out:
            paths = dict.fromkeys(entry.partition(": ")[2] for entry in left_out)
            world.reporter.say(
                f"Left out, because the checkout does not have it: {', '.join(paths)}."
            )
        needed = 0 if world.engine.nodes(cluster) else choice.profile.needs.disk
        world.guard(cluster, choice.profile).make({"engine": needed, "host": 0}, wait, strict=False)
        result = world.up(cluster, choice, agree if adopt else None).run(wait)
        if result.changed or not world.good_file(cluster).exists():
            world.keep_good(cluster, choice.profile)
    if output == "json":
        reports.emit_json("up", reports.up_json(result))
    else:
        reports.up(result, choice.why)


def _said(choice: "Choice") -> str:
    """Say which profile it is, and why."""
    profile = choice.profile
    version = f" {profile.version}" if profile.version else ""
    source = f", from {choice.variant.checkout}" if choice.variant.checkout else ""
    return f"Profile {profile.name}{version}{source}: {choice.why}."
