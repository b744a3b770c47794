"""devenv request."""

import click

from devenv.base.errors import Exit
from devenv.cli import values
from devenv.cli.headers import header_option, headers_of
from devenv.cli.options import name_option, output_option, profile_option


@click.command("request")
@name_option
@profile_option
@click.option(
    "--route",
    type=click.Choice(["direct", "extension", "plain", "models"]),
    default="extension",
    show_default=True,
    help="direct: by the model header. extension: by the routing-strategy header. "
    "plain: by neither. models: GET /v1/models.",
)
@click.option(
    "--model", shell_complete=values.models, help="The model to ask. [default: the profile's first]"
)
@click.option(
    "--strategy",
    shell_complete=values.strategies,
    help="The routing strategy, for the route extension. AIBrix has "
    f"{', '.join(values.STRATEGIES)}. [default: random]",
)
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
    """Send a chat request, and show its answer and what proves its route.

    The proof is in Envoy's log: the pod, the route, the cluster and the flags.

    Exits with 0 only if the request took the route that you chose.
    """
    if route == "models" and (model or stream):
        raise click.UsageError(
            "--model and --stream don't apply to the route models, which lists all models."
        )
    if strategy and route != "extension":
        raise click.UsageError(
            f"--strategy applies only to the route extension, and this is {route}."
        )
    request_headers = headers_of(headers)
    from devenv import wiring
    from devenv.gates.single import single_request
    from devenv.profiles.model import Route
    from devenv.ui import proofs
    from devenv.ui.render import render

    with wiring.world() as world:
        used_profile = world.profile_of(cluster, profile)
        world.own(cluster)
        live = single_request(
            used_profile, Route(route), model, strategy or "random", request_headers, stream=stream
        )
        proof = world.prober(cluster, used_profile).probe([live], timeout)[0]
    render(proofs.request(proof, used_profile.gateway.url), output)
    return Exit.OK if proof.ok else Exit.FAILED
