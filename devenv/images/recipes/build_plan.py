"""What a build has to make, how long that takes and how much disk it needs."""

from dataclasses import dataclass

from devenv.base.counting import counted
from devenv.images.recipes.recipe import Recipe
from devenv.ports.names import Names
from devenv.profiles.model import RecipeFile
from devenv.profiles.quantities import show


@dataclass(frozen=True)
class Piece:
    """One thing to make: a file of a recipe, or its image if `file` is empty. `disk` in bytes."""

    recipe: str
    file: str
    lane: str
    seconds: int
    disk: int

    @property
    def name(self) -> str:
        """The name to show and to depend on."""
        if self.file:
            return f"{self.recipe}/{self.file}"
        return self.recipe


def _lane_of(recipe: Recipe, file: str) -> str:
    """Return the lane in which a file is made. Lanes run side by side."""
    step = recipe.spec.files[file]
    if step.go:
        return "go"
    if step.cc:
        return "cc"
    return "net"


@dataclass(frozen=True)
class BuildPlan:
    """What must be made, bases first. `images` and `files` are what was asked for."""

    pieces: tuple[Piece, ...]
    images: Names = ()
    files: tuple[RecipeFile, ...] = ()

    @property
    def disk(self) -> int:
        """Bytes that the build will add at most."""
        return sum(piece.disk for piece in self.pieces)

    @property
    def seconds(self) -> int:
        """Seconds that the build takes on two cores.

        Lanes run side by side, except that compilers and image steps share the cores.
        """
        compiling = self._seconds_of("go")
        downloading = self._seconds_of("net")
        making_images = self._seconds_of("engine")
        return max(compiling + making_images // 2, downloading + making_images)

    def _seconds_of(self, lane: str) -> int:
        return sum(piece.seconds for piece in self.pieces if piece.lane == lane)

    @property
    def summary(self) -> str:
        """What the build is about to do, for a user who waits for it."""
        minutes = max(1, round(self.seconds / 60))
        cost = f"about {minutes} min on 2 cores, {show(self.disk)} of disk"
        return f"Building {counted(len(self.pieces), 'piece')}: {cost}."


def piece_of_file(recipe: Recipe, file: str) -> Piece:
    """Return the piece that is a recipe's file."""
    step = recipe.spec.files[file]
    return Piece(recipe.name, file, _lane_of(recipe, file), step.seconds, step.disk)
