"""What is built and what is not, for `devenv images list`."""

from dataclasses import dataclass

from devenv.images.recipes.build import Builder
from devenv.images.recipes.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """One recipe.

    `ref` is its image's name in the engine, "" if it makes only files; `size` in bytes.
    """

    name: str
    version: str
    description: str
    key: str
    ref: str
    built: bool
    size: int
    # What its own steps take on two cores.
    seconds: int


def entries(builder: Builder) -> list[Entry]:
    """Return all recipes, with what the engine and the cache have of them."""
    return [_entry(builder, recipe) for recipe in builder.book.recipes.values()]


def _entry(builder: Builder, recipe: Recipe) -> Entry:
    if recipe.spec.image is None:
        return _entry_of_files(builder, recipe)
    return _entry_of_image(builder, recipe)


def _entry_of_files(builder: Builder, recipe: Recipe) -> Entry:
    """Describe a recipe that makes files; it is built once all of them exist."""
    paths = [builder.files.path(recipe, file) for file in recipe.spec.files]
    is_built = all(path.exists() for path in paths)
    size = 0
    if is_built:
        size = sum(path.stat().st_size for path in paths)
    return Entry(
        name=recipe.name,
        version=recipe.spec.version,
        description=recipe.spec.description,
        key=paths[0].parent.name,
        ref="",
        built=is_built,
        size=size,
        seconds=_seconds(recipe),
    )


def _entry_of_image(builder: Builder, recipe: Recipe) -> Entry:
    """Describe a recipe that makes an image; it is built if the engine has the image."""
    ref = builder.book.tag(recipe)
    image = builder.engine.image(ref)
    size = 0
    if image:
        size = image.size
    return Entry(
        name=recipe.name,
        version=recipe.spec.version,
        description=recipe.spec.description,
        key=builder.book.image_key(recipe),
        ref=ref,
        built=image is not None,
        size=size,
        seconds=_seconds(recipe),
    )


def _seconds(recipe: Recipe) -> int:
    seconds = sum(step.seconds for step in recipe.spec.files.values())
    if recipe.spec.image:
        seconds += recipe.spec.image.seconds
    return seconds
