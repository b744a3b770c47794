"""devenv images list, devenv images build."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devenv.cli import values
from devenv.cli.options import name_option, output_option
from devenv.cli.suggestions import SuggestingGroup

if TYPE_CHECKING:
    from devenv.images.recipes.build import Builder
    from devenv.profiles.model import RecipeFile

# Seconds to wait for a command that is changing the cluster.
_LOCK_WAIT = 600.0

folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Use the recipes in this folder instead of devenv's.",
)


@click.group("images", cls=SuggestingGroup)
def COMMAND() -> None:  # noqa: N802 - found by this name
    """List and build the images that need no registry."""


@COMMAND.command("list")
@folder_option
@output_option
def list_(folder: Path | None, output: str) -> None:
    """List all recipes with their state, size and build time."""
    from devenv import wiring
    from devenv.images.recipes.listing import entries
    from devenv.ui import catalogue
    from devenv.ui.render import render

    with wiring.world(folder) as world:
        recipes = entries(world.builder)
    render(catalogue.images(recipes), output)


@COMMAND.command("build")
@click.argument("names", nargs=-1, shell_complete=values.recipes)
@folder_option
@name_option
@click.option("--dry-run", is_flag=True, help="Show what would be built, and build nothing.")
@output_option
def build(
    names: tuple[str, ...], folder: Path | None, cluster: str, output: str, *, dry_run: bool
) -> None:
    """Build the recipes NAMES, or all of them.

    Also builds the recipes that they are based on, and skips what is already built. Stays within
    the disk budgets of the cluster's profile.
    """
    from devenv import wiring
    from devenv.ui import builds
    from devenv.ui.render import render

    with wiring.world(folder) as world:
        builder = world.builder
        if not dry_run:
            # Otherwise it would build again what another process is building.
            builder.wait()
        recipe_names = names or tuple(builder.book.recipes)
        plan = builder.plan(recipe_names, _files(builder, recipe_names))
        if plan.pieces and dry_run:
            world.reporter.say(plan.summary)
        elif plan.pieces:
            guard = world.guard(cluster, world.choice(cluster, None).profile)
            guard.make({"engine": plan.disk, "host": plan.disk}, _LOCK_WAIT)
            builder.build(plan)
    render(builds.build(plan, dry_run=dry_run), output)


def _files(builder: "Builder", recipe_names: Iterable[str]) -> "list[RecipeFile]":
    """Return the files of recipes, as pairs of a recipe's name and a file's."""
    return [(name, file) for name in recipe_names for file in builder.book.get(name).spec.files]
