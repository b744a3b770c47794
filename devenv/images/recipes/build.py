"""Builds recipes: plans a build, refuses what can't succeed, and makes pieces side by side."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.base.tasks import Task, run_all
from devenv.base.wait import locked
from devenv.images.recipes.build_plan import BuildPlan, Piece, piece_of_file
from devenv.images.recipes.files import Files, remove_leftovers
from devenv.images.recipes.image_build import ImageBuild
from devenv.images.recipes.recipe import Book, FileStep, Recipe
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter
from devenv.profiles.model import RecipeFile
from devenv.profiles.quantities import show

STEP = "images"
# Bytes that a build leaves free for the host.
_SPARE = 1 << 30
# How many pieces of a lane are made at once. Two Go compilers at once were slower on two cores, not
# faster, because each compiles what both need.
_LANES = {"go": 1, "net": 1, "engine": 1, "modules": 1}


@dataclass(frozen=True)
class Builder:
    """Plans and runs builds of one book's recipes."""

    book: Book
    files: Files
    engine: Engine
    containers: Containers
    host: Host
    clock: Clock
    reporter: Reporter

    def plan(self, images: Iterable[str], files: Iterable[RecipeFile] = ()) -> BuildPlan:
        """Return what must be made so that these recipes' images and (recipe, file) pairs exist."""
        pieces: dict[str, Piece] = {}
        requested_images = tuple(images)
        requested_files = tuple(files)
        for name, file in requested_files:
            recipe = self.book.get(name)
            self._add_file(recipe, file, pieces)
        for name in requested_images:
            recipe = self.book.get(name)
            self._add_image(recipe, pieces)
        return BuildPlan(tuple(pieces.values()), requested_images, requested_files)

    def wait(self) -> None:
        """Return once no other process builds."""
        with locked(self.host, self.clock, "images", self.reporter.say):
            pass

    def built(self, recipe: Recipe) -> bool:
        """Whether the engine has the recipe's image with its current key."""
        if recipe.spec.image is None:
            return False
        return self.engine.image(self.book.tag(recipe)) is not None

    def _add_image(self, recipe: Recipe, pieces: dict[str, Piece]) -> None:
        """Add the missing pieces of a recipe's image, after those of its bases."""
        if recipe.name in pieces or self.built(recipe):
            return
        image = recipe.spec.image
        if image is None:
            for file in recipe.spec.files:
                self._add_file(recipe, file, pieces)
            return
        for base in recipe.needs:
            self._add_image(self.book.get(base), pieces)
        for file in image.made_files:
            self._add_file(recipe, file, pieces)
        pieces[recipe.name] = Piece(
            recipe=recipe.name,
            file="",
            lane="engine",
            seconds=image.seconds,
            disk=image.disk,
        )

    def _add_file(self, recipe: Recipe, file: str, pieces: dict[str, Piece]) -> None:
        piece = piece_of_file(recipe, file)
        if piece.name not in pieces and not self.files.exists(recipe, file):
            pieces[piece.name] = piece

    def check(self, plan: BuildPlan) -> None:
        """Refuse a plan that can't succeed, before anything changes.

        Raises DevenvError with all reasons at once.
        """
        disk_problems = self._disk_problems(plan)
        tool_problems = self._tool_problems(plan)
        _refuse(disk_problems + tool_problems)

    def _disk_problems(self, plan: BuildPlan) -> list[str]:
        """Return a sentence for each disk that is too small."""
        engine = self.engine.info()
        places = {self.host.cache_dir()}
        if engine.local:
            places.add(engine.data_root)
        problems = []
        for place in sorted(places):
            free = self.host.space(place).free
            if free < plan.disk + _SPARE:
                problems.append(_disk_problem(place, free, plan.disk))
        return problems

    def _tool_problems(self, plan: BuildPlan) -> list[str]:
        """Return a sentence for missing programs, and one for missing rights."""
        problems = []
        programs = self._needed_programs(plan)
        missing_programs = [name for name in sorted(programs) if self.host.which(name) is None]
        if missing_programs:
            names = ", ".join(missing_programs)
            problems.append(f"These programs are missing: {names}. Run `devenv setup`.")
        if "debootstrap" in programs and not self.host.is_root():
            problems.append(
                "debootstrap makes a Debian tree, which needs root. Run `sudo devenv images build`."
            )
        return problems

    def _needed_programs(self, plan: BuildPlan) -> set[str]:
        """Return the programs of the host that the build runs, besides Go and pip."""
        programs = set()
        for piece in plan.pieces:
            if piece.file:
                recipe = self.book.get(piece.recipe)
                file_step = recipe.spec.files[piece.file]
                programs.update(_programs(file_step))
        return programs

    def build(self, plan: BuildPlan) -> None:
        """Make everything in the plan that is still missing once no other process builds.

        If a piece fails, the finished pieces stay.
        """
        if not plan.pieces:
            return
        # Refuse before waiting for another process.
        _refuse(self._tool_problems(plan))
        with locked(self.host, self.clock, "images", self.reporter.say):
            plan = self._current(plan)
            if not plan.pieces:
                self.reporter.say("Nothing is left to build: another process has built everything.")
                return
            self.check(plan)
            self.reporter.say(plan.summary)
            remove_leftovers(self.host.cache_dir())
            self._make_all(plan)

    def _current(self, plan: BuildPlan) -> BuildPlan:
        """Plan again, because another process may have built some pieces meanwhile."""
        if plan.images or plan.files:
            return self.plan(plan.images, plan.files)
        return plan

    def _make_all(self, plan: BuildPlan) -> None:
        """Make the pieces side by side. If one fails, stop the programs of the others."""
        self.reporter.begin(STEP)
        try:
            progress = _BuildProgress(self.reporter, plan)
            tasks = self._tasks(plan, progress)
            run_all(tasks, _LANES, on_failure=self.host.stop_children)
        except BaseException:
            self.reporter.fail(STEP)
            raise
        self.reporter.end(STEP, f"{len(plan.pieces)} made")

    def _tasks(self, plan: BuildPlan, progress: "_BuildProgress") -> list[Task]:
        """Return a task for each piece, and one for the Go modules of each piece that has some."""
        pieces = self._urgent_first(plan)
        module_tasks = [self._module_task(piece) for piece in pieces if piece.lane == "go"]
        piece_tasks = [self._piece_task(piece, progress) for piece in pieces]
        return module_tasks + piece_tasks

    def _module_task(self, piece: Piece) -> Task:
        """Return the task that downloads a piece's Go modules."""
        recipe = self.book.get(piece.recipe)
        fetch_modules = partial(self.files.fetch_modules, recipe, piece.file)
        return Task(_modules(piece), fetch_modules, (), "modules")

    def _piece_task(self, piece: Piece, progress: "_BuildProgress") -> Task:
        """Return the task that makes a piece, after its bases, files and Go modules."""
        dependencies = self._dependencies(piece)
        if piece.lane == "go":
            dependencies = (_modules(piece), *dependencies)
        make = partial(self._make, piece, progress)
        return Task(piece.name, make, dependencies, piece.lane)

    def _urgent_first(self, plan: BuildPlan) -> list[Piece]:
        """Sort by how long the work is that waits for a piece, longest first.

        So the node image is filled while the rest is compiled.
        """
        dependents = self._dependents(plan)

        def seconds_waiting(piece: Piece) -> int:
            """Return the seconds of the longest chain of pieces that waits for this one."""
            chains = [
                dependent.seconds + seconds_waiting(dependent)
                for dependent in dependents[piece.name]
            ]
            return max(chains, default=0)

        def urgency(piece: Piece) -> tuple[int, int]:
            return seconds_waiting(piece), piece.seconds

        # sorted() keeps the plan's order of equally urgent pieces, also in reverse.
        return sorted(plan.pieces, key=urgency, reverse=True)

    def _dependents(self, plan: BuildPlan) -> Mapping[str, list[Piece]]:
        """Return the pieces that wait for each piece, by its name."""
        dependents: defaultdict[str, list[Piece]] = defaultdict(list)
        for piece in plan.pieces:
            for name in self._dependencies(piece):
                dependents[name].append(piece)
        return dependents

    def _dependencies(self, piece: Piece) -> Names:
        """Return the names of the pieces that must be made before this one."""
        if piece.file:
            return ()
        recipe = self.book.get(piece.recipe)
        files = [f"{recipe.name}/{file}" for file in recipe.spec.files]
        return (*recipe.needs, *files)

    def _make(self, piece: Piece, progress: "_BuildProgress") -> None:
        """Make a file or an image, and show its progress."""
        progress.begin(piece)
        recipe = self.book.get(piece.recipe)
        if piece.file:
            self.files.make(recipe, piece.file)
        else:
            image_build = ImageBuild(self.files, self.engine, self.containers, self.clock)
            image_build.make(recipe)
        progress.end(piece)


class _BuildProgress:
    """Shows which pieces are being made, and how many of all seconds are done."""

    def __init__(self, reporter: Reporter, plan: BuildPlan) -> None:
        self._reporter = reporter
        self._total_seconds = sum(piece.seconds for piece in plan.pieces)
        # Several threads change these lists, by single calls that need no lock.
        self._running: list[str] = []
        self._finished_seconds: list[int] = []
        reporter.update(STEP, 0, self._total_seconds, "s")

    def begin(self, piece: Piece) -> None:
        self._running.append(piece.name)
        self._show_running()

    def end(self, piece: Piece) -> None:
        self._running.remove(piece.name)
        self._show_running()
        self._finished_seconds.append(piece.seconds)
        finished_seconds = sum(self._finished_seconds)
        self._reporter.update(STEP, finished_seconds, self._total_seconds, "s")

    def _show_running(self) -> None:
        self._reporter.detail(STEP, ", ".join(self._running))


def _disk_problem(place: Path, free: int, needed: int) -> str:
    """Return the sentence for a disk with too few `free` bytes for a build of `needed` bytes."""
    disk = f"The disk of {place} has {show(free)} free"
    return f"{disk}; the build needs {show(needed)} and {show(_SPARE)} to spare."


def _refuse(problems: Sequence[str]) -> None:
    """Raise DevenvError if there are problems."""
    if problems:
        raise DevenvError(
            "The images can't be built here.", "\n".join(problems), exit_code=Exit.PREREQUISITE
        )


def _programs(step: FileStep) -> list[str]:
    """Return the programs of the host that a step needs."""
    if step.cc or (step.go and step.go.cgo):
        return ["gcc"]
    if step.debootstrap:
        return ["debootstrap"]
    return []


def _modules(piece: Piece) -> str:
    """Return the name of the task that downloads the Go modules of a piece."""
    return f"{piece.name}'s modules"
