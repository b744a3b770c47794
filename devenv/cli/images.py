"""devenv images list, devenv images build."""

from pathlib import Path

import click

from devenv.cli.options import name_option, output_option

# Seconds for whoever is changing the cluster.
_LOCK_WAIT = 600.0

folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Recipes of your own instead of devenv's.",
)


@click.group("images")
def COMMAND() -> None:  # noqa: N802 - found by this name
    """List and build the images that need no registry."""


@COMMAND.command("list")
@folder_option
@output_option
def list_(folder: Path | None, output: str) -> None:
    """Show every recipe, whether it is built, and what it takes."""
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it
    from devenv.images.listing import entries  # noqa: PLC0415
    from devenv.ui import reports  # noqa: PLC0415

    with wiring.world(folder) as world:
        found = entries(world.builder)
    if output == "json":
        reports.emit_json("images", reports.images_json(found))
    else:
        reports.images(found)


@COMMAND.command("build")
@click.argument("names", nargs=-1)
@folder_option
@name_option
@click.option("--dry-run", is_flag=True, help="Only say what would be built.")
def build(names: tuple[str, ...], folder: Path | None, cluster: str, *, dry_run: bool) -> None:
    """Build the recipes NAMES, or all of them.

    Also builds what they stand on, and skips what is already built. Keeps the budgets of the cluster's profile.
    """
    from devenv import wiring  # noqa: PLC0415 - help must not wait for it

    with wiring.world(folder) as world:
        builder = world.builder
        if not dry_run:
            # What another process builds is not to be built again.
            builder.wait()
        wanted = names or tuple(builder.book.recipes)
        plan = builder.plan(
            wanted, [(n, f) for n in wanted for f in builder.book.get(n).spec.files]
        )
        if not plan.pieces:
            world.reporter.say("Nothing to do: all of it is built.")
            return
        if dry_run:
            world.reporter.say(plan.summary)
            click.echo("\n".join(piece.name for piece in plan.pieces))
            return
        guard = world.guard(cluster, world.choice(cluster, None).profile)
        guard.make({"engine": plan.disk, "host": plan.disk}, _LOCK_WAIT)
        builder.build(plan)
