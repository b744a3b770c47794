"""What is built and what is not."""

from dataclasses import dataclass

from devenv.images.build import Builder
from devenv.images.recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """One recipe. `ref` is its image's name in the engine, "" where it makes files only; `size` in bytes."""

    name: str
    version: str
    description: str
    key: str
    ref: str
    built: bool
    size: int
    # That its own steps take on two cores.
    seconds: int


def entries(builder: Builder) -> list[Entry]:
    """Return all recipes, as they stand in the engine and the cache."""
    return [_entry(builder, recipe) for recipe in builder.book.recipes.values()]


def _entry(builder: Builder, recipe: Recipe) -> Entry:
    spec = recipe.spec
    seconds = sum(f.seconds for f in spec.files.values()) + (
        spec.image.seconds if spec.image else 0
    )
    if spec.image is None:
        paths = [builder.files.path(recipe, f) for f in spec.files]
        built = all(p.exists() for p in paths)
        size = sum(p.stat().st_size for p in paths) if built else 0
        return Entry(
            recipe.name,
            spec.version,
            spec.description,
            paths[0].parent.name,
            "",
            built,
            size,
            seconds,
        )
    ref = builder.book.tag(recipe)
    image = builder.engine.image(ref)
    size = image.size if image else 0
    key = builder.book.image_key(recipe)
    return Entry(
        recipe.name, spec.version, spec.description, key, ref, image is not None, size, seconds
    )
