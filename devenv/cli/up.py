"""devenv up."""

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option


@click.command("up")
@name_option
@profile_option
@wait_option
@output_option
def COMMAND(cluster: str, profile: str | None, output: str, *, wait: float) -> None:  # noqa: N802 - found by this name
    """Make a cluster that answers on every route, or finish making it.

    Images are taken from the engine, pulled, or built where no registry answers. What is there already is left as it
    is; a run that was cut off is gone on with. Returns only when a request on each route was proven by Envoy's log.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        choice = world.choice(cluster, profile)
        world.reporter.say(f"Profile {choice.profile.name}: {choice.why}.")
        result = world.up(cluster, choice).run(wait)
    if output == "json":
        reports.emit_json("up", reports.up_json(result))
    else:
        reports.up(result)
