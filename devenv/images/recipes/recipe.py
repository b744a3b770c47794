"""Reads recipes, one folder each under images/, and computes the keys that name what they make."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from devenv.base.digests import sha256_of
from devenv.base.errors import DevenvError, Exit
from devenv.base.userfiles import read_yaml
from devenv.ports.names import Names
from devenv.profiles.base import Model, Size
from devenv.profiles.places import describe_errors

# This name resolves nowhere, so what devenv builds can't be pulled, or be taken for a published
# image.
REGISTRY = "devenv.local"
KEY_LABEL = "devenv.recipe.key"
NAME_LABEL = "devenv.recipe.name"
# Part of every key. Raise it when devenv itself builds something else from the same recipe.
FORMAT = "1"


class GoBuild(Model):
    """`go build` of a package of the module in `dir`.

    With `run`, the file is what the program prints.
    """

    package: str
    dir: str = "."
    ldflags: str = ""
    tags: Names = ()
    cgo: bool = False
    # Compile for the host instead of the node.
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
    """How one file is made. `seconds` on two cores and `disk` with caches are as measured."""

    go: GoBuild | None = None
    cc: CCompile | None = None
    wheel: Wheel | None = None
    debootstrap: Debootstrap | None = None
    seconds: int
    disk: Size

    @model_validator(mode="after")
    def _one_way(self) -> "FileStep":
        ways = (self.go, self.cc, self.wheel, self.debootstrap)
        if ways.count(None) != len(ways) - 1:
            raise ValueError("a file is made in one way: go, cc, wheel or debootstrap")
        return self


class ImageStep(Model):
    """How the image is made of files: as a root file system, or by the Dockerfile in the folder."""

    rootfs: str = ""
    # Build argument → recipe whose image it names.
    from_: Mapping[str, str] = Field(default={}, alias="from")
    files: Names = ()
    # Files of the folder that the Dockerfile copies.
    context: tuple[str, ...] = ()
    # Recipe → the names its image has inside the node.
    preload: Mapping[str, Names] = {}
    entrypoint: tuple[str, ...] = ()
    seconds: int
    disk: Size

    @property
    def made_files(self) -> Names:
        """The files of the recipe that the image is made of."""
        if self.rootfs:
            return (*self.files, self.rootfs)
        return self.files

    @property
    def source_files(self) -> Names:
        """The files of the folder that the image is made of."""
        if self.rootfs:
            return self.context
        return (*self.context, "Dockerfile")


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
    """A recipe and its folder."""

    name: str
    folder: Path
    spec: RecipeFile

    @property
    def needs(self) -> Names:
        """The recipes whose images this recipe's image is made of."""
        image = self.spec.image
        if image is None:
            return ()
        return tuple(dict.fromkeys([*image.from_.values(), *image.preload]))


@dataclass(frozen=True)
class Book:
    """All recipes of one folder, for one architecture. `toolchain` is the key of the Go compiler.

    The key of a file or image depends on the content of everything that the recipe reads.
    """

    recipes: Mapping[str, Recipe]
    architecture: str
    toolchain: str

    def get(self, name: str) -> Recipe:
        """Return the recipe of that name. Raises DevenvError if it does not exist."""
        if name not in self.recipes:
            names = ", ".join(sorted(self.recipes))
            raise DevenvError(
                f"The recipe {name} does not exist.",
                next_step=f"Known recipes: {names}.",
                exit_code=Exit.USAGE,
            )
        return self.recipes[name]

    def closure(self, names: Iterable[str]) -> list[Recipe]:
        """Return the recipes and all their bases, each after its own bases.

        Raises DevenvError for an unknown recipe, and for recipes that need each other.
        """
        ordered: dict[str, Recipe] = {}

        def visit(name: str, path: Names) -> None:
            if name in path:
                raise DevenvError(
                    f"Recipes need each other in a circle: {' → '.join((*path, name))}."
                )
            recipe = self.get(name)
            for base in recipe.needs:
                visit(base, (*path, name))
            ordered.setdefault(name, recipe)

        for name in names:
            visit(name, ())
        return list(ordered.values())

    @cached_property
    def _keys(self) -> dict[str, str]:
        return {}

    def file_key(self, recipe: Recipe, file: str) -> str:
        """Return the key of one file of the recipe: 16 hex digits."""
        if file not in recipe.spec.files:
            raise DevenvError(
                f"The recipe {recipe.name} makes no file {file}.", exit_code=Exit.USAGE
            )
        step = recipe.spec.files[file]
        contents = _contents(recipe.folder, _input_files(recipe.folder, step))
        way = step.model_dump(exclude={"seconds", "disk"}, exclude_none=True)
        toolchain = ""
        if step.go:
            toolchain = self.toolchain
        return _digest(FORMAT, self.architecture, toolchain, file, way, contents)

    def image_key(self, recipe: Recipe) -> str:
        """Return the key of the recipe's image: 16 hex digits.

        It depends on the image's step, the keys of its files and the keys of its bases.
        """
        if recipe.name not in self._keys:
            self._keys[recipe.name] = self._image_key(recipe)
        return self._keys[recipe.name]

    def _image_key(self, recipe: Recipe) -> str:
        """Return a digest of all that makes the image: files, bases, and the folder's content."""
        image = recipe.spec.image
        if image is None:
            raise DevenvError(
                f"The recipe {recipe.name} makes files, not an image.", exit_code=Exit.USAGE
            )
        file_keys = [self.file_key(recipe, file) for file in image.made_files]
        base_keys = [self.image_key(self.get(name)) for name in recipe.needs]
        way = image.model_dump(exclude={"seconds", "disk"}, by_alias=True)
        source_files = [recipe.folder / name for name in image.source_files]
        contents = _contents(recipe.folder, source_files)
        return _digest(FORMAT, self.architecture, way, file_keys, base_keys, contents)

    def tag(self, recipe: Recipe) -> str:
        """Return the image's name in the engine.

        It contains the key, so the engine knows what is built.
        """
        return f"{REGISTRY}/{recipe.name}:{self.image_key(recipe)}"


def load(folder: Path, architecture: str, toolchain: str) -> Book:
    """Read every recipe under `folder`. Raises DevenvError with all errors of all files at once."""
    recipes = {}
    errors = []
    for path in sorted(folder.glob("*/recipe.yaml")):
        try:
            document = read_yaml(path)
            spec = RecipeFile.model_validate(document.content)
            name = path.parent.name
            recipes[name] = Recipe(name, path.parent, spec)
        except DevenvError as error:
            errors.append(error.why or error.what)
        except ValidationError as error:
            errors.append(describe_errors(document, error, RecipeFile))
    if errors:
        raise DevenvError("A recipe is wrong.", "\n".join(errors), exit_code=Exit.USAGE)
    book = Book(recipes, architecture, toolchain)
    # This refuses recipes that need each other, and recipes that do not exist.
    book.closure(recipes)
    return book


def _input_files(folder: Path, step: FileStep) -> list[Path]:
    """Return the files of the folder that a step reads."""
    if step.go:
        module_files = (folder / step.go.dir).rglob("*")
        return sorted(path for path in module_files if path.suffix in {".go", ".mod", ".sum"})
    if step.cc:
        return [folder / step.cc.source]
    return []


def _contents(folder: Path, paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return the name of each file with the digest of its content."""
    return [(str(path.relative_to(folder)), _file_digest(path)) for path in paths]


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(*parts: Any) -> str:
    """Return the first 16 hex digits of the digest of these parts."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return sha256_of(text)[:16]
