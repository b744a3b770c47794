"""devenv request."""

import click
from click.core import ParameterSource

from devenv.cli import values
from devenv.cli.durations import seconds_of
from devenv.cli.headers import header_option, headers_of
from devenv.cli.options import name_option, output_option, profile_option

_MODELS = "models"


@click.command("request")
@click.argument("prompt", required=False)
@name_option
@profile_option
@click.option(
    "--route",
    type=click.Choice(["direct", "extension", "plain", _MODELS]),
    default="extension",
    help="direct: by the model header. extension: by the routing-strategy header. "
    "plain: by neither. models: GET /v1/models. [default: extension; with --for, all]",
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
    "--raw",
    is_flag=True,
    help="Print the answer's body as it came, and the proof to standard error.",
)
@click.option(
    "--for",
    "duration",
    callback=seconds_of,
    metavar="DURATION",
    help="Keep sending requests on all routes for 30s, 10m or 2h, and count what fails.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 100),
    metavar="N",
    help="With --for: how many requests run at the same time on each route. [default: 1]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the answer.",
)
@click.option(
    "--doctor/--no-doctor",
    default=True,
    help="After a failure, show what doctor finds, which takes up to 10 s. [default: doctor]",
)
@header_option
@output_option
@click.pass_context
def COMMAND(  # noqa: N802 - found by this name
    ctx: click.Context,
    prompt: str | None,
    cluster: str,
    profile: str | None,
    route: str,
    model: str | None,
    strategy: str | None,
    output: str,
    duration: int,
    concurrency: int | None,
    timeout: float,
    headers: tuple[str, ...],
    *,
    stream: bool,
    raw: bool,
    doctor: bool,
) -> int:
    """Send a chat request, and show its answer and what proves its route.

    Asks the model PROMPT, "hello" if you leave it out. The proof is in Envoy's log: the pod, the
    route, the cluster and the flags.

    Exits with 0 only if the request took the route that you chose. With --for: only if no request
    failed.
    """
    is_default = ctx.get_parameter_source("route") is ParameterSource.DEFAULT
    chosen_route = None if duration and is_default else route
    if route == _MODELS and (prompt or model or stream):
        raise click.UsageError(
            "PROMPT, --model and --stream don't apply to the route models, which lists all models."
        )
    if strategy and route != "extension":
        raise click.UsageError(
            f"--strategy applies only to the route extension, and this is {route}."
        )
    if raw and (duration or output == "json"):
        raise click.UsageError("--raw prints one answer as it came: leave out --for and -o json.")
    if concurrency and not duration:
        raise click.UsageError("--concurrency applies only to --for, such as --for 30s.")
    request_headers = headers_of(headers)
    from devenv.cli import requesting
    from devenv.gates.single import Question

    question = Question(model or "", strategy or "random", request_headers, stream, prompt or "")
    asked = requesting.Asked(cluster, profile, question, timeout, output, doctor)
    if duration:
        return requesting.keep_asking(asked, chosen_route, concurrency or 1, duration)
    return requesting.ask_once(asked, route, is_raw=raw)
