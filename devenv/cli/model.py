"""devenv model add, list, rm."""

import click

from devenv.cli.headers import header_option, headers_of
from devenv.cli.options import name_option, output_option, profile_option, wait_option
from devenv.errors import DevenvError, Exit
from devenv.ui.life import sign_of_life


@click.group("model")
def COMMAND() -> None:  # noqa: N802 - found by this name
    """Add models as AIBrix discovers them, list them, remove them."""


@COMMAND.command("add")
@click.argument("model", metavar="NAME")
@click.option(
    "--image",
    metavar="REF",
    help="What serves it: an image of the engine, which is loaded, or one of the nodes'.",
)
@click.option(
    "--mock",
    is_flag=True,
    help="A server that only pretends, and names its pod. [default: without --image]",
)
@click.option(
    "--replicas", type=click.IntRange(1, 100), default=1, show_default=True, help="How many pods."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Where its server listens.",
)
@click.option("--namespace", default="default", show_default=True, help="Where it is.")
@header_option
@name_option
@profile_option
@wait_option
@output_option
def add(
    model: str, image: str | None, replicas: int, port: int, namespace: str, cluster: str, profile: str | None, output: str,
    headers: tuple[str, ...], *, mock: bool, wait: float,
) -> None:  # fmt: skip
    """Add the model NAME, and return when it has answered.

    Its Deployment and Service get the names and labels that AIBrix looks for; its route is awaited, and each kind of request
    is sent to it.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.lifecycle.models import Wanted  # noqa: PLC0415
    from devenv.profiles.references import is_image_id, is_reference  # noqa: PLC0415
    from devenv.reload.reload import Options  # noqa: PLC0415
    from devenv.ui import models as show  # noqa: PLC0415

    if image and mock:
        raise click.UsageError("--mock and --image are two ways to serve it: choose one.")
    if image and not (is_reference(image) or is_image_id(image)):
        raise click.UsageError(f"{image!r} is not a valid image name.")
    given = headers_of(headers)
    with wiring.world() as world:
        chosen = world.choice(cluster, profile).profile
        models = world.models(cluster, chosen, given)
        held = world.engine.image(image) if image else None
        wanted = Wanted(model, image or "", replicas, port, namespace, held.id if held else "")
        models.check(wanted)
        if image and not held and not world.in_nodes(cluster, image):
            fix = "Build or pull it first; see `docker images`. For a server that only pretends, leave --image out."
            raise DevenvError(
                f"Neither the engine nor the nodes have the image {image}.", "", fix, Exit.USAGE
            )
        if image and held:
            world.reload(cluster, chosen, Options(restart=False)).run([(image, "")], wait)
        with world.locked(cluster, wait):
            proofs = models.add(wanted)
    show.added_json(wanted, proofs) if output == "json" else show.added(
        wanted, proofs, chosen.gateway.url
    )


@COMMAND.command("list")
@header_option
@name_option
@profile_option
@output_option
def list_(cluster: str, profile: str | None, output: str, headers: tuple[str, ...]) -> int:
    """List the models as AIBrix sees them.

    The plugin sees their pods, the controller their workloads and routes.

    Exits with 0 only if every model answers.
    """
    with sign_of_life("Looking for models"):
        given = headers_of(headers)
        from devenv import wiring  # noqa: PLC0415 - help must not wait for it
        from devenv.ui import models as show  # noqa: PLC0415

        with wiring.world() as world:
            found = world.models(
                cluster, world.choice(cluster, profile, looking=True).profile, given
            ).look()
    show.listed_json(found) if output == "json" else show.listed(found)
    return Exit.OK if all(seen.answers for seen in found) else Exit.FAILED


@COMMAND.command("rm")
@click.argument("model", metavar="NAME")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
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
    """Remove a model that `model add` has added: listed first, then asked."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.ui import models as show  # noqa: PLC0415
    from devenv.ui import prompts  # noqa: PLC0415

    with wiring.world() as world:
        models = world.models(cluster, world.choice(cluster, profile).profile)
        with world.locked(cluster, wait):
            objects = models.objects(model)
            if not dry_run:
                show.to_remove(objects)
                prompts.confirm_or_stop(
                    "Remove all of this?", "Nothing was removed.", assume_yes=yes
                )
                models.remove(model, objects)
    show.removed_json(model, objects, is_removed=not dry_run) if output == "json" else show.removed(
        model, objects, is_removed=not dry_run
    )
