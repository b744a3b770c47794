"""devenv restart."""

import click

from devenv.cli.options import name_option, output_option, profile_option, wait_option


@click.command("restart")
@click.argument("components", nargs=-1, metavar="[COMPONENT]...")
@name_option
@profile_option
@wait_option
@output_option
def COMMAND(  # noqa: N802 - found by this name
    components: tuple[str, ...], cluster: str, profile: str | None, output: str, *, wait: float
) -> None:
    """Restart components in the profile's order, all of them if none is named, each gated: a finished rollout is no proof.

    After Envoy Gateway the gate is that its new pod leads, every policy is accepted, and Envoy has its filters.
    It ends when the old pods are gone, Envoy leads to the new ones, and one request on each route succeeds.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        choice = world.choice(cluster, profile)
        restart = world.restart(cluster, choice.profile)
        order = restart.order(components)
        with world.locked(cluster, wait):
            restart.run(order)
            proofs = restart.finish(order, world.prober(cluster, choice.profile))
    names = [c.name for c in order]
    if output == "json":
        requests = [reports.proof_json(p) for p in proofs]
        reports.emit_json(
            "restart", {"cluster": cluster, "components": names, "requests": requests}
        )
    else:
        reports.restarted(names, proofs)
