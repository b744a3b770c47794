"""Decides where each image of a profile comes from, and obtains it.

The sources are the engine, an archive, the user's source code, a registry, and a recipe.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.image_names import normalise
from devenv.base.network import Trouble
from devenv.images.formats import archive
from devenv.images.recipes.build import Builder
from devenv.images.sources import stamp
from devenv.images.sources.errors import ImageNotAvailableError
from devenv.images.sources.inplace import InPlace
from devenv.images.sources.registry import Failure, by_registry, registry_of
from devenv.ports.engine import Engine
from devenv.ports.reporter import Reporter
from devenv.profiles.model import ProfileImage, RecipeFile


@dataclass(frozen=True)
class Source:
    """How the engine gets an image, and the image's name in the engine.

    "node": the engine does not need it, because the nodes have it.
    """

    image: ProfileImage
    how: Literal["engine", "archive", "source", "pull", "build", "node"]
    ref: str


def choose(
    image: ProfileImage, built_tag: str, has: Callable[[str], bool], *, registry: bool
) -> Source:
    """Decide where the image comes from: the engine before all others, a registry before a recipe.

    `built_tag` is the name of what its recipe makes, "" without a recipe. `has` tells whether the
    engine has an image of a name. Raises ImageNotAvailableError if no source has it.
    """
    # If no registry has the image, only the user can have built one of its own name.
    if not image.pull and has(image.ref):
        return Source(image, "engine", image.ref)
    if built_tag and has(built_tag):
        return Source(image, "engine", built_tag)
    if has(image.ref):
        return Source(image, "engine", image.ref)
    if image.build_in:
        return Source(image, "source", image.ref)
    if image.pull and registry:
        return Source(image, "pull", image.ref)
    if built_tag:
        return Source(image, "build", built_tag)
    raise ImageNotAvailableError(image.ref)


@dataclass(frozen=True)
class HeldImage:
    """An image that the nodes have. `ref` and `id` are the engine's when the image was loaded.

    `is_any`: whether it will do whatever the profile would choose now. The node image of an
    existing cluster is such an image.
    """

    ref: str = ""
    id: str = ""
    is_any: bool = False


# By the profile's names. Called only if the engine lacks an image.
HeldImages = Callable[[], Mapping[str, HeldImage]]


@dataclass(frozen=True)
class Provider:
    """Obtains a profile's images for the engine."""

    engine: Engine
    builder: Builder
    reporter: Reporter
    in_place: InPlace | None = None
    # Source folder → its state, which is read once a command.
    states: dict[str, stamp.Stamp] = field(default_factory=dict)

    def provide(
        self,
        images: Sequence[ProfileImage],
        files: Sequence[RecipeFile] = (),
        in_nodes: Collection[str] = (),
        held_images: HeldImages = dict,
    ) -> dict[str, Source]:
        """Obtain the images that the engine lacks, and make the recipes' files.

        Returns the source of each image by the image's name. `in_nodes`: names of images that stay
        in the nodes as they are. `held_images`: what the nodes have, so that the engine does not
        need it.
        """
        self.check(images)
        failures: list[Failure] = []
        sources = self._obtain_all(images, in_nodes, held_images, failures)
        self._tell_of_recipes(sources.values(), failures)
        for source in sources.values():
            if source.how == "archive":
                self._load(source.image)
            elif source.how == "source" and self.in_place:
                self.in_place.build(source.image)
        recipes = [source.image.recipe for source in sources.values() if source.how == "build"]
        self.builder.build(self.builder.plan(recipes, files))
        return sources

    def _obtain_all(
        self,
        images: Sequence[ProfileImage],
        in_nodes: Collection[str],
        held_images: HeldImages,
        failures: list[Failure],
    ) -> dict[str, Source]:
        """Pull what must be pulled, and return the source of each image by the image's name.

        What registries refuse joins `failures`. Raises ImageNotAvailableError with all images that
        no source has, before anything is built.
        """
        sources = {}
        for image in images:
            if image.name in in_nodes:
                sources[image.name] = Source(image, "node", image.ref)
        unavailable_refs: list[str] = []
        for image in images:
            if image.name in in_nodes:
                continue
            try:
                sources[image.name] = self._obtain(image, held_images, failures)
            except ImageNotAvailableError as error:
                unavailable_refs += error.refs
        if unavailable_refs:
            raise ImageNotAvailableError(*unavailable_refs, failures=by_registry(failures))
        return sources

    def _obtain(
        self, image: ProfileImage, held_images: HeldImages, failures: list[Failure]
    ) -> Source:
        """Pull an image if that is how to get it, and return its source.

        What its registry refuses joins `failures`. A registry that can give nothing is asked only
        once, and says nothing about another registry.
        """
        registry = registry_of(image.ref)
        is_blocked = any(
            failure.registry == registry and failure.trouble.concerns_all for failure in failures
        )
        source = self._choose_or_held(image, held_images, registry=not is_blocked)
        if source.how != "pull":
            return source
        failure = self._pull(image)
        if failure is None:
            return source
        failures.append(failure)
        return self._choose(image, registry=False)

    def _tell_of_recipes(self, sources: Iterable[Source], failures: Sequence[Failure]) -> None:
        """Say which images are built because a registry refused them, and how to pull them."""
        images = [source.image for source in sources if source.how == "build" and source.image.pull]
        for failure in by_registry(failures):
            reason = (failure.registry, failure.trouble)
            names = [image.name for image in images if _pull_failure(image, failures) == reason]
            if names:
                recipe = "their recipes"
                if len(names) == 1:
                    recipe = "its recipe"
                self.reporter.say(
                    f"{failure.sentence}, so devenv builds {', '.join(names)} from {recipe}."
                    f" To pull instead: {failure.way_out}"
                )

    def check(self, images: Sequence[ProfileImage]) -> None:
        """Refuse archives that are broken, lack the image, or are of another architecture.

        Raises DevenvError with all of them at once.
        """
        problems = [self._archive_problem(image) for image in images if image.archive]
        if any(problems):
            raise DevenvError(
                "Image archives are wrong.",
                "\n".join(filter(None, problems)),
                "Nothing was changed.",
                Exit.USAGE,
            )

    def _archive_problem(self, image: ProfileImage) -> str:
        """Return what is wrong with an image's archive, "" if nothing is."""
        try:
            archive_architecture = _archived_image(image).architecture
        except DevenvError as error:
            return f"images.{image.name}: {error}"
        architecture = self.builder.book.architecture
        if archive_architecture != architecture:
            return (
                f"images.{image.name}: {image.archive} is for {archive_architecture};"
                f" the engine runs {architecture}."
            )
        return ""

    def ready(self, images: Sequence[ProfileImage], held_images: HeldImages = dict) -> bool:
        """Whether the engine has all images already, or the nodes have what it lacks."""
        try:
            return all(self._is_at_hand(image, held_images) for image in images)
        except ImageNotAvailableError:
            return False

    def _is_at_hand(self, image: ProfileImage, held_images: HeldImages) -> bool:
        source = self._choose_or_held(image, held_images, registry=True)
        return source.how in {"engine", "node"}

    def _choose_or_held(
        self, image: ProfileImage, held_images: HeldImages, *, registry: bool
    ) -> Source:
        """Choose a source, but keep what the nodes have if only the engine lacks it."""
        try:
            source = self._choose(image, registry=registry)
        except ImageNotAvailableError:
            if self._is_held(image, held_images().get(image.name)):
                return Source(image, "node", image.ref)
            raise
        if source.how == "engine":
            return source
        if self._is_held(image, held_images().get(image.name)):
            return Source(image, "node", image.ref)
        return source

    def _is_held(self, image: ProfileImage, held_image: HeldImage | None) -> bool:
        """Whether the nodes have what the profile asks for."""
        if held_image is None:
            return False
        if held_image.is_any:
            return True
        if image.archive:
            return held_image.id in _archived_image(image).ids
        return not stamp.own_ref(image) and held_image.ref in self._refs_of(image)

    def _refs_of(self, image: ProfileImage) -> set[str]:
        """Return the names in the engine under which the image may have been loaded."""
        if not image.recipe:
            return {image.ref}
        recipe_tag = self._recipe_tag(image)
        if image.pull:
            return {image.ref, recipe_tag}
        # If no registry has the image, only the user can have built one of its own name.
        return {recipe_tag}

    def obtainable(self, images: Sequence[ProfileImage]) -> bool:
        """Whether all of them are available without a registry."""
        try:
            return all(self._choose(image, registry=False) for image in images)
        except ImageNotAvailableError:
            return False

    def _choose(self, image: ProfileImage, *, registry: bool) -> Source:
        """Decide where an image comes from. Raises ImageNotAvailableError if no source has it."""
        if image.archive:
            return self._choose_for_archive(image)
        if checkout_ref := stamp.own_ref(image):
            return self._choose_for_checkout(image, checkout_ref)
        built_tag = self._recipe_tag(image)
        return choose(image, built_tag, self._engine_has, registry=registry)

    def _engine_has(self, ref: str) -> bool:
        return self.engine.image(ref) is not None

    def _recipe_tag(self, image: ProfileImage) -> str:
        """Return the name of what the image's recipe makes, "" without a recipe."""
        if not image.recipe:
            return ""
        book = self.builder.book
        return book.tag(book.get(image.recipe))

    def _choose_for_archive(self, image: ProfileImage) -> Source:
        """Take the engine's image only if it is the archive's."""
        engine_image = self.engine.image(image.ref)
        if engine_image and engine_image.id in _archived_image(image).ids:
            return Source(image, "engine", image.ref)
        return Source(image, "archive", image.ref)

    def _choose_for_checkout(self, image: ProfileImage, checkout_ref: str) -> Source:
        """Choose by the labels of images, because the name may be that of another checkout's image.

        What devenv has built from the current source code comes first, then what the user has
        built.
        """
        built_image = self.engine.image(checkout_ref)
        if built_image and stamp.of_labels(built_image.labels) == self.state(image.build_in):
            return Source(image, "engine", checkout_ref)
        if not image.packed:
            user_image = self.engine.image(image.ref)
            if user_image and stamp.of_labels(user_image.labels) is None:
                return Source(image, "engine", image.ref)
        return Source(image, "source", checkout_ref)

    def state(self, folder: str) -> stamp.Stamp:
        """Return the state of a source folder."""
        if folder not in self.states:
            self.states[folder] = stamp.read(self.builder.host, folder)
        return self.states[folder]

    def _load(self, image: ProfileImage) -> None:
        """Load an image's archive into the engine."""
        step = f"load {image.name}"
        self.reporter.begin(step)
        try:
            self.engine.load(Path(image.archive), partial(self._report_bytes, step))
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)

    def _report_bytes(self, step: str, current: int, total: int) -> None:
        self.reporter.update(step, current, total, "B")

    def _pull(self, image: ProfileImage) -> Failure | None:
        """Pull an image. Returns why its registry refused it, None if it did not."""
        step = f"pull {image.name}"
        self.reporter.begin(step)
        try:
            platform = f"linux/{self.builder.book.architecture}"
            self.engine.pull(image.ref, platform, partial(self._report_bytes, step))
        except NotReachableError as error:
            failure = Failure(image.ref, error.why)
            self.reporter.end(step, f"{failure.registry} {failure.trouble.value}")
            return failure
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)
        return None


def _archived_image(image: ProfileImage) -> archive.ArchivedImage:
    """Return the image as its archive has it.

    Raises DevenvError if the archive does not have it.
    """
    all_names: list[str] = []
    for archived_image in archive.list_images(Path(image.archive)):
        if normalise(image.ref) in map(normalise, archived_image.names):
            return archived_image
        all_names += archived_image.names
    names = ", ".join(all_names) or "no image with a name"
    raise DevenvError(
        f"{image.archive} does not have {image.ref}.", f"It has {names}.", "", Exit.USAGE
    )


def _pull_failure(image: ProfileImage, failures: Sequence[Failure]) -> tuple[str, Trouble] | None:
    """Return the registry and the trouble that kept an image from being pulled.

    The image's own failure comes before one of another image that concerns the whole registry.
    """
    registry = registry_of(image.ref)
    registry_failures = [failure for failure in failures if failure.registry == registry]
    for failure in registry_failures:
        if failure.ref == image.ref:
            return registry, failure.trouble
    for failure in registry_failures:
        if failure.trouble.concerns_all:
            return registry, failure.trouble
    return None
