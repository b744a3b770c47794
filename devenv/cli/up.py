"""devenv up."""

from typing import TYPE_CHECKING, Any

import click

from devenv.cli.options import name_option, output_option, profile_option, variant_of, variant_options, wait_option

if TYPE_CHECKING:
    from devenv.lifecycle.adopt import Adoption
    from devenv.lifecycle.choice import Choice


@click.command("up")
@name_option
@profile_option
@wait_option
@variant_options
@click.option("--adopt", is_flag=True, help="Take over a kind cluster that devenv did not make: list what would change, and ask.")
@click.option("--yes", is_flag=True, help="Adopt without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, wait: float, adopt: bool, yes: bool, **chosen: Any
) -> None:
    """Make a cluster that answers on every route, or finish making it.

    Images are taken from the engine, pulled, or built where no registry answers. What is there already is left as it
    is; a run that was cut off is gone on with. Returns only when a request on each route was proven by Envoy's log.

    A new cluster gets AIBrix's own release where its images are at hand or a registry answers, else the profile offline.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts, reports  # noqa: PLC0415

    def agree(adoption: "Adoption") -> None:
        reports.adoption(adoption)
        prompts.confirm_or_stop("Change this cluster so?", "Nothing was changed.", assume_yes=yes)

    with wiring.world() as world:
        variant = variant_of(chosen)
        world.engine.info()  # without it there is nothing to choose among
        world.check_kubeconfig()
        choice = world.choice(cluster, profile, variant, new=True)
        world.reporter.say(_said(choice))
        if choice.profile.like:
            world.reporter.say(
                f"{choice.profile.version} is newer than what devenv knows; it is treated like {choice.profile.like}."
            )
        if left_out := choice.profile.left_out:
            paths = dict.fromkeys(entry.partition(": ")[2] for entry in left_out)
            world.reporter.say(f"Left out, since the checkout does not have it: {', '.join(paths)}.")
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
