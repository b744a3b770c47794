"""Builds images with the commands of the profile."""

from collections.abc import Sequence
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.images.sources.inplace import InPlace
from devenv.profiles.model import Profile, ProfileImage
from devenv.reload.finder import find_profile_image


@dataclass(frozen=True)
class Build:
    """Builds images one after the other."""

    profile: Profile
    in_place: InPlace

    def run(self, refs: Sequence[str]) -> None:
        """Build all of them.

        Raises DevenvError if one can't be built, before anything is built, or if a build fails.
        """
        images: list[ProfileImage] = []
        unbuildable_refs: list[str] = []
        is_from_checkout = False
        for ref in refs:
            image = find_profile_image(self.profile, ref)
            if image and image.from_checkout:
                is_from_checkout = True
            if image and image.built_in_place:
                images.append(image)
            else:
                unbuildable_refs.append(ref)
        if unbuildable_refs:
            raise _not_buildable(", ".join(unbuildable_refs), is_from_checkout=is_from_checkout)
        for image in images:
            self.in_place.build(image)


def _not_buildable(refs: str, *, is_from_checkout: bool) -> DevenvError:
    """Return the error for images that devenv can't build."""
    if is_from_checkout:
        what = f"No checkout has the source code of {refs}."
        fix = "The cluster was not made from a checkout: make one with `devenv up --checkout PATH`."
    else:
        what = f"The profile has no command to build {refs}."
        fix = (
            "Add one to the image in the profile: "
            "images: [{name: …, build: [docker, build, -t, REF, .], build_in: FOLDER}]. "
            "To build AIBrix's own programs, make a cluster from its source code:"
            " `devenv up --checkout PATH`."
        )
    return DevenvError(what, "", fix, Exit.USAGE)
