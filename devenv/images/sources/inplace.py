"""Builds an image from the user's source code: by the profile's command, or from a program alone.

Packing a program alone is the fast way for a changed line. A Go program is compiled on the host,
where Go keeps what it has compiled, and packed into an image with nothing else in it. (A
Dockerfile that compiles starts from nothing, unless it is told otherwise.) A Python program is
packed with its packages on a base that needs no registry
(devenv/images/sources/python_program.py).
"""

import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devenv.base.atomic import work_folder
from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.images.recipes.toolchain import Toolchain
from devenv.images.recipes.wheels import joined_lines
from devenv.images.sources import python_program, stamp
from devenv.ports.engine import Engine, Labels
from devenv.ports.host import Host
from devenv.ports.processes import Completed, Environment
from devenv.ports.reporter import Reporter
from devenv.profiles.model import GoProgram, ProfileImage, PythonBase, PythonProgram

# Seconds.
_TIMEOUT = 3600.0
# Last lines of a failed command's output that an error shows.
_LAST_LINES = 15


@dataclass(frozen=True)
class _Job:
    """One build of an image.

    `ref` is its name in the engine, `step` the step that shows progress.
    """

    image: ProfileImage
    ref: str
    step: str
    labels: Labels
    reporter: Reporter

    @property
    def folder(self) -> Path:
        """The folder with the source code, if the image has one."""
        return Path(self.image.build_in)

    def show(self, text: str) -> None:
        """Show what the build is doing."""
        self.reporter.detail(self.step, text)


@dataclass(frozen=True)
class InPlace:
    """Builds images in the folders that they name."""

    host: Host
    engine: Engine
    reporter: Reporter
    # Takes the newest version of Go that a source allows, "" for any. Returns a compiler for it,
    # and the engine's architecture.
    toolchain: Callable[[str], tuple[Toolchain, str]]
    # Obtains a base, and returns its name in the engine.
    base: Callable[[PythonBase], str]
    # Name in the nodes → the engine's IDs of the images that were built here.
    built_images: dict[str, list[str]] = field(default_factory=dict)

    def build(self, image: ProfileImage) -> str:
        """Build the image in the engine, and return its name there.

        An image of a checkout gets a name that only this checkout has. Raises DevenvError with the
        end of the build's output.
        """
        step = f"build {image.name}"
        ref = _ref_in_engine(image)
        previous_ids = self._ids(image)
        self.reporter.begin(step)
        try:
            # Read before the build: what is saved while it runs may not be in the image.
            state = self._state(image)
            job = _Job(image, ref, step, _labels(state), self.reporter)
            self._build(job, previous_ids)
        except BaseException:
            self.reporter.fail(step)
            raise
        self._note(image, previous_ids)
        self.reporter.end(step, _description(image, state))
        return ref

    def _state(self, image: ProfileImage) -> stamp.Stamp | None:
        """Return the state of the image's folder, None if it has no folder."""
        if not image.build_in:
            return None
        return stamp.read(self.host, image.build_in)

    def _build(self, job: _Job, previous_ids: Sequence[str]) -> None:
        """Build in the way that the profile gives: a Go program, a Python program, or a command."""
        image = job.image
        if image.go and image.build_in:
            self._build_go(job, image.go)
        elif image.python and image.build_in:
            self._build_python(job, image.python)
        else:
            self._run_command(job)
            self._note(image, previous_ids)
            self._mark(job)

    def _ids(self, image: ProfileImage) -> list[str]:
        """Return the IDs of the engine's images that have one of the image's names now."""
        refs = dict.fromkeys((_ref_in_engine(image), image.ref))
        images = [self.engine.image(ref) for ref in refs]
        return [image.id for image in images if image]

    def _note(self, image: ProfileImage, previous_ids: Sequence[str]) -> None:
        """Remember the IDs that the image's names have now but did not have before."""
        noted_ids = self.built_images.setdefault(normalise(image.ref), [])
        for image_id in self._ids(image):
            if image_id not in previous_ids and image_id not in noted_ids:
                noted_ids.append(image_id)

    def _mark(self, job: _Job) -> None:
        """Label what a checkout's own command built, under its own name and the checkout's name."""
        if job.ref == job.image.ref:
            return
        with work_folder(self._work_parent()) as folder:
            (folder / "Dockerfile").write_text(f"FROM {job.image.ref}\n")
            context = _pack(folder, ["Dockerfile"])
            for name in (job.ref, job.image.ref):
                self.engine.build(context, name, {}, job.labels, _ignore)

    def _work_parent(self) -> Path:
        """Return the folder for build contexts, in the cache."""
        return self.host.cache_dir() / "in-place"

    def _run_command(self, job: _Job) -> None:
        """Run the profile's command, in the image's folder if it has one."""
        command = job.image.build
        folder = None
        if job.image.build_in:
            folder = job.folder
        result = self.host.run(command, cwd=folder, on_line=job.show, timeout=_TIMEOUT)
        if result.failed:
            shell_command = " ".join(command)
            raise DevenvError(
                f"`{shell_command}` failed ({result.code}).",
                _last_lines(result),
                "Nothing was loaded into the cluster.",
            )

    def _build_go(self, job: _Job, program: GoProgram) -> None:
        """Compile a Go program on the host, and pack it alone into an image."""
        _refuse_missing_package(job.folder / program.package)
        env = self._go_environment(job, program)
        with work_folder(self._work_parent()) as folder:
            self._compile(job, program, env, folder / "program")
            dockerfile = folder / "Dockerfile"
            dockerfile.write_text(_dockerfile(program))
            job.show("packing")
            context = _pack(folder, ["Dockerfile", "program"])
            self.engine.build(context, job.ref, {}, job.labels, _ignore)

    def _go_environment(self, job: _Job, program: GoProgram) -> Environment:
        """Fetch a compiler that the source takes, and return the environment to run it in."""
        toolchain, architecture = self.toolchain(program.at_most)
        job.show("Go's compiler")
        toolchain.ensure(self.host.cache_dir() / "logs" / "toolchain.log")
        return toolchain.environment(architecture, cgo=False, host=False)

    def _compile(self, job: _Job, program: GoProgram, env: Environment, target: Path) -> None:
        """Run `go build`. Raises DevenvError with the end of its output."""
        tags = ",".join(program.tags)
        options = ["-ldflags", "-s -w", "-tags", tags, "-o", str(target)]
        argv = ["go", "build", *options, program.package]
        job.show(f"go build {program.package}")
        result = self.host.run(argv, cwd=job.folder, env=env, on_line=job.show, timeout=_TIMEOUT)
        if result.failed:
            raise DevenvError(
                f"`go build {program.package}` failed in {job.folder}.",
                _last_lines(result),
                "Nothing was loaded into the cluster. If the checkout is of a release, name the"
                " release with --aibrix-version.",
            )

    def _build_python(self, job: _Job, program: PythonProgram) -> None:
        """Pack a Python program with its packages on a base."""
        _, architecture = self.toolchain("")
        source = python_program.read(job.folder, program)
        job.show("the base")
        base = self.base(program.base)
        job.show("packages")
        packages = python_program.packages(self.host, source, architecture)
        job.show("packing")
        with work_folder(self._work_parent()) as folder:
            context = folder / "context.tar"
            python_program.write_context(context, program, source, packages)
            self.engine.build(context, job.ref, {"BASE": base}, job.labels, _ignore)


def _ref_in_engine(image: ProfileImage) -> str:
    """Return the engine's name for what is built of the image."""
    return stamp.own_ref(image) or image.ref


def _labels(state: stamp.Stamp | None) -> Labels:
    if state is None:
        return {}
    return state.labels


def _description(image: ProfileImage, state: stamp.Stamp | None) -> str:
    """Return what was built, for the end of the step."""
    if state is None:
        return image.ref
    return state.state


def _refuse_missing_package(package: Path) -> None:
    if not package.is_dir():
        fix = "Check that this is the right checkout."
        raise DevenvError(f"{package} is missing.", "", fix, Exit.USAGE)


def _last_lines(result: Completed) -> str:
    lines = result.output.splitlines()
    return "\n".join(lines[-_LAST_LINES:])


def _ignore(_line: str) -> None:
    """Drop a line of the engine's output: packing alone says nothing of interest."""


def _pack(folder: Path, names: Sequence[str]) -> Path:
    """Write these files of the folder into a build context, and return its path."""
    context = folder / "context.tar"
    with tarfile.open(context, "w") as tar:
        for name in names:
            tar.add(folder / name, name, filter=_without_owner_and_time)
    return context


def _without_owner_and_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Make the same program give the same image, whenever it was compiled."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _dockerfile(program: GoProgram) -> str:
    """Return a Dockerfile for a program that needs nothing else in its image."""
    lines = (
        "FROM scratch",
        f"COPY program {program.entrypoint}",
        f"USER {program.user}",
        "ENV PATH=/",
        f'ENTRYPOINT ["{program.entrypoint}"]',
    )
    return joined_lines(lines)
