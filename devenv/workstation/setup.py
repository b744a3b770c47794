"""`setup`: installs missing prerequisites and starts Docker, or prints the commands for it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError, ElsewhereError, Exit, ForbiddenError, NotReachableError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.images.recipes.build import Builder
from devenv.ports.clock import Clock
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Profile, ProfileImage

# Debian's packages.
ENGINE = ("docker.io", "iptables")
BUILD = ("debootstrap", "gcc", "libc6-dev", "libseccomp-dev", "pkg-config")
_RUN = Path("/var/run")
_PIDFILES = (
    (_RUN / "docker.pid", "dockerd"),
    (_RUN / "docker" / "containerd" / "containerd.pid", "containerd"),
)
_SYSTEMD = Path("/run/systemd/system")
_LOCAL_SOCKET = "unix:///var/run/docker.sock"
# Seconds.
_INSTALL = 900.0
_START = 60.0
# Characters of a failed program's output that an error shows.
_SHOWN_OUTPUT = 1500
_ASK = "ask a registry"


@dataclass(frozen=True)
class Setup:
    """Installs what is missing on the host."""

    host: Host
    engine: Engine
    # Made only once the engine answers.
    builder: Callable[[], Builder]
    clock: Clock
    reporter: Reporter
    profile: Profile
    # devenv/adapters/runc_trimmed.py.
    wrapper: Path
    # Asked before packages are installed.
    confirm: Callable[[Sequence[str]], bool]

    def run(self) -> list[str]:
        """Return what was done, nothing if nothing was missing.

        Raises DevenvError with the commands if it may not run them. An engine that the user chose
        and that does not answer ends it at once.
        """
        actions = []
        # First of all, since this raises for an engine that the user chose.
        self._is_engine_answering()
        if self._lacks_engine():
            actions += self._install(ENGINE)
        if not self._is_engine_answering():
            actions += self._start_engine()
        if self._must_build() and (packages := self._not_installed(BUILD)):
            actions += self._install(packages)
        return actions

    def _is_engine_answering(self) -> bool:
        """Whether the engine answers. Raises if it can't be made to by starting it here."""
        try:
            self.engine.info()
        except (ForbiddenError, ElsewhereError):
            raise
        except NotReachableError:
            return False
        return True

    def _lacks_engine(self) -> bool:
        if not self.host.which("docker"):
            return True
        # With a client alone, the engine may run elsewhere.
        return not (self._is_engine_answering() or self.host.which("dockerd"))

    def _not_installed(self, packages: Sequence[str]) -> list[str]:
        if not self.host.which("dpkg"):
            return list(packages)
        return [name for name in packages if self.host.run(["dpkg", "-s", name]).failed]

    # Images

    def _must_build(self) -> bool:
        """Whether Debian's packages are needed to build images: no registry gives missing ones."""
        builder = self.builder()
        missing_images = [i for i in self.profile.images if not self._has_image(builder, i)]
        recipes = [image.recipe for image in missing_images if image.recipe]
        if not any(builder.plan(recipes).pieces):
            return False
        for image in missing_images:
            if image.pull:
                return not self._can_pull(image, builder.book.architecture)
        # devenv's own images need the Go compiler alone, which comes as a wheel.
        return False

    def _has_image(self, builder: Builder, image: ProfileImage) -> bool:
        if self.engine.image(image.ref) is not None:
            return True
        return bool(image.recipe and builder.built(builder.book.get(image.recipe)))

    def _can_pull(self, image: ProfileImage, architecture: str) -> bool:
        """Whether a registry answers. The image that is pulled to find out is needed anyway."""

        def show_progress(completed: int, total: int) -> None:
            self.reporter.update(_ASK, completed, total, "B")

        with step(self.reporter, _ASK) as note:
            try:
                self.engine.pull(image.ref, f"linux/{architecture}", show_progress)
            except NotReachableError:
                note.append("none answers: images will be built")
                return False
            note.append("it answers: images will be pulled")
            return True

    # Packages

    def _install(self, packages: Sequence[str]) -> list[str]:
        """Install packages with apt. Raises DevenvError with the commands if devenv may not."""
        commands = [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ]
        shell_lines = "\n".join(f"  sudo {' '.join(command)}" for command in commands)
        if not self.host.which("apt-get"):
            raise DevenvError(
                "Programs are missing.",
                f"This system has no apt. Debian's packages are called {', '.join(packages)}.",
                "Install Docker (Docker Desktop, colima, or your system's package),"
                " then run `devenv setup` again.",
                Exit.PREREQUISITE,
            )
        if not self.host.is_root() or not self.confirm(packages):
            raise DevenvError(
                "Packages are missing.",
                f"Install them with:\n{shell_lines}",
                "Then run `devenv setup` again.",
                Exit.PREREQUISITE,
            )
        log = self.host.cache_dir() / "logs" / "setup.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with step(self.reporter, f"install {' '.join(packages)}"):
            for command in commands:
                self._run_apt(command, shell_lines, log)
        return [f"installed {name}" for name in packages]

    def _run_apt(self, command: Sequence[str], shell_lines: str, log: Path) -> None:
        """Run apt-get without questions. Raises DevenvError with the end of its output."""
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        result = self.host.run(command, env=environment, log=log, timeout=_INSTALL)
        if result.failed:
            raise DevenvError(
                "apt-get failed.",
                result.output[-_SHOWN_OUTPUT:],
                f"Run these commands yourself:\n{shell_lines}",
            )

    # The engine

    def _start_engine(self) -> list[str]:
        """Start Docker. Raises DevenvError if it is elsewhere, or devenv is not root."""
        message = self._engine_message()
        if _LOCAL_SOCKET not in message:
            raise DevenvError(
                message,
                next_step="Start it. To let devenv start Docker here, unset DOCKER_HOST and use"
                " the default context.",
                exit_code=Exit.PREREQUISITE,
            )
        if not self.host.is_root():
            command = "sudo systemctl start docker" if _has_systemd() else "sudo devenv setup"
            raise DevenvError(
                "The Docker engine is not running.",
                next_step=f"Start it: {command}",
                exit_code=Exit.PREREQUISITE,
            )
        with step(self.reporter, "start the Docker engine"):
            if _has_systemd():
                self.host.run(["systemctl", "start", "docker"], timeout=_START)
            else:
                self._spawn_engine()
            self._await_engine()
        return ["started the Docker engine"]

    def _engine_message(self) -> str:
        """Return a text that has the engine's address, also if the engine does not answer."""
        try:
            return self.engine.info().address
        except NotReachableError as error:
            return error.what

    def _await_engine(self) -> None:
        """Wait until the engine answers; the error names the log of the daemon."""
        log = self._folder() / "dockerd.log"
        until(
            "The Docker engine",
            lambda: "" if self._is_engine_answering() else "an answer",
            Deadline(self.clock, _START),
            f"Its log: {log}",
        )

    def _spawn_engine(self) -> None:
        """Start dockerd without a service manager; it keeps running after devenv ends."""
        folder = self._folder()
        config = folder / "daemon.json"
        config.write_text(json.dumps(daemon_config(self.host, folder, self.wrapper)))
        for pidfile, program in _PIDFILES:
            self.host.forget_dead(pidfile, program)
        self.host.spawn(["dockerd", "--config-file", str(config)], folder / "dockerd.log")

    def _folder(self) -> Path:
        folder = self.host.state_dir() / "engine"
        folder.mkdir(exist_ok=True)
        return folder


def _has_systemd() -> bool:
    return _SYSTEMD.exists()


def daemon_config(host: Host, folder: Path, wrapper: Path) -> dict[str, object]:
    """Return the engine's configuration, and write the program that it names into `folder`.

    If the host withholds capabilities, the engine gets a runc that needs fewer of them.
    """
    if not host.withholds_capabilities():
        return {}
    program = folder / "runc-trimmed"
    # Without site-packages (-S), Python starts in a third of the time.
    program.write_text(f"#!{host.python()} -IS\n{wrapper.read_text()}")
    program.chmod(0o755)
    return {"runtimes": {"trimmed": {"path": str(program)}}, "default-runtime": "trimmed"}
