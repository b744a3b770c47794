"""The host: the machine on which devenv runs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devenv.ports.processes import Completed, Environment, OnLine


@dataclass(frozen=True)
class Space:
    """What an ordinary user has left on a disk."""

    # Bytes.
    free: int
    # Bytes.
    total: int
    free_inodes: int
    total_inodes: int
    # Bytes that are free for root alone.
    reserved: int = 0


@dataclass(frozen=True)
class Holder:
    """The holder of a lock."""

    name: str
    # For how long it has held the lock, 0 if that is unknown.
    seconds: float = 0.0
    # Whether it is stopped, or seems to hang.
    frozen: bool = False

    def __str__(self) -> str:
        return self.name


class Host(Protocol):
    """The host: its programs, processes, disks, ports, locks and devenv's own folders."""

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

        `env` is added to devenv's own environment, `timeout` is in seconds. `log` gets the whole
        output; without it, the result does. Raises DevenvError if the program is not installed or
        takes too long, not if it fails.
        """

    def attach(self, argv: Sequence[str], env: Environment) -> int:
        """Run a program with this process's own streams, and return its exit code.

        It gets Ctrl-C, and devenv waits for it. `env` is added to devenv's own environment. Raises
        DevenvError if the program is not installed.
        """

    def stop_children(self) -> None:
        """End every program that `run` is waiting for, and start no more."""

    def spawn(self, argv: Sequence[str], log: Path) -> None:
        """Start a program that outlives devenv."""

    def forget_dead(self, pidfile: Path, program: str) -> None:
        """Remove a file that names a process which has ended, or is not that program any more."""

    def alive(self, pid: int) -> bool: ...

    def which(self, program: str) -> Path | None:
        """Return where a program is, on PATH or in the folders of administrators' programs."""

    def is_root(self) -> bool: ...

    def withholds_capabilities(self) -> bool:
        """Whether a privileged container can't get all capabilities that the kernel has."""

    def python(self) -> Path:
        """Return the interpreter that runs devenv, outside of any virtual environment."""

    def space(self, path: Path) -> Space:
        """Return the space on the disk where `path` is, or where it will be."""

    def memory(self) -> int:
        """Return the host's memory in bytes."""

    def cores(self) -> int:
        """Return how many processors this process may use."""

    def port_owner(self, port: int) -> str | None:
        """Return who listens on a TCP port, None if no process is seen to."""

    def cache_dir(self) -> Path: ...
    def state_dir(self) -> Path: ...
    def config_dir(self) -> Path: ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock for as long as the context lasts. Raises LockedError if it is taken."""

    def lock_holder(self, name: str) -> Holder | None:
        """Return who else holds a lock; None if it is free, or held by this process."""

    def inotify(self) -> tuple[int, int] | None:
        """Return the limits of inotify instances and watches; None if the system has none."""
