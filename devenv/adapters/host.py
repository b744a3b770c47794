"""The host: its programs, processes, disks, memory, ports, and devenv's own folders."""

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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import platformdirs
import psutil

from devenv.base.errors import DevenvError, Exit, LockedError
from devenv.base.network import variables_for_children
from devenv.ports.host import Holder, Space
from devenv.ports.processes import Completed, Environment, OnLine

# Seconds between asking a program to end and making it.
_PATIENCE = 5.0
# Seconds: a process that holds a lock for longer must hang.
_LONGEST_CHANGE = 2 * 3600.0
# What a shell adds to the number of the signal that ended a program.
_SIGNALLED = 128
# Last lines of output that are kept for the result of a program with a log.
_RESULT_LINES = 200
# Last lines of output that the error of a program that took too long quotes.
_QUOTED_LINES = 12
# Where administrators' programs are.
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

_Child = subprocess.Popen[str]
# Gets the arguments of a program that is about to be started.
OnStart = Callable[[Sequence[str]], None]


def _ignore(_argv: Sequence[str]) -> None:
    """Do nothing."""


class LocalHost:
    """The machine that devenv runs on."""

    def __init__(self, on_start: OnStart = _ignore) -> None:
        """`on_start` gets the arguments of each program that is started."""
        self._on_start = on_start
        # The programs that `run` is waiting for.
        self._children: set[_Child] = set()
        self._guard = threading.Lock()
        self._stopped = False
        # The locks that this process holds: the descriptors and the inodes of their files.
        self._lock_descriptors: set[int] = set()
        self._lock_inodes: set[int] = set()

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Environment | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: OnLine | None = None,
        timeout: float = 60,
    ) -> Completed:
        """Run a program to its end, with its output and errors as one.

        `log` gets the whole output; then the result has its last lines, else all of it. Raises
        DevenvError if the program is not installed, or does not end within `timeout` seconds.
        """
        if self._stopped:
            raise DevenvError(f"{argv[0]} was not started: the work was given up.")
        child = self._start(argv, env or {}, cwd)
        with self._stoppable(child), _time_limit(child, timeout) as expired:
            with log.open("w") if log else contextlib.nullcontext() as log_file:
                lines = _collect(child, log_file, on_line)
            child.wait()
        if expired.is_set():
            raise DevenvError(
                f"{argv[0]} did not end within {timeout:.0f} s.", "".join(lines[-_QUOTED_LINES:])
            )
        return Completed(child.returncode, "".join(lines))

    def _start(self, argv: Sequence[str], env: Environment, cwd: Path | None) -> _Child:
        """Start a program in a session of its own, so that Ctrl-C reaches devenv alone.

        Raises DevenvError if it is not installed.
        """
        self._on_start(argv)
        try:
            return subprocess.Popen(  # noqa: S603 - a list, never a shell
                list(argv),
                env={**_child_environment(), **env},
                cwd=cwd,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # A child that outlives a killed devenv keeps its lock.
                pass_fds=tuple(self._lock_descriptors),
            )
        except FileNotFoundError as error:
            raise _not_installed(argv[0]) from error

    def attach(self, argv: Sequence[str], env: Environment) -> int:
        """Run a program with this process's own streams, and return its exit code.

        As in a shell, that of a program which a signal ended is 128 and the signal's number. Raises
        DevenvError if the program is not installed.
        """
        self._on_start(argv)
        previous = signal.signal(signal.SIGINT, _leave_to_child)
        try:
            environment = {**_child_environment(), **env}
            # A list, never a shell.
            child = subprocess.Popen(list(argv), env=environment)  # noqa: S603
            code = _wait_for(child)
        except FileNotFoundError as error:
            raise _not_installed(argv[0]) from error
        finally:
            signal.signal(signal.SIGINT, previous)
        return code if code >= 0 else _SIGNALLED - code

    @contextlib.contextmanager
    def _stoppable(self, child: _Child) -> Iterator[None]:
        """Let `stop_children` end a child while the context lasts. An exception ends it, too."""
        with self._guard:
            self._children.add(child)
        try:
            yield
        except BaseException:
            _kill(child)
            raise
        finally:
            if child.stdout:
                child.stdout.close()
            with self._guard:
                self._children.discard(child)

    def stop_children(self) -> None:
        """End every program that `run` is waiting for, with all that it started."""
        self._stopped = True
        with self._guard:
            for child in self._children:
                _kill(child)

    def spawn(self, argv: Sequence[str], log: Path) -> None:
        """Start a program that outlives devenv."""
        self._on_start(argv)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as log_file:
            subprocess.Popen(  # noqa: S603 - a list, never a shell
                list(argv),
                env=_child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )

    def forget_dead(self, pidfile: Path, program: str) -> None:
        """Remove a file that names a process which has ended, or is not that program any more.

        A zombie, which its parent has not collected yet, has ended too. dockerd takes it for a
        running process: it waits 15 s for such a containerd, then gives up (seen with 20.10 where
        the first process collects late).
        """
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(pidfile.read_text())
            if not _is_running(pid, program):
                pidfile.unlink()

    def alive(self, pid: int) -> bool:
        """Whether the process exists."""
        return psutil.pid_exists(pid)

    def which(self, program: str) -> Path | None:
        """Return where a program is, on PATH or in the folders of administrators' programs."""
        path = shutil.which(program) or shutil.which(program, path=_ADMIN_PATH)
        return Path(path) if path else None

    def is_root(self) -> bool:
        """Whether this user may change the machine."""
        return os.geteuid() == 0

    def withholds_capabilities(self) -> bool:
        """Whether a privileged container can't get all capabilities that the kernel has."""
        status, last_capability = Path("/proc/self/status"), Path("/proc/sys/kernel/cap_last_cap")
        if not (status.exists() and last_capability.exists()):
            return False
        lines = status.read_text().splitlines()
        bounding_set = next(line.split()[1] for line in lines if line.startswith("CapBnd"))
        count = int(last_capability.read_text()) + 1
        return int(bounding_set, 16) != (1 << count) - 1

    def python(self) -> Path:
        """Return the interpreter that runs devenv, outside of any virtual environment."""
        return Path(sys.executable).resolve()

    def space(self, path: Path) -> Space:
        """Return the space on the disk where `path` is, or where it will be."""
        while not path.exists():
            path = path.parent
        stat = os.statvfs(path)
        return Space(
            free=stat.f_bavail * stat.f_frsize,
            total=stat.f_blocks * stat.f_frsize,
            free_inodes=stat.f_favail,
            total_inodes=stat.f_files,
            reserved=(stat.f_bfree - stat.f_bavail) * stat.f_frsize,
        )

    def memory(self) -> int:
        """Return the host's memory in bytes."""
        return int(psutil.virtual_memory().total)

    def cores(self) -> int:
        """Return how many processors this process may use."""
        # macOS can't limit a process to some of them.
        if not hasattr(os, "sched_getaffinity"):
            return os.cpu_count() or 1
        return len(os.sched_getaffinity(0))

    def port_owner(self, port: int) -> str | None:
        """Return who listens on a TCP port, such as "nginx (process 7)"; None if none is seen."""
        # macOS lets only root see others' sockets.
        with contextlib.suppress(psutil.AccessDenied):
            for connection in psutil.net_connections("tcp"):
                if _listens_on(connection, port):
                    return _describe_process(connection.pid)
        return None

    def cache_dir(self) -> Path:
        """Return the folder of what can be made again: built files, Go's caches."""
        return platformdirs.user_cache_path("devenv", ensure_exists=True)

    def config_dir(self) -> Path:
        """Return the folder of the user's settings. It need not exist."""
        return platformdirs.user_config_path("devenv")

    def state_dir(self) -> Path:
        """Return the folder of what devenv must remember, such as which clusters are its own.

        Only its owner may read it. Raises DevenvError if it can't be made.
        """
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
        """Return who else holds the lock; None if it is free, or held by this process.

        This is for readers, who take no lock.
        """
        path = self.state_dir() / f"{name}.lock"
        if not path.exists():
            return None
        with path.open() as file:
            if os.fstat(file.fileno()).st_ino in self._lock_inodes:
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
        return None

    def inotify(self) -> tuple[int, int] | None:
        """Return the limits of inotify instances and watches; None if the system has none."""
        folder = Path("/proc/sys/fs/inotify")
        try:
            instances = int((folder / "max_user_instances").read_text())
            watches = int((folder / "max_user_watches").read_text())
        except (OSError, ValueError):
            return None
        return instances, watches

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock for as long as the context lasts; it dies with its holder.

        Raises LockedError with the holder if it is taken.
        """
        with self._open_lock_file(name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(
                    f"{name} is being changed by {_holder_name(file)}.",
                    next_step="Wait until it is done, then try again.",
                ) from error
            # Readers want to know the holder, but a full disk must not stop a repair.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"process {os.getpid()}\n")
                file.flush()
            inode = os.fstat(file.fileno()).st_ino
            self._lock_descriptors.add(file.fileno())
            self._lock_inodes.add(inode)
            try:
                yield
            finally:
                self._lock_inodes.discard(inode)
                self._lock_descriptors.discard(file.fileno())

    def _open_lock_file(self, name: str) -> TextIO:
        """Open the lock's file, or another lock's if the disk is too full for a new file.

        `up` makes those that matter before that.
        """
        path = self.state_dir() / f"{name}.lock"
        try:
            return path.open("a+")
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                return self._open_spare_lock_file(error)
            raise DevenvError(
                f"The lock {path} can't be taken.", str(error), "Check who owns the file."
            ) from error

    def _open_spare_lock_file(self, reason: OSError) -> TextIO:
        """Return the file of a lock that this process does not hold.

        On a full disk no other file can be made. Raises DevenvError if every lock is held.
        """
        for path in sorted(self.state_dir().glob("*.lock")):
            if path.stat().st_ino not in self._lock_inodes:
                return path.open("a+")
        raise DevenvError(
            "The disk is too full even for a lock.",
            str(reason),
            "Free a little space, then try again.",
        ) from reason


def _child_environment() -> Environment:
    return {**os.environ, **variables_for_children(os.environ)}


def _holder(file: TextIO) -> Holder:
    """Return who holds a lock. It is as old as its file, which is written when it is taken."""
    seconds = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
    name = _holder_name(file)
    return Holder(name, seconds, frozen=seconds > _LONGEST_CHANGE or _is_stopped(name))


def _holder_name(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip() or "another devenv"


def _is_stopped(holder_name: str) -> bool:
    """Whether the process that a lock's file names is stopped, such as by Ctrl-Z."""
    number = holder_name.removeprefix("process ")
    if not number.isdigit():
        return False
    try:
        status = psutil.Process(int(number)).status()
    except (psutil.Error, OverflowError):
        return False
    return status in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}


@contextlib.contextmanager
def _time_limit(child: _Child, seconds: float) -> Iterator[threading.Event]:
    """End a child that takes too long. The context gives an event that is set then."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill(child)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _collect(child: _Child, log: TextIO | None, on_line: OnLine | None) -> list[str]:
    """Return the lines of a child's output: all of them, or with a log the last ones."""
    lines = []
    assert child.stdout  # noqa: S101 - it is a pipe
    for line in child.stdout:
        lines.append(line)
        if log is not None:
            log.write(line)
            log.flush()
            del lines[:-_RESULT_LINES]
        if on_line:
            on_line(line.rstrip())
    return lines


def _kill(child: _Child) -> None:
    """End a program and all in its process group; by force if that takes too long."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
        timer = threading.Timer(_PATIENCE, _kill_by_force, [child])
        timer.daemon = True
        timer.start()


def _kill_by_force(child: _Child) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _is_running(pid: int, program: str) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name() == program
    except psutil.NoSuchProcess:
        return False


def _not_installed(program: str) -> DevenvError:
    return DevenvError(
        f"{program} is not installed.",
        next_step="Run `devenv setup`.",
        exit_code=Exit.PREREQUISITE,
    )


def _leave_to_child(_number: int, _frame: object) -> None:
    """Do nothing on Ctrl-C: the terminal sends it to the child as well, which decides.

    A child would inherit that a signal is ignored, but it does not inherit a handler.
    """


def _wait_for(child: subprocess.Popen[bytes]) -> int:
    """Return a child's exit code. If devenv is asked to end meanwhile, the child ends first."""
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        raise


def _listens_on(connection: Any, port: int) -> bool:
    if connection.status != psutil.CONN_LISTEN or not connection.laddr:
        return False
    return bool(connection.laddr.port == port)


def _describe_process(pid: int | None) -> str:
    """Return the name and the ID of a process, as far as this user may see them."""
    if not pid:
        return "another process"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"
