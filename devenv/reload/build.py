"""Builds an image as the profile says."""

from collections.abc import Sequence
from dataclasses import dataclass

from devenv.errors import DevenvError, Exit
from devenv.images.inplace import InPlace
from devenv.profiles.model import Profile
from devenv.reload.plan import called


@dataclass(frozen=True)
class Build:
    """Runs builds, one after the other."""

    profile: Profile
    in_place: InPlace

    def run(self, refs: Sequence[str]) -> None:
        """Build all of them. Raises DevenvError before anything is built where one has no way, and where one fails."""
        images = [called(self.profile, ref) for ref in refs]
        without = [
            ref
            for ref, image in zip(refs, images, strict=True)
            if image is None or not image.built_in_place
        ]
        if without:
            if any(image and image.from_checkout for image in images):
                fix = (
                    "The cluster is not from a checkout: make one with `devenv up --checkout PATH`."
                )
                raise DevenvError(
                    f"There is nothing to build {', '.join(without)} from.", "", fix, Exit.USAGE
                )
            fix = "Give the profile's image one: images: [{name: …, build: [docker, build, -t, REF, .], build_in: FOLDER}]."
            raise DevenvError(
                f"There is no command to build {', '.join(without)}.", "", fix, Exit.USAGE
            )
        for image in images:
            if image:
                self.in_place.build(image)
