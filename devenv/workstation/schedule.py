"""`schedule`: installs a daily `devenv schedule run`, and knows how the last run went."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from devenv.base.errors import DevenvError, Exit
from devenv.disk.history import History
from devenv.disk.schedule import ENVIRONMENT, Backend, Job, Jobs
from devenv.ports.clock import Clock
from devenv.ports.host import Host
from devenv.ports.processes import Environment

_TITLE = "devenv"
# AppleScript that shows its argument; the text is no part of the script.
_OSASCRIPT = (
    "osascript",
    "-e",
    "on run argv",
    "-e",
    f'display notification (item 1 of argv) with title "{_TITLE}"',
    "-e",
    "end run",
)
_NOTIFY_SEND = ("notify-send", "--app-name", _TITLE, _TITLE)
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


@dataclass(frozen=True)
class State:
    """What is installed, and how the last run went."""

    job: Job | None
    # Whether the backend that is to run the job still has it.
    present: bool
    next: datetime | None
    # Seconds since 1970, 0 if it has not run yet.
    last_at: float = 0.0
    last_says: str = ""


@dataclass(frozen=True)
class Schedule:
    """The user's daily job, and the backends that can run it."""

    host: Host
    clock: Clock
    # Those that can run the job on this host, the best first.
    backends: Sequence[Backend]
    # These and those that could have when the job was installed.
    every: Sequence[Backend]
    # Gives the environment variables that lead to the engine.
    engine: Callable[[], Mapping[str, str]]

    def install(
        self,
        time_of_day: tuple[int, int],
        cluster: str,
        profile: str,
        *,
        weekdays: bool,
        recover: bool,
    ) -> State:
        """Install the job in the place of an earlier one.

        `time_of_day`: hour and minute. Raises DevenvError if no backend can run it.
        """
        if not self.backends:
            raise DevenvError(
                "Nothing on this host can run the job:"
                " it has no systemd for users, no launchd and no cron.",
                next_step="Install cron, then try again.",
                exit_code=Exit.PREREQUISITE,
            )
        environment = self._environment()
        self.remove()
        backend = self.backends[0]
        job = Job(
            *time_of_day,
            weekdays,
            recover,
            cluster,
            profile,
            sys.executable,
            environment,
            backend.name,
        )
        try:
            self._install(job, backend)
        except DevenvError:
            self.remove()
            raise
        except OSError as error:
            self.remove()
            raise DevenvError(
                "The job can't be installed.", str(error), "Is the disk full?"
            ) from error
        return self.status()

    def _environment(self) -> Environment:
        """Return the variables that the job runs with."""
        environment = {}
        for name in ENVIRONMENT:
            value = os.environ.get(name)
            if value:
                environment[name] = value
        return environment | dict(self.engine())

    def _install(self, job: Job, backend: Backend) -> None:
        jobs = Jobs(self.host)
        jobs.write(job)
        backend.install(job, jobs.argv(job))

    def remove(self) -> list[str]:
        """Remove the job from all backends, and forget it. Return the backends that had it."""
        names = [backend.name for backend in self.every if backend.remove()]
        Jobs(self.host).forget()
        return names

    def status(self) -> State:
        """Return what is installed, and how the last run went."""
        jobs = Jobs(self.host)
        job = jobs.read()
        last_run = jobs.last()
        return State(
            job=job,
            present=job is not None and self._is_present(job),
            next=self._next_run(job) if job else None,
            last_at=float(last_run.get("at") or 0),
            last_says=str(last_run.get("says") or ""),
        )

    def _is_present(self, job: Job) -> bool:
        return any(backend.name == job.backend and backend.present() for backend in self.every)

    def _next_run(self, job: Job) -> datetime:
        current_time = datetime.fromtimestamp(self.clock.now()).astimezone()
        return job.next(current_time)

    def enter(self, path: Path | None) -> Job:
        """Return the job in a file, and set this process's environment to the job's.

        Raises DevenvError if nothing is scheduled.
        """
        job = Jobs(self.host).read(path)
        if job is None:
            raise DevenvError(
                "Nothing is scheduled.",
                next_step="Run `devenv schedule install`.",
                exit_code=Exit.USAGE,
            )
        os.environ.update(job.environment)
        return replace(job)

    def keep(self, message: str) -> None:
        """Remember a run's report.

        A report that is not empty is also shown on the desktop and written into the history.
        """
        # One line, wherever it is shown.
        message = " ".join(message.split())
        Jobs(self.host).note_last(self.clock.now(), message or "all is well")
        if message:
            self._notify(message)
            with suppress(OSError):
                History(self.host, self.clock).note("schedule", says=message)

    def _notify(self, text: str) -> None:
        """Show a text on the desktop, if there is one."""
        if sys.platform == "darwin":
            self._run_silently([*_OSASCRIPT, text])
        elif self.host.which("notify-send") and any(map(os.environ.get, _DISPLAYS)):
            self._run_silently([*_NOTIFY_SEND, text])

    def _run_silently(self, argv: Sequence[str]) -> None:
        """Run a program whose failure cannot be shown to the user."""
        with suppress(DevenvError):
            self.host.run(argv, timeout=10)
