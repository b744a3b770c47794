"""`setup`: what the host lacks, the exact commands that bring it, and a running engine."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError, ElsewhereError, Exit, ForbiddenError, NotReachableError
from devenv.images.build import Builder
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Engine, Host, Reporter
from devenv.profiles.model import Profile
from devenv.wait import Deadline, until

ENGINE = ("docker.io", "iptables")
BUILD = ("debootstrap", "gcc", "libc6-dev", "libseccomp-dev", "pkg-config")
_RUN = Path("/var/run")
_PIDFILES = (
    (_RUN / "docker.pid", "dockerd"),
    (_RUN / "docker" / "containerd" / "containerd.pid", "containerd"),
)
_SYSTEMD = Path("/run/systemd/system")
# Seconds.
_INSTALL = 900.0
_START = 60.0
_ASK = "ask a registry"


@dataclass(frozen=True)
class Setup:
    """Brings what is missing. `confirm` is asked before packages are installed."""

    host: Host
    engine: Engine
    # Made only once the engine answers.
    builder: Callable[[], Builder]
    clock: Clock
    reporter: Reporter
    profile: Profile
    # devenv/adapters/runc_trimmed.py.
    wrapper: Path
    confirm: Callable[[Sequence[str]], bool]

    def run(self) -> list[str]:
        """Return what was done; nothing where nothing was missing.

        Raises DevenvError with the commands where it may not, and at once where the engine that does not answer is one
        that the user chose.
        """
        actions = []
        self._answers()
        if not self.host.which("docker") or not (self._answers() or self.host.which("dockerd")):
            actions += self._install(ENGINE)
        if not self._answers():
            actions += self._start()
        if self._must_build() and (missing_packages := self._missing(BUILD)):
            actions += self._install(missing_packages)
        return actions

    def _answers(self) -> bool:
        try:
            self.engine.info()
        except (ForbiddenError, ElsewhereError):
            raise
        except NotReachableError:
            return False
        return True

    def _missing(self, packages: Sequence[str]) -> list[str]:
        return (
            [p for p in packages if self.host.run(["dpkg", "-s", p]).code != 0]
            if self.host.which("dpkg")
            else list(packages)
        )

    def _must_build(self) -> bool:
        """Whether an image has to be built: the engine lacks it, and no registry gives it."""
        builder = self.builder()
        missing_images = [i for i in self.profile.images if not self._has(builder, i.recipe, i.ref)]
        if not any(builder.plan([i.recipe for i in missing_images if i.recipe]).pieces):
            return False
        trial_image = next((i for i in missing_images if i.pull), None)
        if trial_image is None:
            # devenv's own need the Go compiler alone, which comes as a wheel.
            return False
        with step(self.reporter, _ASK) as note:
            try:
                platform = f"linux/{builder.book.architecture}"
                self.engine.pull(
                    trial_image.ref,
                    platform,
                    lambda completed, total: self.reporter.update(_ASK, completed, total, "B"),
                )
            except NotReachableError:
                note.append("none answers: images will be built")
                return True
            note.append("it answers: images will be pulled")
            return False

    def _has(self, builder: Builder, recipe: str, ref: str) -> bool:
        return self.engine.image(ref) is not None or bool(
            recipe and builder.built(builder.book.get(recipe))
        )

    def _install(self, packages: Sequence[str]) -> list[str]:
        commands = [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ]
        by_hand = "\n".join(f"  sudo {' '.join(c)}" for c in commands)
        if not self.host.which("apt-get"):
            fix = "Install Docker (Docker Desktop, colima, or your system's package), then run `devenv setup` again."
            raise DevenvError(
                "Programs are missing.",
                f"This system has no apt; of Debian's packages: {', '.join(packages)}.",
                fix,
                Exit.PREREQUISITE,
            )
        if not self.host.is_root() or not self.confirm(packages):
            raise DevenvError(
                "Packages are missing.",
                f"Install them with:\n{by_hand}",
                "Then run `devenv setup` again.",
                Exit.PREREQUISITE,
            )
        log = self.host.cache_dir() / "logs" / "setup.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with step(self.reporter, f"install {' '.join(packages)}"):
            for command in commands:
                result = self.host.run(
                    command, env={"DEBIAN_FRONTEND": "noninteractive"}, log=log, timeout=_INSTALL
                )
                if result.code != 0:
                    raise DevenvError(
                        "apt-get failed.", result.output[-1500:], f"By hand:\n{by_hand}"
                    )
        return [f"installed {p}" for p in packages]

    def _start(self) -> list[str]:
        if "unix:///var/run/docker.sock" not in (message := self._told()):
            fix = "Start it, or unset DOCKER_HOST and choose the default context to let devenv start Docker here."
            raise DevenvError(message, next_step=fix, exit_code=Exit.PREREQUISITE)
        if not self.host.is_root():
            by_hand = "sudo systemctl start docker" if _SYSTEMD.exists() else "sudo devenv setup"
            raise DevenvError(
                "The Docker engine is not running.",
                next_step=f"Start it: {by_hand}",
                exit_code=Exit.PREREQUISITE,
            )
        with step(self.reporter, "start the Docker engine"):
            if _SYSTEMD.exists():
                self.host.run(["systemctl", "start", "docker"], timeout=_START)
            else:
                self._spawn()
            log = self._folder() / "dockerd.log"
            until(
                "The Docker engine",
                lambda: "" if self._answers() else "an answer",
                Deadline(self.clock, _START),
                f"Its log: {log}",
            )
        return ["started the Docker engine"]

    def _told(self) -> str:
        """What the engine's silence looks like, with its address."""
        try:
            return self.engine.info().address
        except NotReachableError as error:
            return error.what

    def _folder(self) -> Path:
        folder = self.host.state_dir() / "engine"
        folder.mkdir(exist_ok=True)
        return folder

    def _spawn(self) -> None:
        """Start dockerd where no service manager does; it goes on after devenv ends."""
        config = self._folder() / "daemon.json"
        config.write_text(json.dumps(daemon_config(self.host, self._folder(), self.wrapper)))
        for pidfile, program in _PIDFILES:
            self.host.forget_dead(pidfile, program)
        self.host.spawn(["dockerd", "--config-file", str(config)], self._folder() / "dockerd.log")


def daemon_config(host: Host, folder: Path, wrapper: Path) -> dict[str, object]:
    """Return the engine's configuration: a runc that can do with fewer capabilities where the host withholds one."""
    if not host.withholds_capabilities():
        return {}
    program = folder / "runc-trimmed"
    program.write_text(f"#!{host.python()} -I\n{wrapper.read_text()}")
    program.chmod(0o755)
    return {"runtimes": {"trimmed": {"path": str(program)}}, "default-runtime": "trimmed"}
