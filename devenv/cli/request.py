"""devenv request."""

import click

from devenv.cli.headers import header_option, headers_of
from devenv.cli.options import name_option, output_option, profile_option
from devenv.errors import Exit


@click.command("request")
@name_option
@profile_option
@click.option("--route", type=click.Choice(["direct", "extension", "plain", "models"]), default="extension", show_default=True,
              help="direct: by the model header. extension: by the routing-strategy header. plain: by neither. "
                   "models: GET /v1/models.")  # fmt: skip
@click.option("--model", help="The model to ask. [default: the profile's first]")
@click.option("--strategy", help="The routing strategy, for the route extension. [default: random]")
@click.option("--stream", is_flag=True, help="Ask for a streamed answer.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@header_option
@output_option
def COMMAND(  # noqa: N802 - found by this name
    cluster: str,
    profile: str | None,
    route: str,
    model: str | None,
    strategy: str | None,
    output: str,
    timeout: float,
    headers: tuple[str, ...],
    *,
    stream: bool,
) -> int:
    """Send one chat request and show its answer, and what proves its way: pod, route, cluster and flags in Envoy's log.

    Exits with 0 only if the request took the route that it was sent for.
    """
    if route == "models" and (model or stream):
        raise click.UsageError(
            "The route models asks for the list of all models: --model and --stream have no meaning for it."
        )
    if strategy and route != "extension":
        raise click.UsageError(
            f"--strategy has a meaning for the route extension only, and this is {route}."
        )
    given = headers_of(headers)
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world() as world:
        choice = world.choice(cluster, profile)
        world.own(cluster)
        live = wiring.live_request(
            choice.profile, route, model, strategy or "random", given, stream=stream
        )
        proof = world.prober(cluster, choice.profile).probe([live], timeout)[0]
    if output == "json":
        reports.emit_json("request", reports.proof_json(proof))
    else:
        reports.request(proof, choice.profile.gateway.url)
    return Exit.OK if proof.ok else Exit.FAILED
