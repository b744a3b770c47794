"""Recipes: how an image comes about from package registries alone. One folder a recipe, under images/."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from devenv.errors import DevenvError, Exit
from devenv.profiles.base import Model, Size
from devenv.profiles.load import places
from devenv.userfiles import read_yaml

# Resolves nowhere: what devenv builds can neither be pulled nor be taken for upstream's.
REGISTRY = "devenv.local"
KEY_LABEL = "devenv.recipe.key"
NAME_LABEL = "devenv.recipe.name"
# Part of every key: raise it when the builder itself changes what comes out.
FORMAT = "1"


class GoBuild(Model):
    """`go build` of a package of the module in `dir`; with `run`, what the program prints is the file."""

    package: str
    dir: str = "."
    ldflags: str = ""
    tags: tuple[str, ...] = ()
    cgo: bool = False
    # For this machine instead of the node.
    host: bool = False
    run: bool = False


class CCompile(Model):
    """One C file, compiled and linked."""

    source: str
    flags: tuple[str, ...] = ()


class Wheel(Model):
    """One member of a wheel. `sha256` by architecture."""

    requirement: str
    member: str
    sha256: Mapping[str, str]


class Debootstrap(Model):
    """A Debian tree as a tar archive, without documentation and package lists."""

    suite: str
    include: tuple[str, ...]


class FileStep(Model):
    """How one file is made. `seconds` on two cores and `disk` with its caches, both as measured."""

    go: GoBuild | None = None
    cc: CCompile | None = None
    wheel: Wheel | None = None
    debootstrap: Debootstrap | None = None
    seconds: int
    disk: Size

    @model_validator(mode="after")
    def _one_way(self) -> "FileStep":
        if sum(way is not None for way in (self.go, self.cc, self.wheel, self.debootstrap)) != 1:
            raise ValueError("a file is made in one way: go, cc, wheel or debootstrap")
        return self


class ImageStep(Model):
    """How the image is made of the files: as a root file system, or by the Dockerfile that stands in the folder."""

    rootfs: str = ""
    # Build argument → recipe whose image it names.
    from_: Mapping[str, str] = Field(default={}, alias="from")
    files: tuple[str, ...] = ()
    # Files of the folder that the Dockerfile copies.
    context: tuple[str, ...] = ()
    # Recipe → the names its image has inside the node.
    preload: Mapping[str, tuple[str, ...]] = {}
    entrypoint: tuple[str, ...] = ()
    seconds: int
    disk: Size


class RecipeFile(Model):
    """recipe.yaml."""

    description: str
    version: str
    files: Mapping[str, FileStep] = {}
    image: ImageStep | None = None

    @model_validator(mode="after")
    def _makes_something(self) -> "RecipeFile":
        if not (self.files or self.image):
            raise ValueError("a recipe makes files, an image, or both")
        return self


@dataclass(frozen=True)
class Recipe:
    """A recipe and the folder it stands in."""

    name: str
    folder: Path
    spec: RecipeFile

    @property
    def needs(self) -> tuple[str, ...]:
        """Recipes whose images this one's is made of."""
        image = self.spec.image
        return tuple(dict.fromkeys([*image.from_.values(), *image.preload])) if image else ()


@dataclass(frozen=True)
class Book:
    """All recipes of one folder, for one architecture. Keys follow content: what a recipe reads decides its key."""

    recipes: Mapping[str, Recipe]
    architecture: str
    toolchain: str

    def get(self, name: str) -> Recipe:
        """Raise DevenvError where there is no recipe of that name."""
        if name not in self.recipes:
            names = ", ".join(sorted(self.recipes))
            raise DevenvError(
                f"There is no recipe {name}.",
                next_step=f"Known recipes: {names}.",
                exit_code=Exit.USAGE,
            )
        return self.recipes[name]

    def closure(self, names: Iterable[str]) -> list[Recipe]:
        """The recipes and all that they stand on, each after what it needs."""
        ordered: dict[str, Recipe] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise DevenvError(
                    f"Recipes need each other in a circle: {' → '.join((*path, name))}."
                )
            recipe = self.get(name)
            for needed in recipe.needs:
                visit(needed, (*path, name))
            ordered.setdefault(name, recipe)

        for name in names:
            visit(name, ())
        return list(ordered.values())

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {}

    def file_key(self, recipe: Recipe, file: str) -> str:
        """Key of one file of the recipe: 16 hex digits."""
        if file not in recipe.spec.files:
            raise DevenvError(
                f"The recipe {recipe.name} makes no file {file}.", exit_code=Exit.USAGE
            )
        step = recipe.spec.files[file]
        inputs = _inputs(recipe.folder, step)
        toolchain = self.toolchain if step.go else ""
        way = step.model_dump(exclude={"seconds", "disk"}, exclude_none=True)
        return _digest(
            FORMAT, self.architecture, toolchain, file, way, _contents(recipe.folder, inputs)
        )

    def image_key(self, recipe: Recipe) -> str:
        """Key of the recipe's image: its own step, its files' keys and its bases' keys."""
        if recipe.name not in self._keys:
            image = recipe.spec.image
            if image is None:
                raise DevenvError(
                    f"The recipe {recipe.name} makes files, not an image.", exit_code=Exit.USAGE
                )
            file_keys = [
                self.file_key(recipe, f)
                for f in (*image.files, *([image.rootfs] if image.rootfs else []))
            ]
            bases = [self.image_key(self.get(n)) for n in recipe.needs]
            plain = [*image.context, *([] if image.rootfs else ["Dockerfile"])]
            way = image.model_dump(exclude={"seconds", "disk"}, by_alias=True)
            contents = _contents(recipe.folder, [recipe.folder / n for n in plain])
            self._keys[recipe.name] = _digest(
                FORMAT, self.architecture, way, file_keys, bases, contents
            )
        return self._keys[recipe.name]

    def tag(self, recipe: Recipe) -> str:
        """The name of the recipe's image in the engine. It holds the key, so the engine itself says what is built."""
        return f"{REGISTRY}/{recipe.name}:{self.image_key(recipe)}"


def load(folder: Path, architecture: str, toolchain: str) -> Book:
    """Read every recipe under `folder`. Raises DevenvError with all errors of all files at once."""
    recipes, errors = {}, []
    for path in sorted(folder.glob("*/recipe.yaml")):
        try:
            document = read_yaml(path)
            spec = RecipeFile.model_validate(document.content)
            recipes[path.parent.name] = Recipe(path.parent.name, path.parent, spec)
        except DevenvError as error:
            errors.append(error.why or error.what)
        except ValidationError as error:
            errors.append(places(document, error, RecipeFile))
    if errors:
        raise DevenvError("A recipe is wrong.", "\n".join(errors), exit_code=Exit.USAGE)
    book = Book(recipes, architecture, toolchain)
    # Refuses circles and recipes that are not there.
    book.closure(recipes)
    return book


def _inputs(folder: Path, step: FileStep) -> list[Path]:
    if step.go:
        return sorted(
            p for p in (folder / step.go.dir).rglob("*") if p.suffix in {".go", ".mod", ".sum"}
        )
    return [folder / step.cc.source] if step.cc else []


def _contents(folder: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    return [(str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
