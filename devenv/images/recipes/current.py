"""What the recipes make as they are now: anything else of theirs is stale."""

from pathlib import Path

from devenv.images.recipes.build import Builder


def current_images(builder: Builder) -> frozenset[str]:
    """Return the names of the images that the recipes make."""
    recipes = builder.book.recipes.values()
    return frozenset(builder.book.tag(recipe) for recipe in recipes if recipe.spec.image)


def current_files(builder: Builder) -> frozenset[Path]:
    """Return the files that the recipes make."""
    recipes = builder.book.recipes.values()
    return frozenset(
        builder.files.path(recipe, file) for recipe in recipes for file in recipe.spec.files
    )
