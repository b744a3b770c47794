"""devenv up."""

from typing import TYPE_CHECKING

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option

if TYPE_CHECKING:
    from devenv.lifecycle.adopt import Adoption


@click.command("up")
@name_option
@profile_option
@wait_option
@click.option("--adopt", is_flag=True, help="Take over a kind cluster that devenv did not make: list what would change, and ask.")
@click.option("--yes", is_flag=True, help="Adopt without asking.")
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str, profile: str | None, output: str, *, wait: float, adopt: bool, yes: bool
) -> None:
    """Make a cluster that answers on every route, or finish making it.

    Images are taken from the engine, pulled, or built where no registry answers. What is there already is left as it
    is; a run that was cut off is gone on with. Returns only when a request on each route was proven by Envoy's log.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import prompts, reports  # noqa: PLC0415

    def agree(adoption: "Adoption") -> None:
        reports.adoption(adoption)
        prompts.confirm_or_stop("Change this cluster so?", "Nothing was changed.", assume_yes=yes)

    with wiring.world() as world:
        choice = world.choice(cluster, profile)
        world.reporter.say(f"Profile {choice.profile.name}: {choice.why}.")
        needed = 0 if world.engine.nodes(cluster) else choice.profile.needs.disk
        world.guard(cluster, choice.profile).make({"engine": needed, "host": 0}, wait, strict=False)
        result = world.up(cluster, choice, agree if adopt else None).run(wait)
    if output == "json":
        reports.emit_json("up", reports.up_json(result))
    else:
        reports.up(result)
