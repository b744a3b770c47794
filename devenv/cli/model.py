"""devenv model add, list, rm."""

import click

from devenv.base.errors import Exit
from devenv.cli import model_image, values
from devenv.cli.headers import header_option, headers_of
from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.cli.suggestions import SuggestingGroup
from devenv.ui.life import sign_of_life


@click.group("model", cls=SuggestingGroup)
def COMMAND() -> None:  # noqa: N802 - found by this name
    """Add, list and remove models."""


@COMMAND.command("add")
@click.argument("model", metavar="NAME")
@click.option(
    "--image",
    metavar="REF",
    shell_complete=values.engine_images,
    help="Serve the model with this image: one in Docker, or one that the nodes already have.",
)
@click.option(
    "--mock",
    is_flag=True,
    help="Serve it with a mock that answers with its pod's name. [default: without --image]",
)
@click.option(
    "--replicas", type=click.IntRange(1, 100), default=1, show_default=True, help="Number of pods."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port that the server listens on.",
)
@click.option("--namespace", default="default", show_default=True, help="Kubernetes namespace.")
@header_option
@name_option
@profile_option
@wait_option
@output_option
def add(
    model: str,
    image: str | None,
    replicas: int,
    port: int,
    namespace: str,
    cluster: str,
    profile: str | None,
    output: str,
    headers: tuple[str, ...],
    *,
    mock: bool,
    wait: float,
) -> None:
    """Add the model NAME, and return when it has answered.

    Gives its Deployment and Service the names and labels that AIBrix looks for, waits for its
    HTTPRoute, and sends it a request on each route.
    """
    from devenv import wiring
    from devenv.models.model import NewModel
    from devenv.ui import models as reports
    from devenv.ui.render import render

    if image and mock:
        raise click.UsageError("--mock and --image both choose the server: pass only one.")
    if image:
        model_image.check_name(image)
    request_headers = headers_of(headers)
    with wiring.world() as world:
        used_profile = world.profile_of(cluster, profile)
        models = world.models(cluster, used_profile, request_headers)
        image_id = ""
        if image:
            image_id = model_image.image_id(world, image)
        new_model = NewModel(model, image or "", replicas, port, namespace, image_id)
        models.check(new_model)
        if image:
            model_image.bring_image(
                world, cluster, used_profile, image, wait, in_engine=bool(image_id)
            )
        else:
            model_image.bring_mock(world, cluster, used_profile, wait)
        with world.locked(cluster, wait):
            proofs = models.add(new_model)
    render(reports.added(new_model, proofs, used_profile.gateway.url), output)


@COMMAND.command("list")
@header_option
@name_option
@profile_option
@output_option
def list_(cluster: str, profile: str | None, output: str, headers: tuple[str, ...]) -> int:
    """List the models as AIBrix sees them.

    gateway-plugins sees a model's pods, AIBrix's controller its workload and its route.

    Exits with 0 only if every model answers.
    """
    with sign_of_life("Looking for models"):
        request_headers = headers_of(headers)
        from devenv import wiring
        from devenv.ui import models as reports
        from devenv.ui.render import render

        with wiring.world() as world:
            used_profile = world.choice(cluster, profile, looking=True).profile
            models = world.models(cluster, used_profile, request_headers).list_all()
    render(reports.listed(models), output)
    return Exit.OK if all(model.answers for model in models) else Exit.FAILED


@COMMAND.command("rm")
@click.argument("model", metavar="NAME", shell_complete=values.added_models)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@name_option
@profile_option
@wait_option
@output_option
def rm(
    model: str,
    cluster: str,
    profile: str | None,
    output: str,
    *,
    wait: float,
    dry_run: bool,
    yes: bool,
) -> None:
    """Remove a model that `model add` created.

    Lists its objects and asks first.
    """
    from devenv import wiring
    from devenv.ui import models as reports
    from devenv.ui import prompts
    from devenv.ui.render import render

    with wiring.world() as world:
        models = world.models(cluster, world.profile_of(cluster, profile))
        with world.locked(cluster, wait):
            objects = models.objects(model)
            if not dry_run:
                reports.show_removal(objects)
                prompts.confirm_or_stop(
                    "Remove all of this?", "Nothing was removed.", assume_yes=yes
                )
                models.remove(model, objects)
    render(reports.removed(model, objects, is_removed=not dry_run), output)
