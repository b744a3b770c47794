"""Makes the image of a recipe from the recipe's files, in the engine."""

import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.images.recipes.files import Files, build_failure
from devenv.images.recipes.node_image import Preloader
from devenv.images.recipes.recipe import KEY_LABEL, NAME_LABEL, Book, ImageStep, Recipe
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine, Labels
from devenv.ports.names import Names


@dataclass(frozen=True)
class ImageBuild:
    """Makes images whose files and bases exist already."""

    files: Files
    engine: Engine
    containers: Containers
    clock: Clock

    @property
    def _book(self) -> Book:
        return self.files.book

    def make(self, recipe: Recipe) -> None:
        """Make the recipe's image under its tag, with labels that name the recipe and its key."""
        image = recipe.spec.image
        assert image  # noqa: S101 - only recipes with an image are planned
        tag = self._book.tag(recipe)
        labels = {NAME_LABEL: recipe.name, KEY_LABEL: self._book.image_key(recipe)}
        if image.rootfs:
            rootfs = self.files.path(recipe, image.rootfs)
            self.engine.import_rootfs(rootfs, tag, labels)
        elif image.preload:
            self._make_node_image(recipe, image, tag, labels)
        else:
            self._docker_build(recipe, image, tag, labels)

    def _make_node_image(self, recipe: Recipe, image: ImageStep, tag: str, labels: Labels) -> None:
        """Build the image under another tag, and fill it with the images that a node carries."""
        empty_tag = f"{tag}-unloaded"
        self._docker_build(recipe, image, empty_tag, labels)
        sources: dict[str, Names] = {}
        for name, names_in_node in image.preload.items():
            sources[self._tag_of(name)] = names_in_node
        preloader = Preloader(self.engine, self.containers, self.clock)
        preloader.fill(empty_tag, tag, sources, image.entrypoint)

    def _docker_build(self, recipe: Recipe, image: ImageStep, tag: str, labels: Labels) -> None:
        """Build the image by its Dockerfile. Raises DevenvError with the end of the log."""
        log = self.files.log(f"{recipe.name}-image")
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder(recipe)))
        try:
            context = work / "context.tar"
            files = self._context_files(recipe, image)
            _pack(context, files)
            args = {argument: self._tag_of(name) for argument, name in image.from_.items()}
            self._run_build(context, tag, args, labels, log)
        except DevenvError as error:
            output = log.read_text() + str(error)
            raise build_failure(f"{recipe.name}'s image", output, log) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run_build(
        self,
        context: Path,
        tag: str,
        args: Mapping[str, str],
        labels: Labels,
        log: Path,
    ) -> None:
        """Have the engine build the image, line by line into the log."""
        with log.open("w") as out:

            def write_line(line: str) -> None:
                print(line, file=out, flush=True)

            self.engine.build(context, tag, args, labels, write_line)

    def _context_files(self, recipe: Recipe, image: ImageStep) -> list[Path]:
        """Return the Dockerfile, the files that it copies, and the made files."""
        sources = [recipe.folder / name for name in ("Dockerfile", *image.context)]
        made_files = [self.files.path(recipe, file) for file in image.files]
        return [*sources, *made_files]

    def _tag_of(self, name: str) -> str:
        """Return the engine's name for the image of another recipe."""
        recipe = self._book.get(name)
        return self._book.tag(recipe)

    def _folder(self, recipe: Recipe) -> Path:
        """Return the recipe's folder in the cache."""
        folder = self.files.host.cache_dir() / "built" / recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _pack(target: Path, members: Sequence[Path]) -> None:
    """Write a build context."""
    with tarfile.open(target, "w") as archive:
        for member in members:
            archive.add(member, member.name, filter=_without_owner_and_time)


def _without_owner_and_time(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make equal files give equal layers, regardless of owner and time."""
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mtime = 0
    return info
