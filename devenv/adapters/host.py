"""This machine: its programs, processes, disks, memory, ports, and devenv's own folders."""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import platformdirs
import psutil

from devenv.errors import DevenvError, Exit, LockedError
from devenv.network import for_children
from devenv.ports import Completed, Holder, OnLine, Space

# Seconds between asking a program to end and making it.
_PATIENCE = 5.0
# Seconds: who holds a lock longer does nothing any more.
_LONGEST_CHANGE = 2 * 3600.0
# Last lines of output that are kept for an error message.
_KEPT = 200


class LocalHost:
    """The machine that devenv runs on."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[str]] = set()
        self._guard = threading.Lock()
        self._stopped = False
        self._locks: set[int] = set()
        # Inodes of the locks' files.
        self._held: set[int] = set()

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: OnLine | None = None,
        timeout: float = 60,
    ) -> Completed:
        """Run a program to its end, standard output and errors as one. Raises DevenvError where it is not there or too slow.

        `log` gets all of its output; the result has the last lines, or all of it without a log.
        """
        if self._stopped:
            raise DevenvError(f"{argv[0]} was not started: the work was given up.")
        try:
            child = subprocess.Popen(  # noqa: S603 - a list, never a shell
                list(argv), env={**os.environ, **for_children(os.environ), **(env or {})}, cwd=cwd, text=True, errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                # A child that outlives a killed devenv keeps its lock.
                pass_fds=tuple(self._locks),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise DevenvError(
                f"{argv[0]} is not installed.",
                next_step="Run `devenv setup`.",
                exit_code=Exit.PREREQUISITE,
            ) from error
        with self._guard:
            self._children.add(child)
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _kill(child)

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            with log.open("w") if log else contextlib.nullcontext() as out:
                lines = _collect(child, out, on_line)
            child.wait()
        except BaseException:
            _kill(child)
            raise
        finally:
            timer.cancel()
            if child.stdout:
                child.stdout.close()
            with self._guard:
                self._children.discard(child)
        if expired.is_set():
            raise DevenvError(
                f"{argv[0]} did not end within {timeout:.0f} s.", "".join(lines[-12:])
            )
        return Completed(child.returncode, "".join(lines))

    def stop_children(self) -> None:
        """End every program that `run` is waiting for, with all that it started."""
        self._stopped = True
        with self._guard:
            for child in self._children:
                _kill(child)

    def spawn(self, argv: Sequence[str], log: Path) -> None:
        """Start a program that outlives devenv."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            subprocess.Popen(  # noqa: S603
                list(argv), env={**os.environ, **for_children(os.environ)},
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def forget_dead(self, pidfile: Path, program: str) -> None:
        """Remove a file that names a process which has ended, or is no longer that program.

        A process that nobody has collected yet (a zombie) has ended too. dockerd takes it for running: it waits for such a
        containerd 15 s, then gives up (seen with 20.10 where the first process collects late).
        """
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(pidfile.read_text())
            if not _runs(pid, program):
                pidfile.unlink()

    def alive(self, pid: int) -> bool:
        """Whether there is such a process."""
        return psutil.pid_exists(pid)

    def which(self, program: str) -> Path | None:
        """Where a program of that name is, on PATH or where administrators' programs are."""
        path = shutil.which(program) or shutil.which(
            program, path="/usr/local/sbin:/usr/sbin:/sbin"
        )
        return Path(path) if path else None

    def is_root(self) -> bool:
        """Whether this user may change the machine."""
        return os.geteuid() == 0

    def withholds_capabilities(self) -> bool:
        """Whether a privileged container could not get all the capabilities that the kernel knows."""
        status, last_capability = Path("/proc/self/status"), Path("/proc/sys/kernel/cap_last_cap")
        if not (status.exists() and last_capability.exists()):
            return False
        bounding = next(
            line.split()[1] for line in status.read_text().splitlines() if line.startswith("CapBnd")
        )
        return int(bounding, 16) != (1 << int(last_capability.read_text()) + 1) - 1

    def python(self) -> Path:
        """The interpreter that runs devenv, outside of any virtual environment."""
        return Path(sys.executable).resolve()

    def space(self, path: Path) -> Space:
        """What is free where `path` is, or where it will be."""
        while not path.exists():
            path = path.parent
        stat = os.statvfs(path)
        free, reserved = (
            stat.f_bavail * stat.f_frsize,
            (stat.f_bfree - stat.f_bavail) * stat.f_frsize,
        )
        return Space(free, stat.f_blocks * stat.f_frsize, stat.f_favail, stat.f_files, reserved)

    def memory(self) -> int:
        """Bytes of memory that this machine has."""
        return int(psutil.virtual_memory().total)

    def cores(self) -> int:
        """Processors that this process may use."""
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )

    def port_owner(self, port: int) -> str | None:
        """Who listens on the TCP port, as "name (pid)"; None where nobody does."""
        # macOS lets only root see others' sockets.
        with contextlib.suppress(psutil.AccessDenied):
            for connection in psutil.net_connections("tcp"):
                if (
                    connection.status == psutil.CONN_LISTEN
                    and connection.laddr
                    and connection.laddr.port == port
                ):
                    return _process(connection.pid)
        return None

    def cache_dir(self) -> Path:
        """What can be made again: built files, Go's caches."""
        return platformdirs.user_cache_path("devenv", ensure_exists=True)

    def config_dir(self) -> Path:
        """Where the user's settings are, if there are any."""
        return platformdirs.user_config_path("devenv")

    def state_dir(self) -> Path:
        """What devenv must remember: which clusters are its own. Only its owner may read it."""
        path = platformdirs.user_state_path("devenv")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DevenvError(
                f"The state folder {path} can't be written.",
                str(error),
                "Set XDG_STATE_HOME.",
                Exit.PREREQUISITE,
            ) from error
        return path

    def lock_holder(self, name: str) -> Holder | None:
        """Who else holds the lock of that name; None where it is free, or this process holds it.

        For readers, who take no lock.
        """
        path = self.state_dir() / f"{name}.lock"
        if not path.exists():
            return None
        with path.open() as file:
            if os.fstat(file.fileno()).st_ino in self._held:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                seconds = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
                name = _holder(file)
                return Holder(name, seconds, frozen=seconds > _LONGEST_CHANGE or _is_stopped(name))
        return None

    def inotify(self) -> tuple[int, int] | None:
        """The user's limits of inotify instances and watches; None where the system has none."""
        folder = Path("/proc/sys/fs/inotify")
        try:
            return int((folder / "max_user_instances").read_text()), int(
                (folder / "max_user_watches").read_text()
            )
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of that name. It dies with its holder. Raises DevenvError with the holder where it is taken."""
        with self._lock_file(name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                fix = "Wait until it is done, then try again."
                raise LockedError(
                    f"{name} is being changed by {_holder(file)}.", next_step=fix
                ) from error
            # Who holds it is good to know, but a full disk must not stop a repair.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"process {os.getpid()}\n")
                file.flush()
            inode = os.fstat(file.fileno()).st_ino
            self._locks.add(file.fileno())
            self._held.add(inode)
            try:
                yield
            finally:
                self._held.discard(inode)
                self._locks.discard(file.fileno())

    def _lock_file(self, name: str) -> TextIO:
        """Open the lock's file. Where a full disk has no room for a new one, another's serves: `up` makes those that matter."""
        path = self.state_dir() / f"{name}.lock"
        try:
            return path.open("a+")
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise DevenvError(
                    f"The lock {path} can't be taken.", str(error), "Look who owns it."
                ) from error
            others = [
                p
                for p in sorted(self.state_dir().glob("*.lock"))
                if p.stat().st_ino not in self._held
            ]
            if not others:
                fix = "Free a little by hand, then try again."
                raise DevenvError(
                    "The disk is too full even for a lock.", str(error), fix
                ) from error
            return others[0].open("a+")


def _holder(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip() or "another devenv"


def _is_stopped(holder: str) -> bool:
    """Whether the process that a lock's file names is stopped, such as by Ctrl-Z."""
    number = holder.removeprefix("process ")
    if not number.isdigit():
        return False
    try:
        return psutil.Process(int(number)).status() in {
            psutil.STATUS_STOPPED,
            psutil.STATUS_TRACING_STOP,
        }
    except (psutil.Error, OverflowError):
        return False


def _collect(child: "subprocess.Popen[str]", out: object, on_line: OnLine | None) -> list[str]:
    lines: list[str] = []
    assert child.stdout  # noqa: S101 - it is a pipe
    for line in child.stdout:
        lines.append(line)
        if out is not None:
            out.write(line)  # type: ignore[attr-defined]
            out.flush()  # type: ignore[attr-defined]
            del lines[:-_KEPT]
        if on_line:
            on_line(line.rstrip())
    return lines


def _kill(child: "subprocess.Popen[str]") -> None:
    """End a program and all in its process group, by force where it does not listen."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
        force = threading.Timer(_PATIENCE, _force, [child])
        force.daemon = True
        force.start()


def _force(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _runs(pid: int, program: str) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name() == program
    except psutil.NoSuchProcess:
        return False


def _process(pid: int | None) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else "another process"
    except psutil.Error:
        return f"process {pid}"
