"""Where each image of a profile comes from: the engine, an archive, somebody's source, a registry, or its recipe."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.images import archive, stamp
from devenv.images.build import Builder
from devenv.images.inplace import InPlace
from devenv.images.load import normalise
from devenv.images.registry import Failure, by_registry, registry_of
from devenv.network import Trouble
from devenv.ports import Engine, Reporter
from devenv.profiles.model import ProfileImage


@dataclass(frozen=True)
class Source:
    """How the engine comes by an image, and the image's name there. "node": it needn't, the nodes have it."""

    image: ProfileImage
    how: Literal["engine", "archive", "source", "pull", "build", "node"]
    ref: str


def choose(
    image: ProfileImage, built_tag: str, has: Callable[[str], bool], *, registry: bool
) -> Source:
    """Decide where the image comes from: what is there before what must be fetched, a registry before a recipe.

    `built_tag` is the name of what its recipe makes, "" without one. Raises DevenvError where there is no way.
    """
    # Only somebody who built it himself has an image of that name.
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
    raise NoWayError(image.ref)


@dataclass(frozen=True)
class Held:
    """An image that the nodes hold as it was loaded. `ref` is its name in the engine then, `id` its ID there.

    `is_any`: whether it serves whatever the profile would choose now, as the node image of a cluster that is there.
    """

    ref: str = ""
    id: str = ""
    is_any: bool = False


# By the profile's names; asked for only where the engine lacks an image.
HeldImages = Callable[[], Mapping[str, Held]]


class NoWayError(DevenvError):
    """An image that no source has."""

    def __init__(self, *refs: str, failures: Sequence[Failure] = ()) -> None:
        """`refs` names all of them, `failures` what the registries said that were asked."""
        reasons = [f"{failure.sentence[0].upper()}{failure.sentence[1:]}." for failure in failures]
        ways = [failure.way_out for failure in failures]
        them = "it" if len(refs) == 1 else "them"
        by_hand = (
            f"Get {them} with `docker load -i FILE` or `docker pull`, or name a file in the profile:"
            " images: [{name: …, archive: FILE}]. To build AIBrix's own images from its source, run"
            " `devenv up --checkout PATH`."
        )
        super().__init__(
            f"{'Image' if len(refs) == 1 else 'Images'} not available: {', '.join(refs)}.",
            "\n".join(
                reasons
                or [
                    f"The engine does not have {them}, no registry answers, and the profile has no recipe."
                ]
            ),
            " ".join([*ways, by_hand]),
            Exit.PREREQUISITE,
        )
        self.refs = refs


@dataclass(frozen=True)
class Provider:
    """Brings a profile's images into the engine."""

    engine: Engine
    builder: Builder
    reporter: Reporter
    in_place: InPlace | None = None
    # What was read of source folders; they are asked for once a command.
    states: dict[str, stamp.Stamp] = field(default_factory=dict)

    def provide(
        self,
        images: Sequence[ProfileImage],
        files: Sequence[tuple[str, str]] = (),
        in_nodes: Collection[str] = (),
        held: HeldImages = dict,
    ) -> dict[str, Source]:
        """Pull or build what the engine lacks, and the recipes' files; return each image's source by the image's name.

        `in_nodes`: names of images that stay in the nodes as they are; `held`: what the nodes hold, which the engine
        therefore needn't have.
        """
        self.check(images)
        failures: list[Failure] = []
        sources = {i.name: Source(i, "node", i.ref) for i in images if i.name in in_nodes}
        nowhere: list[str] = []
        for image in (i for i in images if i.name not in in_nodes):
            try:
                sources[image.name] = self._obtain(image, held, failures)
            except NoWayError as error:
                nowhere += error.refs
        # All of them at once, before anything is built.
        if nowhere:
            raise NoWayError(*nowhere, failures=by_registry(failures))
        self._tell_of_recipes(sources.values(), failures)
        for source in sources.values():
            if source.how == "archive":
                self._load(source.image)
            elif source.how == "source" and self.in_place:
                self.in_place.build(source.image)
        self._build([s for s in sources.values() if s.how == "build"], files)
        return sources

    def _obtain(
        self, image: ProfileImage, held_images: HeldImages, failures: list[Failure]
    ) -> Source:
        """Pull an image if that is how to come by it, and return its source.

        What its registry refuses joins `failures`. A registry that can give nothing is asked once, and
        says nothing about another.
        """
        registry = registry_of(image.ref)
        is_open = not any(f.registry == registry and f.trouble.concerns_all for f in failures)
        source = self._choose_or_held(image, held_images, registry=is_open)
        if source.how != "pull" or (failure := self._pull(image)) is None:
            return source
        failures.append(failure)
        return self._choose(image, registry=False)

    def _tell_of_recipes(self, sources: Iterable[Source], failures: Sequence[Failure]) -> None:
        """Say which images are built because a registry refused, why, and how to save the minutes."""
        built = [source.image for source in sources if source.how == "build" and source.image.pull]
        for failure in by_registry(failures):
            reason = (failure.registry, failure.trouble)
            names = [image.name for image in built if _reason(image, failures) == reason]
            if names:
                recipe = "its recipe" if len(names) == 1 else "their recipes"
                instead = f"so devenv builds {', '.join(names)} from {recipe}. To pull instead: {failure.way_out}"
                self.reporter.say(f"{failure.sentence}, {instead}")

    def check(self, images: Sequence[ProfileImage]) -> None:
        """Refuse archives that can't be used, all at once: broken, without the image, or of another architecture."""
        architecture, problems = self.builder.book.architecture, []
        for image in images:
            try:
                archive_architecture = (
                    _archived(image).architecture if image.archive else architecture
                )
            except DevenvError as error:
                problems.append(f"images.{image.name}: {error}")
                continue
            if archive_architecture != architecture:
                problems.append(
                    f"images.{image.name}: {image.archive} is for {archive_architecture}; the engine runs {architecture}."
                )
        if problems:
            raise DevenvError(
                "Image archives are wrong.", "\n".join(problems), "Nothing was changed.", Exit.USAGE
            )

    def ready(self, images: Sequence[ProfileImage], held_images: HeldImages = dict) -> bool:
        """Whether the engine has them all already, or the nodes hold what it lacks."""
        try:
            return all(
                self._choose_or_held(i, held_images, registry=True).how in {"engine", "node"}
                for i in images
            )
        except NoWayError:
            return False

    def _choose_or_held(
        self, image: ProfileImage, held_images: HeldImages, *, registry: bool
    ) -> Source:
        """Decide as `_choose` does, but keep what the nodes already hold, if the engine lacks it and nothing changed."""
        try:
            source = self._choose(image, registry=registry)
        except NoWayError:
            if self._is_held(image, held_images().get(image.name)):
                return Source(image, "node", image.ref)
            raise
        if source.how != "engine" and self._is_held(image, held_images().get(image.name)):
            return Source(image, "node", image.ref)
        return source

    def _is_held(self, image: ProfileImage, held_image: Held | None) -> bool:
        if held_image is None:
            return False
        if held_image.is_any:
            return True
        if image.archive:
            return held_image.id in _archived(image).ids
        refs = {image.ref}
        if image.recipe:
            recipe_tag = self.builder.book.tag(self.builder.book.get(image.recipe))
            # If no registry has the image and a recipe makes it, only the user can have built one of its own name.
            refs = {image.ref, recipe_tag} if image.pull else {recipe_tag}
        return not stamp.own_ref(image) and held_image.ref in refs

    def obtainable(self, images: Sequence[ProfileImage]) -> bool:
        """Whether there is a way to all of them without a registry."""
        try:
            return all(self._choose(i, registry=False) for i in images)
        except NoWayError:
            return False

    def _choose(self, image: ProfileImage, *, registry: bool) -> Source:
        if image.archive:
            engine_image = self.engine.image(image.ref)
            return Source(
                image,
                "engine" if engine_image and engine_image.id in _archived(image).ids else "archive",
                image.ref,
            )
        if checkout_ref := stamp.own_ref(image):
            return self._of_checkout(image, checkout_ref)
        book = self.builder.book
        tag = book.tag(book.get(image.recipe)) if image.recipe else ""
        return choose(image, tag, lambda ref: self.engine.image(ref) is not None, registry=registry)

    def _of_checkout(self, image: ProfileImage, checkout_ref: str) -> Source:
        """Choose by what marks the engine's images: a name alone may be another checkout's.

        What devenv has built from the sources as they are now comes first, then what the user has built from them.
        """
        built_image = self.engine.image(checkout_ref)
        if built_image and stamp.of_labels(built_image.labels) == self.state(image.build_in):
            return Source(image, "engine", checkout_ref)
        user_image = None if image.packed else self.engine.image(image.ref)
        if user_image and stamp.of_labels(user_image.labels) is None:
            return Source(image, "engine", image.ref)
        return Source(image, "source", checkout_ref)

    def state(self, folder: str) -> stamp.Stamp:
        """Return the state of a source folder."""
        if folder not in self.states:
            self.states[folder] = stamp.read(self.builder.host, folder)
        return self.states[folder]

    def _load(self, image: ProfileImage) -> None:
        step = f"load {image.name}"
        self.reporter.begin(step)
        try:
            self.engine.load(
                Path(image.archive),
                lambda current, total: self.reporter.update(step, current, total, "B"),
            )
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)

    def _pull(self, image: ProfileImage) -> Failure | None:
        """Pull it, and return why that failed, None where it did not."""
        step = f"pull {image.name}"
        self.reporter.begin(step)
        try:
            platform = f"linux/{self.builder.book.architecture}"
            self.engine.pull(
                image.ref,
                platform,
                lambda current, total: self.reporter.update(step, current, total, "B"),
            )
        except NotReachableError as error:
            failure = Failure(image.ref, error.why)
            self.reporter.end(step, f"{failure.registry} {failure.trouble.value}")
            return failure
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)
        return None

    def _build(self, sources: Sequence[Source], files: Sequence[tuple[str, str]]) -> None:
        plan = self.builder.plan([s.image.recipe for s in sources], files)
        self.builder.build(plan)


def _archived(image: ProfileImage) -> archive.Archived:
    """Return the image as its archive has it. Raises DevenvError where that has another, or none."""
    entries = archive.look(Path(image.archive))
    for entry in entries:
        if normalise(image.ref) in map(normalise, entry.names):
            return entry
    names = ", ".join(name for entry in entries for name in entry.names) or "no image with a name"
    raise DevenvError(
        f"{image.archive} does not have {image.ref}.", f"It has {names}.", "", Exit.USAGE
    )


def _reason(image: ProfileImage, failures: Sequence[Failure]) -> tuple[str, Trouble] | None:
    """Return which registry's trouble kept an image from being pulled, its own or an earlier image's."""
    registry = registry_of(image.ref)
    of_registry = [failure for failure in failures if failure.registry == registry]
    own_failures = [failure for failure in of_registry if failure.ref == image.ref]
    reason = next(iter([*own_failures, *(f for f in of_registry if f.trouble.concerns_all)]), None)
    return (registry, reason.trouble) if reason else None
