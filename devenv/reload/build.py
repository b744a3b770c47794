"""Builds an image as the profile says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.images.load import normalise
from devenv.lifecycle.steps import step
from devenv.ports import Host, Reporter
from devenv.profiles.model import Profile, ProfileImage

_LONGEST = 3600.0  # seconds
_SHOWN = 15  # last lines of what failed


@dataclass(frozen=True)
class Build:
    """Runs build commands, one after the other."""

    host: Host
    profile: Profile
    reporter: Reporter

    def run(self, refs: Sequence[str]) -> None:
        """Build all of them. Raises DevenvError before anything is built where one has no command, and where one fails."""
        images = [self._image(ref) for ref in refs]
        without = [ref for ref, image in zip(refs, images, strict=True) if image is None or not image.build]
        if without:
            fix = "Give the profile's image one: images: [{name: …, build: [docker, build, -t, REF, .], build_in: FOLDER}]."
            raise DevenvError(f"There is no command to build {', '.join(without)}.", "", fix, Exit.USAGE)
        for image in images:
            if image:
                self._one(image)

    def _image(self, ref: str) -> ProfileImage | None:
        found = (i for i in self.profile.images if ref == i.name or normalise(i.ref) == normalise(ref))
        return next(found, None)

    def _one(self, image: ProfileImage) -> None:
        name = f"build {image.name}"
        with step(self.reporter, name):
            done = self.host.run(
                image.build,
                cwd=Path(image.build_in) if image.build_in else None,
                on_line=lambda line: self.reporter.detail(name, line),
                timeout=_LONGEST,
            )
            if done.code != 0:
                last = "\n".join(done.output.splitlines()[-_SHOWN:])
                raise DevenvError(f"`{' '.join(image.build)}` failed ({done.code}).", last, "Nothing was moved.")
