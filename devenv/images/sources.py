"""Where each image of a profile comes from: the engine, an archive, somebody's source, a registry, or its recipe."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.images import archive, stamp
from devenv.images.build import Builder
from devenv.images.inplace import InPlace
from devenv.images.load import normalise
from devenv.ports import Engine, Reporter
from devenv.profiles.model import ProfileImage

# How a registry that answers says that it has not got an image.
_ABSENT = re.compile(r"not found|manifest unknown|denied|unauthorized|no matching manifest|does not exist", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """How the engine comes by an image, and the image's name there. "node": it needn't, the nodes have it."""

    image: ProfileImage
    how: Literal["engine", "archive", "source", "pull", "build", "node"]
    ref: str


def choose(image: ProfileImage, built_tag: str, has: Callable[[str], bool], *, registry: bool) -> Source:
    """Decide where the image comes from: what is there before what must be fetched, a registry before a recipe.

    `built_tag` is the name of what its recipe makes, "" without one. Raises DevenvError where there is no way.
    """
    if not image.pull and has(image.ref):  # only somebody who built it himself has an image of that name
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


class NoWayError(DevenvError):
    """An image that is nowhere to be had."""

    def __init__(self, *refs: str) -> None:
        """`refs` names all of them."""
        super().__init__(
            f"There is no way to {'the image' if len(refs) == 1 else 'these images'}: {', '.join(refs)}.",
            "Not in the engine, no registry answers, and the profile has no recipe.",
            f"Bring {'it' if len(refs) == 1 else 'them'} with `docker load -i FILE` or `docker pull`, or name a file in the"
            " profile: images: [{name: …, archive: FILE}]. AIBrix's own are built from its source with `devenv up --checkout"
            " PATH`.",
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
    ) -> dict[str, Source]:
        """Pull or build what the engine lacks, and the recipes' files; return each image's source by the image's name.

        `in_nodes`: names of images that the nodes have already, and that the engine therefore needn't have.
        """
        self.check(images)
        registry = True
        sources = {i.name: Source(i, "node", i.ref) for i in images if i.name in in_nodes}
        nowhere: list[str] = []
        for image in (i for i in images if i.name not in in_nodes):
            try:
                source = self._choose(image, registry=registry)
                if source.how == "pull" and (failed := self._pull(image)):
                    registry = bool(_ABSENT.search(failed))  # one that answers may still have the others
                    source = self._choose(image, registry=False)
            except NoWayError as error:
                nowhere += error.refs
                continue
            sources[image.name] = source
        if nowhere:  # all of them at once, before anything is built
            raise NoWayError(*nowhere)
        for source in sources.values():
            if source.how == "archive":
                self._load(source.image)
            elif source.how == "source" and self.in_place:
                self.in_place.build(source.image)
        self._build([s for s in sources.values() if s.how == "build"], files)
        return sources

    def check(self, images: Sequence[ProfileImage]) -> None:
        """Refuse archives that can't be used, all at once: broken, without the image, or of another architecture."""
        wanted, problems = self.builder.book.architecture, []
        for image in images:
            try:
                found = _archived(image).architecture if image.archive else wanted
            except DevenvError as error:
                problems.append(f"images.{image.name}: {error}")
                continue
            if found != wanted:
                problems.append(f"images.{image.name}: {image.archive} is for {found}; the engine runs {wanted}.")
        if problems:
            raise DevenvError("Image archives are wrong.", "\n".join(problems), "Nothing was changed.", Exit.USAGE)

    def ready(self, images: Sequence[ProfileImage]) -> bool:
        """Whether the engine has them all already."""
        return all(self._choose(i, registry=True).how == "engine" for i in images)

    def obtainable(self, images: Sequence[ProfileImage]) -> bool:
        """Whether there is a way to all of them without a registry."""
        try:
            return all(self._choose(i, registry=False) for i in images)
        except NoWayError:
            return False

    def _choose(self, image: ProfileImage, *, registry: bool) -> Source:
        if image.archive:
            held = self.engine.image(image.ref)
            return Source(image, "engine" if held and held.id in _archived(image).ids else "archive", image.ref)
        if own := stamp.own_ref(image):
            return self._of_checkout(image, own)
        book = self.builder.book
        tag = book.tag(book.get(image.recipe)) if image.recipe else ""
        return choose(image, tag, lambda ref: self.engine.image(ref) is not None, registry=registry)

    def _of_checkout(self, image: ProfileImage, own: str) -> Source:
        """Choose by what marks the engine's images: a name alone may be another checkout's.

        What devenv has built from the sources as they are now comes first, then what the user has built from them.
        """
        held = self.engine.image(own)
        if held and stamp.of_labels(held.labels) == self.state(image.build_in):
            return Source(image, "engine", own)
        users = None if image.packed else self.engine.image(image.ref)
        if users and stamp.of_labels(users.labels) is None:
            return Source(image, "engine", image.ref)
        return Source(image, "source", own)

    def state(self, folder: str) -> stamp.Stamp:
        """Return the state of a source folder."""
        if folder not in self.states:
            self.states[folder] = stamp.read(self.builder.host, folder)
        return self.states[folder]

    def _load(self, image: ProfileImage) -> None:
        step = f"load {image.name}"
        self.reporter.begin(step)
        try:
            self.engine.load(Path(image.archive), lambda done, total: self.reporter.update(step, done, total, "B"))
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)

    def _pull(self, image: ProfileImage) -> str:
        """Pull it, and return why it is not to be had, "" where it is."""
        step = f"pull {image.name}"
        self.reporter.begin(step)
        try:
            platform = f"linux/{self.builder.book.architecture}"
            self.engine.pull(image.ref, platform, lambda done, total: self.reporter.update(step, done, total, "B"))
        except NotReachableError as error:
            instead = "its recipe will" if image.recipe else "it is looked for elsewhere"
            self.reporter.end(step, f"no registry has it for us ({_short(error.why)}); {instead}")
            return error.why or "no answer"
        except DevenvError:
            self.reporter.fail(step)
            raise
        self.reporter.end(step, image.ref)
        return ""

    def _build(self, sources: Sequence[Source], files: Sequence[tuple[str, str]]) -> None:
        plan = self.builder.plan([s.image.recipe for s in sources], files)
        if plan.pieces:
            self.reporter.say(plan.summary)
            self.builder.build(plan)


def _archived(image: ProfileImage) -> archive.Archived:
    """Return the image as its archive has it. Raises DevenvError where that has another, or none."""
    found = archive.look(Path(image.archive))
    for one in found:
        if normalise(image.ref) in map(normalise, one.names):
            return one
    names = ", ".join(name for one in found for name in one.names) or "no image with a name"
    raise DevenvError(f"{image.archive} does not have {image.ref}.", f"It has {names}.", "", Exit.USAGE)


def _short(why: str) -> str:
    return why.splitlines()[0][-80:] if why else "no answer"
