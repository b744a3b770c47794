"""devenv up."""

from dataclasses import replace
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
    from devenv.cluster.adopt import Adoption
    from devenv.state.choice import Choice
    from devenv.wiring import World


# Seconds for the facts of a cluster that is healthy.
_LOOK = 10.0


@click.command("up")
@name_option
@profile_option
@wait_option
@variant_options
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Port of the gateway on this machine, for a new cluster. [default: the profile's, 8888]",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Take over a kind cluster that devenv did not create; list the changes and ask first.",
)
@click.option("-y", "--yes", is_flag=True, help="Adopt without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str,
    profile: str | None,
    output: str,
    *,
    wait: float,
    port: int | None,
    adopt: bool,
    yes: bool,
    **chosen: Any,
) -> None:
    """Create the cluster, or finish creating it, and verify every route.

    A new cluster runs the newest AIBrix release if its images are cached or a registry answers.
    Otherwise it uses the profile offline, in which a small plugin of devenv's own stands in for
    AIBrix's.

    Takes images from Docker, pulls them, or builds them if no registry answers. Keeps what is
    already correct, applies what differs, and resumes an interrupted run. Returns only when a
    request has succeeded on each route and Envoy's log shows that it took that route.
    """
    from devenv import wiring
    from devenv.ui import prompts
    from devenv.ui import up as reports
    from devenv.ui.render import render

    def agree(adoption: "Adoption") -> None:
        reports.show_adoption(adoption)
        question = "Make these changes to the cluster?"
        prompts.confirm_or_stop(question, "Nothing was changed.", assume_yes=yes)

    with wiring.world() as world:
        variant = replace(variant_of(chosen), port=port or 0)
        # Raises DevenvError if the engine does not answer: nothing works without it.
        world.engine.info()
        world.check_kubeconfig()
        choice = world.choice(cluster, profile, variant, is_new=True)
        for line in _choice_lines(choice):
            world.reporter.say(line)
        _make_space(world, cluster, choice, wait)
        result = world.up(cluster, choice, agree if adopt else None).run(wait)
        if result.changed or not world.good_facts.path(cluster).exists():
            world.good_facts.keep(cluster, lambda: world.facts(cluster, choice.profile, _LOOK))
    render(reports.up(result, choice.reason), output)


def _choice_lines(choice: "Choice") -> list[str]:
    """Say which profile it is, why, and what of it is guessed or left out."""
    profile = choice.profile
    subject = f"Profile {profile.name} {profile.version}".rstrip()
    if choice.variant.checkout:
        subject += f", from {choice.variant.checkout}"
    lines = [f"{subject}: {choice.reason}."]
    if profile.like:
        lines.append(
            f"devenv does not know {profile.version} yet and treats it like {profile.like}."
        )
    if profile.left_out:
        paths = dict.fromkeys(entry.partition(": ")[2] for entry in profile.left_out)
        lines.append(f"Left out, because the checkout does not have it: {', '.join(paths)}.")
    return lines


def _make_space(world: "World", cluster: str, choice: "Choice", wait: float) -> None:
    """Free space for a new cluster, as far as the user's policy allows it."""
    needed = 0 if world.engine.nodes(cluster) else choice.profile.needs.disk
    guard = world.guard(cluster, choice.profile)
    guard.make({"engine": needed, "host": 0}, wait, strict=False)
