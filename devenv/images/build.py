"""Builds recipes: says what is missing, how long and how much disk it takes, then makes it, side by side where it can."""

import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.images import files as made
from devenv.images.node import Preloader
from devenv.images.recipe import KEY_LABEL, NAME_LABEL, Book, Recipe
from devenv.ports import Clock, Containers, Engine, Host, Reporter
from devenv.profiles.quantities import show
from devenv.tasks import Task, run_all
from devenv.wait import locked

# Bytes that a build leaves free, for the machine it runs on.
_SPARE = 1 << 30
STEP = "images"


@dataclass(frozen=True)
class Piece:
    """One thing to make: a file of a recipe, or its image where `file` is empty."""

    recipe: str
    file: str
    lane: str
    seconds: int
    disk: int

    @property
    def name(self) -> str:
        """The name to show and to depend on."""
        return f"{self.recipe}/{self.file}" if self.file else self.recipe


@dataclass(frozen=True)
class BuildPlan:
    """What is missing, in an order that works. `images` and `files` are what was asked for."""

    pieces: tuple[Piece, ...]
    images: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    @property
    def disk(self) -> int:
        """Bytes that the build will add at most."""
        return sum(p.disk for p in self.pieces)

    @property
    def seconds(self) -> int:
        """Time it takes on two cores: lanes go side by side, except that compilers and image steps share the cores."""
        by_lane = {
            lane: sum(p.seconds for p in self.pieces if p.lane == lane)
            for lane in ("go", "net", "engine")
        }
        return max(by_lane["go"] + by_lane["engine"] // 2, by_lane["net"] + by_lane["engine"])

    @property
    def summary(self) -> str:
        """What is about to happen, for whoever waits for it."""
        minutes = max(1, round(self.seconds / 60))
        return f"Building {len(self.pieces)} pieces: about {minutes} min on 2 cores, {show(self.disk)} of disk."


@dataclass(frozen=True)
class Builder:
    """Builds what a plan names."""

    book: Book
    files: made.Files
    engine: Engine
    containers: Containers
    host: Host
    clock: Clock
    reporter: Reporter

    def plan(self, images: Iterable[str], files: Iterable[tuple[str, str]] = ()) -> BuildPlan:
        """What has to be made so that these recipes' images and these (recipe, file) pairs exist."""
        pieces: dict[str, Piece] = {}
        asked_images, asked_files = tuple(images), tuple(files)
        for name, file in asked_files:
            self._add_file(self.book.get(name), file, pieces)
        for name in asked_images:
            self._add_image(self.book.get(name), pieces)
        return BuildPlan(tuple(pieces.values()), asked_images, asked_files)

    def wait(self) -> None:
        """Return once no other process builds."""
        with locked(self.host, self.clock, "images", self.reporter.say):
            pass

    def built(self, recipe: Recipe) -> bool:
        """Whether the engine has the recipe's image, of today's key."""
        return (
            recipe.spec.image is not None and self.engine.image(self.book.tag(recipe)) is not None
        )

    def _add_image(self, recipe: Recipe, pieces: dict[str, Piece]) -> None:
        if recipe.name in pieces or self.built(recipe):
            return
        image = recipe.spec.image
        if image is None:
            for file in recipe.spec.files:
                self._add_file(recipe, file, pieces)
            return
        for needed in recipe.needs:
            self._add_image(self.book.get(needed), pieces)
        for file in (*image.files, *([image.rootfs] if image.rootfs else [])):
            self._add_file(recipe, file, pieces)
        pieces[recipe.name] = Piece(recipe.name, "", "engine", image.seconds, image.disk)

    def _add_file(self, recipe: Recipe, file: str, pieces: dict[str, Piece]) -> None:
        piece = Piece(
            recipe.name,
            file,
            _lane(recipe, file),
            recipe.spec.files[file].seconds,
            recipe.spec.files[file].disk,
        )
        if piece.name not in pieces and not self.files.exists(recipe, file):
            pieces[piece.name] = piece

    def check(self, plan: BuildPlan) -> None:
        """Refuse, before anything changes, what cannot end well. Raises DevenvError with all reasons at once."""
        problems = []
        engine = self.engine.info()
        for place in {self.host.cache_dir(), *([engine.data_root] if engine.local else [])}:
            if (free := self.host.space(place).free) < plan.disk + _SPARE:
                requirement = f"{show(plan.disk)} and {show(_SPARE)} to spare"
                problems.append(
                    f"The disk of {place} has {show(free)} free; the build needs {requirement}."
                )
        _refuse([*problems, *self._missing_tools(plan)])

    def _missing_tools(self, plan: BuildPlan) -> list[str]:
        problems = []
        steps = [(p, self.book.get(p.recipe).spec.files[p.file]) for p in plan.pieces if p.file]
        programs = {"gcc" for _, s in steps if s.cc or (s.go and s.go.cgo)} | {
            "debootstrap" for _, s in steps if s.debootstrap
        }
        if missing_programs := sorted(
            program for program in programs if self.host.which(program) is None
        ):
            problems.append(
                f"These programs are missing: {', '.join(missing_programs)}. Run `devenv setup`."
            )
        if any(s.debootstrap for _, s in steps) and not self.host.is_root():
            problems.append(
                "debootstrap makes a Debian tree, which needs root. Run `sudo devenv images build`."
            )
        return problems

    def build(self, plan: BuildPlan) -> None:
        """Make everything in the plan that is still missing once no other process builds.

        What is done stays done, whatever becomes of the rest.
        """
        if not plan.pieces:
            return
        # Before waiting for another process.
        _refuse(self._missing_tools(plan))
        with locked(self.host, self.clock, "images", self.reporter.say):
            plan = self.plan(plan.images, plan.files) if plan.images or plan.files else plan
            if not plan.pieces:
                self.reporter.say("Nothing is left to build: another process has built everything.")
                return
            self.check(plan)
            self.reporter.say(plan.summary)
            made.remove_leftovers(self.host.cache_dir())
            self.reporter.begin(STEP)
            try:
                self._run(plan)
            except BaseException:
                self.reporter.fail(STEP)
                raise
            self.reporter.end(STEP, f"{len(plan.pieces)} made")

    def _run(self, plan: BuildPlan) -> None:
        total = sum(p.seconds for p in plan.pieces)
        running: list[str] = []
        finished_seconds: list[int] = []

        def task(piece: Piece) -> Task:
            def run() -> None:
                running.append(piece.name)
                self.reporter.detail(STEP, ", ".join(running))
                self._make(piece)
                running.remove(piece.name)
                self.reporter.detail(STEP, ", ".join(running))
                finished_seconds.append(piece.seconds)
                self.reporter.update(STEP, sum(finished_seconds), total, "s")

            fetched = (_modules(piece),) if piece.lane == "go" else ()
            return Task(piece.name, run, (*fetched, *self._after(piece)), piece.lane)

        def fetch(piece: Piece) -> Task:
            recipe = self.book.get(piece.recipe)
            return Task(
                _modules(piece), lambda: self.files.fetch_modules(recipe, piece.file), (), "modules"
            )

        self.reporter.update(STEP, 0, total, "s")
        # Two compilers at once were slower on two cores, not faster: what both need, both compile.
        lanes = {"go": 1, "net": 1, "engine": 1, "modules": 1}
        pieces = self._urgent_first(plan)
        tasks = [fetch(p) for p in pieces if p.lane == "go"] + [task(p) for p in pieces]
        run_all(tasks, lanes, on_failure=self.host.stop_children)

    def _urgent_first(self, plan: BuildPlan) -> list[Piece]:
        """Sort by how long the work is that waits for a piece: the node image is filled while the rest is compiled."""
        dependencies = {p.name: self._after(p) for p in plan.pieces}
        seconds = {p.name: p.seconds for p in plan.pieces}

        def tail(name: str) -> int:
            return max(
                (seconds[n] + tail(n) for n, needs in dependencies.items() if name in needs),
                default=0,
            )

        return sorted(plan.pieces, key=lambda p: (-tail(p.name), -p.seconds))

    def _after(self, piece: Piece) -> tuple[str, ...]:
        recipe = self.book.get(piece.recipe)
        if piece.file:
            return ()
        return (*recipe.needs, *(f"{recipe.name}/{f}" for f in recipe.spec.files))

    def _make(self, piece: Piece) -> None:
        recipe = self.book.get(piece.recipe)
        if piece.file:
            self.files.make(recipe, piece.file)
        else:
            self._make_image(recipe)

    def _make_image(self, recipe: Recipe) -> None:
        image, tag = recipe.spec.image, self.book.tag(recipe)
        assert image  # noqa: S101 - only such pieces are planned
        labels = {NAME_LABEL: recipe.name, KEY_LABEL: self.book.image_key(recipe)}
        if image.rootfs:
            self.engine.import_rootfs(self.files.path(recipe, image.rootfs), tag, labels)
            return
        build_tag = f"{tag}-unloaded" if image.preload else tag
        self._docker_build(recipe, build_tag, labels)
        if image.preload:
            sources = {self.book.tag(self.book.get(n)): names for n, names in image.preload.items()}
            Preloader(self.engine, self.containers, self.clock).fill(
                build_tag, tag, sources, image.entrypoint
            )

    def _docker_build(self, recipe: Recipe, tag: str, labels: dict[str, str]) -> None:
        image, log = recipe.spec.image, self.files.log(f"{recipe.name}-image")
        assert image  # noqa: S101 - only such pieces are planned
        work = Path(tempfile.mkdtemp(prefix="work-", dir=self._folder(recipe)))
        try:
            context = work / "context.tar"
            members = [recipe.folder / n for n in ("Dockerfile", *image.context)]
            _pack(context, [*members, *(self.files.path(recipe, f) for f in image.files)])
            args = {arg: self.book.tag(self.book.get(n)) for arg, n in image.from_.items()}
            with log.open("w") as out:
                self.engine.build(
                    context, tag, args, labels, lambda line: print(line, file=out, flush=True)
                )
        except DevenvError as error:
            raise made.build_failure(
                f"{recipe.name}'s image", log.read_text() + str(error), log
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _folder(self, recipe: Recipe) -> Path:
        folder = self.host.cache_dir() / "built" / recipe.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise DevenvError(
            "The images can't be built here.", "\n".join(problems), exit_code=Exit.PREREQUISITE
        )


def _lane(recipe: Recipe, file: str) -> str:
    step = recipe.spec.files[file]
    return "go" if step.go else "cc" if step.cc else "net"


def _modules(piece: Piece) -> str:
    return f"{piece.name}'s modules"


def _pack(target: Path, members: Sequence[Path]) -> None:
    """Write a build context. Owners and times are left out, so that equal files give equal layers."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = 0
        return info

    with tarfile.open(target, "w") as archive:
        for member in members:
            archive.add(member, member.name, filter=plain)
