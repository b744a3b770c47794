"""Engines that the tests start themselves, to break them without harm: one whose whole disk is small, one that is Docker 29."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from devenv.adapters import runc_trimmed
from devenv.adapters.clock import SystemClock
from devenv.adapters.host import LocalHost
from devenv.base.wait import Deadline, until
from devenv.workstation.setup import daemon_config


def why_not(*programs: str) -> str:
    """Why no engine can be started here; "" if one can."""
    if os.name != "posix" or not Path("/proc").exists() or os.geteuid() != 0:
        return "an engine of the tests' own needs Linux and root"
    host = LocalHost()
    missing = [p for p in ("dockerd", "docker", "ip", *programs) if host.which(p) is None]
    return f"missing programs: {', '.join(missing)}" if missing else ""


def run(*argv: str, env: dict[str, str] | None = None, check: bool = True) -> str:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass
class Engine:
    """A Docker engine with a data root, a socket and a bridge of its own."""

    name: str
    folder: Path
    third_octet: int
    settings: dict[str, object] = field(default_factory=dict)
    path: str = ""  # searched for dockerd and its helpers before PATH

    @property
    def docker_host(self) -> str:
        return f"unix:///run/devenv-test-{self.name}.sock"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def _bridge(self) -> str:
        return f"dvt-{self.name}"

    @property
    def _pidfile(self) -> Path:
        return Path(f"/run/devenv-test-{self.name}.pid")

    @property
    def _exec_root(self) -> Path:
        return Path(f"/run/devenv-test-{self.name}")

    @contextlib.contextmanager
    def running(self, refs: list[str]) -> Iterator["Engine"]:
        """This engine with those images, removed at the end."""
        try:
            self.start()
            self.bring(refs)
            yield self
        finally:
            self.stop()

    def prepare(self) -> None:
        """Make the data root."""
        self.root.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self.stop()
        self.prepare()
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "addr", "add", f"172.31.{self.third_octet}.1/24", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")
        self.launch()

    def launch(self) -> None:
        """Start the daemon on what is there."""
        config = self.folder / "daemon.json"
        # A daemon that starts removes and makes anew iptables' chains, which the machine's own engine uses: meanwhile
        # that one can publish no port. Ports on loopback need docker-proxy alone.
        alone = {"iptables": False, "ip6tables": False}
        own = daemon_config(LocalHost(), self.folder, Path(runc_trimmed.__file__))
        config.write_text(json.dumps({**own, **alone, **self.settings}))
        argv = ["dockerd", "--config-file", config, "--data-root", self.root, "--exec-root", self._exec_root,
                "--pidfile", self._pidfile, "-H", self.docker_host, "--bridge", self._bridge]  # fmt: skip
        LocalHost().forget_dead(self._exec_root / "containerd" / "containerd.pid", "containerd")
        path = f"{self.path}:{os.environ['PATH']}:/usr/sbin:/sbin"
        with (self.folder / "dockerd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [str(shutil.which("dockerd", path=path)), *map(str, argv[1:])],
                env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        log_file = self.folder / "dockerd.log"
        until("the test's engine", self._silent, Deadline(SystemClock(), 60), f"see {log_file}")

    def _silent(self) -> str:
        done = subprocess.run(
            ["docker", "version"],
            env={**os.environ, "DOCKER_HOST": self.docker_host},
            capture_output=True,
            check=False,
        )
        return "" if done.returncode == 0 else "an answer"

    def kill(self) -> None:
        """End the daemon as a crash would; `launch` starts it again."""
        self._daemon.kill()
        self._daemon.wait(30)
        self._pidfile.unlink(missing_ok=True)

    def stop(self) -> None:
        """Remove its containers, end it and wait for that; nothing where it does not run. Only ever this engine."""
        env = {"DOCKER_HOST": self.docker_host}
        if self._pidfile.exists():
            for container in run("docker", "ps", "-aq", env=env, check=False).split():
                run("docker", "rm", "-fv", container, env=env, check=False)
            for network in run(
                "docker", "network", "ls", "-q", "--filter", "type=custom", env=env, check=False
            ).split():
                run(
                    "docker", "network", "rm", network, env=env, check=False
                )  # its bridge would outlive the engine
            pid = int(self._pidfile.read_text())
            command = Path(f"/proc/{pid}/cmdline")
            if (
                command.exists() and self.docker_host in command.read_text()
            ):  # and no other's that has this number now
                self._end(pid)
            self._pidfile.unlink(missing_ok=True)
        run("ip", "link", "del", self._bridge, check=False)
        self._sweep()

    def _sweep(self) -> None:
        """End the containers that a killed daemon left running, and remove what was mounted for them."""
        for process in psutil.process_iter(["cmdline"]):
            if any(
                word.startswith(f"{self._exec_root}/") for word in process.info["cmdline"] or []
            ):
                for one in [*process.children(recursive=True), process]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
                        one.wait(30)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for folder in reversed(
            [m for m in mounts if m.startswith((f"{self._exec_root}/", f"{self.root}/"))]
        ):
            run("umount", folder)
        shutil.rmtree(self._exec_root, ignore_errors=True)

    def _end(self, pid: int) -> None:
        def still_there() -> str:
            if daemon := getattr(self, "_daemon", None):
                daemon.poll()
            return "its end" if Path(f"/proc/{pid}").exists() else ""

        try:
            os.kill(pid, signal.SIGTERM)
            until("the engine's end", still_there, Deadline(SystemClock(), 60))
        except ProcessLookupError:
            self._pidfile.unlink(missing_ok=True)

    def bring(self, refs: list[str]) -> None:
        """Copy images from the machine's own engine, in one archive, so that shared layers go once."""
        save = subprocess.Popen(["docker", "save", *refs], stdout=subprocess.PIPE)
        env = {**os.environ, "DOCKER_HOST": self.docker_host}
        subprocess.run(
            ["docker", "load"],
            stdin=save.stdout,
            env=env,
            check=True,
            capture_output=True,
            timeout=900,
        )
        save.stdout.close()
        assert save.wait(60) == 0


@dataclass
class OwnDisk(Engine):
    """An engine on a file system of its own, made in a file: it can be filled, and nobody else writes to it."""

    size: str = "7G"

    @property
    def _disk(self) -> Path:
        return self.folder / "disk.img"

    def prepare(self) -> None:
        super().prepare()
        self._make_disk()
        run("mount", "-o", "loop", str(self._disk), str(self.root))
        assert os.path.ismount(self.root)

    def _make_disk(self) -> None:
        run("truncate", "-s", self.size, str(self._disk))
        run("mkfs.ext4", "-q", "-F", str(self._disk))

    def stop(self) -> None:
        super().stop()
        if os.path.ismount(self.root):
            run("umount", str(self.root))
        self._disk.unlink(missing_ok=True)


@dataclass
class SmallDisk(OwnDisk):
    """An engine on a small disk.

    `template`: such a disk's file with the images in it. The first worker makes it, and each copies it: loading the
    images takes minutes.
    """

    template: Path = field(kw_only=True)

    def _make_disk(self) -> None:
        if self.template.exists():
            run("cp", "--sparse=always", str(self.template), str(self._disk))
        else:
            super()._make_disk()

    def bring(self, refs: list[str]) -> None:
        """Make sure of the images: those of the template are there."""
        if not self.template.exists():
            super().bring(refs)

    @contextlib.contextmanager
    def running(self, refs: list[str]) -> Iterator[Engine]:
        """This engine with those images, removed at the end."""
        with self.template.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.template.exists():
                self._make_template(refs)
        with super().running(refs) as engine:
            yield engine

    def _make_template(self, refs: list[str]) -> None:
        try:
            self.start()
            self.bring(refs)
            # The engine alone: the disk stays.
            Engine.stop(self)
            # Each copy is an engine of its own.
            (self.root / "engine-id").unlink(missing_ok=True)
            run("umount", str(self.root))
            self._disk.rename(self.template)
        finally:
            self.stop()
