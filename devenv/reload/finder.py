"""Finds the images that a user names: in the engine, or in a file."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv import name_flag
from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.base.steps import step
from devenv.base.userfiles import near_it
from devenv.images.formats.image_file import StoredImage, is_file, read_images
from devenv.images.formats.layers import sizes
from devenv.images.sources.stamp import of_labels, own_ref
from devenv.ports.engine import Engine, Image
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Profile, ProfileImage
from devenv.profiles.references import is_image_id
from devenv.reload.moves import NamedSource, Source

_NAME = re.compile(
    r"(?:sha256:)?[a-z0-9][a-z0-9._/:-]*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?", re.ASCII
)
_TAGGED_BY_KEY = re.compile(r":[0-9a-f]{16}(?:-unloaded)?$")
# What the user gives: an image of the engine or a file, and the name for it in the nodes, or "".
ImageArgument = tuple[str, str]


def _valid_name(ref: str) -> str:
    """Return the reference, or "" if it is not a valid image name."""
    return ref if _NAME.fullmatch(ref) else ""


def find_profile_image(profile: Profile, argument: str) -> ProfileImage | None:
    """Return the profile's image of that name or reference. A reference may omit the tag."""
    is_reference = bool(_NAME.fullmatch(argument))
    for image in profile.images:
        if argument == image.name:
            return image
        if is_reference and _matches(argument, normalise(image.ref)):
            return image
    return None


def _matches(argument: str, profile_ref: str) -> bool:
    """Whether a reference, with or without a tag, means the profile's image."""
    return profile_ref in {normalise(argument), _with_tag_of(argument, profile_ref)}


def _with_tag_of(argument: str, tagged_ref: str) -> str:
    """Add another reference's tag; return "" if the argument has a tag or digest already."""
    last_part = argument.rsplit("/", 1)[-1]
    has_tag = ":" in last_part or "@" in argument
    if has_tag or "@" in tagged_ref:
        return ""
    repository, _, _ = normalise(argument).rpartition(":")
    _, _, tag = tagged_ref.rpartition(":")
    return f"{repository}:{tag}"


class BadImageError(Exception):
    """One problem with one image."""


@dataclass(frozen=True)
class ImageFinder:
    """Finds the images that the user names, and refuses those that can't be loaded."""

    cluster: str
    profile: Profile
    engine: Engine
    reporter: Reporter
    # Whether devenv has just built the images.
    built: bool = False

    def find_all(self, arguments: Sequence[ImageArgument]) -> list[NamedSource]:
        """Return every image with its name in the nodes, or raise DevenvError with all problems."""
        sources = []
        problems: list[str] = []
        hints: dict[str, None] = {}
        for argument, name in arguments:
            try:
                sources += self._find(argument, name)
            except BadImageError as error:
                problems.append(str(error))
            except DevenvError as error:
                if error.exit_code != Exit.USAGE:
                    raise
                problems += filter(None, (error.what, error.why))
                hints |= dict.fromkeys(filter(None, [error.next_step]))
        problems += _find_repeated_names(sources)
        if problems:
            fix = " ".join(["Nothing was moved.", *hints])
            raise DevenvError("Images can't be loaded.", "\n".join(problems), fix, Exit.USAGE)
        return sources

    def engine_ref(self, argument: str) -> str:
        """Return the engine's name of an image, or "" if the argument can't be an image name.

        The argument may be the profile's name of an image. If that image comes from a checkout,
        the name stands for the image that devenv built from it, as far as the engine has one: the
        name in the manifests may belong to another checkout's image.
        """
        profile_image = find_profile_image(self.profile, argument)
        if profile_image is None:
            return _valid_name(argument)
        own_build = own_ref(profile_image)
        if own_build and self.built:
            return own_build
        is_profile_name = argument == profile_image.name
        if own_build and is_profile_name and self.engine.image(own_build):
            return own_build
        return _valid_name(profile_image.ref)

    def _find(self, argument: str, name: str) -> list[NamedSource]:
        """Return the images of one argument: a file may have several, with several names."""
        if self._is_file(argument):
            return self._read_file(argument, name)
        return [self._find_in_engine(argument, name)]

    def _is_file(self, argument: str) -> bool:
        """Whether the argument means a file. An image of the engine comes before a file."""
        if not is_file(argument):
            return False
        if argument.startswith((".", "/", "~")):
            return True
        return not (_NAME.fullmatch(argument) and self.engine.image(argument))

    def _find_in_engine(self, argument: str, name: str) -> NamedSource:
        """Return the engine's image.

        Raises BadImageError or DevenvError if it can't be loaded, or the engine lacks it.
        """
        ref = self.engine_ref(argument)
        if not ref:
            raise BadImageError(f"{argument!r} is not a valid image name")
        _check_name(name)
        image = self.engine.image(ref)
        if image is None:
            raise self.absent(ref)
        self._check_architecture(ref, image)
        if not name and is_id_of(ref, image):
            argument = ref = only_name(ref, image)
        profile_image = find_profile_image(self.profile, name or argument)
        self._check_checkout(ref, image, profile_image)
        layer_sizes = sizes(self.engine.history(ref), len(image.layers))
        source = Source(ref, image, layer_sizes)
        return NamedSource(source, _name_in_nodes(ref, name, profile_image))

    def absent(self, ref: str) -> DevenvError:
        """Return the error for an image that the engine lacks.

        It never suggests the names of recipes' builds, whose tag is a key: no workload uses them.
        """
        what = f"{ref}: the engine has no such image"
        profile_refs = {image.ref for image in self.profile.images}
        if ref in profile_refs:
            fix = (
                f"Build it with `docker build -t {ref} .`, "
                f"or load another image in its place: `devenv reload-image OTHER --as {ref}`."
            )
            return DevenvError(what, next_step=fix, exit_code=Exit.USAGE)
        engine_names = {name for name in self.engine.names() if not _TAGGED_BY_KEY.search(name)}
        near_name = near_it(ref, engine_names | profile_refs)
        return DevenvError(f"{what}{near_name}", exit_code=Exit.USAGE)

    def _check_checkout(self, ref: str, image: Image, profile_image: ProfileImage | None) -> None:
        """Raise BadImageError if the image was built from another checkout than the cluster.

        An image without a stamp was built by the user, which is reported.
        """
        if profile_image is None or not profile_image.from_checkout:
            return
        stamp = of_labels(image.labels)
        if stamp and stamp.folder != profile_image.build_in:
            origin = self._describe_origin(profile_image)
            raise BadImageError(f"{ref} was built from {stamp.folder}; {origin}")
        if not stamp and profile_image.build_in:
            self.reporter.say(f"{ref} was built outside devenv.")

    def _describe_origin(self, image: ProfileImage) -> str:
        """Say what the cluster was made from, and which command builds its own image."""
        if not image.build_in:
            return f"the cluster {self.cluster} was made from a release, not from a checkout"
        flag = name_flag(self.cluster)
        command = f"`devenv reload-image {image.name} --build{flag}`"
        origin = f"the cluster {self.cluster} was made from {image.build_in}"
        return f"{origin}: {command} builds its own image"

    def _read_file(self, path: str, name: str) -> list[NamedSource]:
        """Return the file's images with each name that they get in the nodes."""
        images = self._read_images(path)
        if name and len(images) > 1:
            raise BadImageError(f"{path} has several images, so --as can't name them")
        _check_name(name)
        sources = []
        for stored in images:
            self._check_architecture(path, stored.image)
            names = (name,) if name else stored.names
            if not names:
                raise BadImageError(f"{path} does not name its image: name it with --as")
            source = Source(path, stored.image, stored.sizes, stored)
            sources += [NamedSource(source, normalise(node_name)) for node_name in names]
        return sources

    def _read_images(self, path: str) -> list[StoredImage]:
        """Read and verify a file, showing the progress. Raises DevenvError if it is broken."""
        label = f"check {Path(path).name}"

        def report(checked_bytes: int, total: int) -> None:
            self.reporter.update(label, checked_bytes, total, "bytes")

        with step(self.reporter, label):
            return read_images(Path(path), self.engine.info().architecture, report)

    def _check_architecture(self, ref: str, image: Image) -> None:
        """Raise BadImageError if the nodes can't run the image."""
        architecture = self.engine.info().architecture
        if image.architecture != architecture:
            raise BadImageError(f"{ref} is for {image.architecture}; the nodes run {architecture}")


def _check_name(name: str) -> None:
    """Raise BadImageError if the user named the image in the nodes, and not validly."""
    if name and not _NAME.fullmatch(name):
        raise BadImageError(f"{name!r} is not a valid image name")


def _name_in_nodes(ref: str, name: str, profile_image: ProfileImage | None) -> str:
    """Return the name that the user gave, else that of the profile's image, else the engine's."""
    if name:
        return normalise(name)
    if profile_image:
        return normalise(profile_image.ref)
    return normalise(ref)


def _find_repeated_names(sources: Iterable[NamedSource]) -> list[str]:
    """Return a line for each name in the nodes that several images would get."""
    counts = Counter(source.name for source in sources)
    repeated_names = sorted(name for name, count in counts.items() if count > 1)
    return [f"{name} is given twice" for name in repeated_names]


def is_id_of(ref: str, image: Image) -> bool:
    """Whether a user named the image by its ID, whole or cut, as `docker images` prints it."""
    digits = ref.removeprefix("sha256:")
    if not is_image_id(ref) or normalise(ref) in map(normalise, image.tags):
        return False
    image_digits = image.id.removeprefix("sha256:")
    return image_digits.startswith(digits)


def only_name(ref: str, image: Image) -> str:
    """Return the one name of an image that the user named by its ID.

    Raises BadImageError if it has no name, or several.
    """
    if len(image.tags) == 1:
        return image.tags[0]
    problem = "has no name"
    if image.tags:
        names = ", ".join(image.tags)
        problem = f"has the names {names}"
    raise BadImageError(
        f"{ref} is an ID, and its image {problem}: pass the name that it has in the nodes with --as"
    )
