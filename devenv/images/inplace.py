"""Builds an image from a user's source: by the profile's command, or from a program alone.

The fast way is for a changed line: the program is compiled here, where Go keeps what it has compiled, and packed into an
image with nothing else in it. A Dockerfile that compiles begins from nothing, or has to be told how not to.
A Python program is packed with its packages on a base that needs no registry (devenv/images/python.py).
"""

import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devenv.errors import DevenvError, Exit
from devenv.folders import work_folder
from devenv.images import python, stamp
from devenv.images.load import normalise
from devenv.images.toolchain import Toolchain
from devenv.ports import Engine, Host, Reporter
from devenv.profiles.model import GoProgram, ProfileImage, PythonBase, PythonProgram

# Seconds.
_LONGEST = 3600.0
# Last lines of what failed.
_SHOWN = 15


@dataclass(frozen=True)
class InPlace:
    """Builds in the folder that an image names."""

    host: Host
    engine: Engine
    reporter: Reporter
    # Go, at most of a version, and the engine's architecture.
    toolchain: Callable[[str], tuple[Toolchain, str]]
    # Brings a base into the engine, and returns its name there.
    base: Callable[[PythonBase], str]
    # Name in the nodes → the engine's IDs of what was built here.
    built_images: dict[str, list[str]] = field(default_factory=dict)

    def build(self, image: ProfileImage) -> str:
        """Build it in the engine and return its name there: one of the checkout's own, where it comes from one.

        Raises DevenvError with the end of what was said.
        """
        name = f"build {image.name}"
        ref = stamp.own_ref(image) or image.ref
        previous_ids = self._ids(ref, image.ref)
        self.reporter.begin(name)
        try:
            # Before the build: what is saved while it runs may not be in the image.
            state = stamp.read(self.host, image.build_in) if image.build_in else None
            labels = state.labels if state else {}
            if image.go and image.build_in:
                self._go(image, image.go, ref, labels, name)
            elif image.python and image.build_in:
                self._python(Path(image.build_in), image.python, ref, labels, name)
            else:
                self._command(image, name)
                self._note(image, previous_ids)
                self._mark(image, ref, labels)
        except BaseException:
            self.reporter.fail(name)
            raise
        self._note(image, previous_ids)
        self.reporter.end(name, state.state if state else image.ref)
        return ref

    def _ids(self, *refs: str) -> list[str]:
        """Return the IDs of what has these names now."""
        images = [self.engine.image(ref) for ref in dict.fromkeys(refs)]
        return [image.id for image in images if image]

    def _note(self, image: ProfileImage, previous_ids: Sequence[str]) -> None:
        """Note the images that have these names now, but did not before: they were built here."""
        image_ids = self.built_images.setdefault(normalise(image.ref), [])
        ref = stamp.own_ref(image) or image.ref
        new_ids = dict.fromkeys(self._ids(ref, image.ref))
        image_ids += [i for i in new_ids if i not in {*previous_ids, *image_ids}]

    def _mark(self, image: ProfileImage, ref: str, labels: Mapping[str, str]) -> None:
        """Mark what a checkout's own command built, under the name that it gave and under the checkout's own."""
        if ref == image.ref:
            return
        with work_folder(self.host.cache_dir() / "in-place") as folder:
            (folder / "Dockerfile").write_text(f"FROM {image.ref}\n")
            with tarfile.open(folder / "context.tar", "w") as tar:
                tar.add(folder / "Dockerfile", "Dockerfile", filter=_timeless)
            for name in (ref, image.ref):
                self.engine.build(folder / "context.tar", name, {}, labels, lambda _: None)

    def _command(self, image: ProfileImage, name: str) -> None:
        result = self.host.run(
            image.build,
            cwd=Path(image.build_in) if image.build_in else None,
            on_line=lambda line: self.reporter.detail(name, line),
            timeout=_LONGEST,
        )
        if result.code != 0:
            last_lines = "\n".join(result.output.splitlines()[-_SHOWN:])
            raise DevenvError(
                f"`{' '.join(image.build)}` failed ({result.code}).",
                last_lines,
                "Nothing was moved.",
            )

    def _go(
        self,
        image: ProfileImage,
        program: GoProgram,
        ref: str,
        labels: Mapping[str, str],
        name: str,
    ) -> None:
        folder = Path(image.build_in)
        if not (folder / program.package).is_dir():
            raise DevenvError(
                f"{folder / program.package} is not there.",
                "",
                "Is it the right checkout?",
                Exit.USAGE,
            )
        toolchain, architecture = self.toolchain(program.at_most)
        self.reporter.detail(name, "Go's compiler")
        toolchain.ensure(self.host.cache_dir() / "logs" / "toolchain.log")
        env = toolchain.environment(architecture, cgo=False, host=False)
        with work_folder(self.host.cache_dir() / "in-place") as context:
            argv = [
                "go",
                "build",
                "-ldflags",
                "-s -w",
                "-tags",
                ",".join(program.tags),
                "-o",
                str(context / "program"),
            ]
            self.reporter.detail(name, f"go build {program.package}")
            result = self.host.run(
                [*argv, program.package],
                cwd=folder,
                env=env,
                on_line=lambda line: self.reporter.detail(name, line),
                timeout=_LONGEST,
            )
            if result.code != 0:
                last_lines = "\n".join(result.output.splitlines()[-_SHOWN:])
                fix = "Nothing was moved. If the checkout is of a release, say which: --aibrix-version."
                raise DevenvError(
                    f"`go build {program.package}` failed in {folder}.", last_lines, fix
                )
            (context / "Dockerfile").write_text(_dockerfile(program))
            self.reporter.detail(name, "packing")
            with tarfile.open(context / "context.tar", "w") as tar:
                for file in ("Dockerfile", "program"):
                    tar.add(context / file, file, filter=_timeless)
            self.engine.build(context / "context.tar", ref, {}, labels, lambda _: None)

    def _python(
        self,
        checkout: Path,
        program: PythonProgram,
        ref: str,
        labels: Mapping[str, str],
        name: str,
    ) -> None:
        architecture = self.toolchain("")[1]
        source = python.read(checkout, program)
        self.reporter.detail(name, "the base")
        base = self.base(program.base)
        self.reporter.detail(name, "packages")
        packages = python.packages(self.host, source, architecture)
        self.reporter.detail(name, "packing")
        with work_folder(self.host.cache_dir() / "in-place") as context:
            python.write_context(context / "context.tar", program, source, packages)
            self.engine.build(context / "context.tar", ref, {"BASE": base}, labels, lambda _: None)


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same program makes the same image, whenever it was compiled."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _dockerfile(program: GoProgram) -> str:
    lines = (
        "FROM scratch",
        f"COPY program {program.entrypoint}",
        f"USER {program.user}",
        "ENV PATH=/",
        f'ENTRYPOINT ["{program.entrypoint}"]',
    )
    return "".join(f"{line}\n" for line in lines)
