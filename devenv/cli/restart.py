"""devenv restart."""

import click

from devenv.cli import values
from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.ports.names import Names


@click.command("restart")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...", shell_complete=values.components)
@name_option
@profile_option
@wait_option
@output_option
def COMMAND(  # noqa: N802 - found by this name
    components: Names, cluster: str, profile: str | None, output: str, *, wait: float
) -> None:
    """Restart components in the profile's order, waiting for each.

    Restarts all components if you name none. A finished rollout is not enough: Envoy Gateway, for
    example, must have a leader again, every policy must be accepted, and Envoy must have its
    filters.

    Ends when the old pods are gone, Envoy sends to the new ones, and a request on each route
    succeeds.
    """
    from devenv import wiring
    from devenv.ui.render import render
    from devenv.ui.status import restarted

    with wiring.world() as world:
        used_profile = world.profile_of(cluster, profile)
        restart = world.restart(cluster, used_profile)
        order = restart.order(components)
        with world.locked(cluster, wait):
            restart.announce(order)
            restart.run(order)
            proofs = restart.finish(order, world.prober(cluster, used_profile))
    names = [component.name for component in order]
    render(restarted(cluster, names, proofs), output)
