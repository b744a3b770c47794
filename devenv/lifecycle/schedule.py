"""`schedule`: installs what runs `devenv schedule run` every day, and knows how that went."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from devenv.disk.history import History
from devenv.disk.schedule import ENVIRONMENT, Backend, Job, Jobs
from devenv.errors import DevenvError, Exit
from devenv.ports import Clock, Host

_TITLE = "devenv"
_SCRIPT = (
    "-e",
    "on run argv",
    "-e",
    f'display notification (item 1 of argv) with title "{_TITLE}"',
    "-e",
    "end run",
)


@dataclass(frozen=True)
class State:
    """What is installed. `present`: whoever is to run it has it. `last_at` in seconds since 1970, 0 where it did not run."""

    job: Job | None
    present: bool
    next: datetime | None
    last_at: float = 0.0
    last_says: str = ""


@dataclass(frozen=True)
class Schedule:
    """The job of this user, and who can run it here, the best first.

    `every`: also whoever may have been able when it was installed. `engine`: gives the variables that lead to the engine.
    """

    host: Host
    clock: Clock
    backends: Sequence[Backend]
    every: Sequence[Backend]
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
        """Install it in the place of an earlier one. Raises DevenvError where this machine has nobody to run it."""
        if not self.backends:
            what = "Nothing on this machine can run it: there is no systemd for users, no launchd and no cron."
            raise DevenvError(
                what, next_step="Install cron, then try again.", exit_code=Exit.PREREQUISITE
            )
        environment = {n: v for n in ENVIRONMENT if (v := os.environ.get(n))} | dict(self.engine())
        self.remove()
        backend, jobs = self.backends[0], Jobs(self.host)
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
            jobs.write(job)
            backend.install(job, jobs.argv(job))
        except (DevenvError, OSError) as error:
            self.remove()
            if isinstance(error, DevenvError):
                raise
            raise DevenvError("It can't be installed.", str(error), "Is the disk full?") from error
        return self.status()

    def remove(self) -> list[str]:
        """Remove it from whoever has it, and forget it. Return who had it."""
        had = [b.name for b in self.every if b.remove()]
        Jobs(self.host).forget()
        return had

    def status(self) -> State:
        """Return what is installed, and how it went."""
        jobs = Jobs(self.host)
        job, last_run = jobs.read(), jobs.last()
        present = job is not None and any(b.name == job.backend and b.present() for b in self.every)
        now = datetime.fromtimestamp(self.clock.now()).astimezone()
        return State(
            job,
            present,
            job.next(now) if job else None,
            float(last_run.get("at") or 0),
            str(last_run.get("says") or ""),
        )

    def enter(self, path: Path | None) -> Job:
        """Return the job in the file, and take its environment. Raises DevenvError where there is none."""
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
        """Remember what a run came to, and where that is anything, show it, and write it into the history."""
        # One line, wherever it is shown.
        message = " ".join(message.split())
        Jobs(self.host).note_last(self.clock.now(), message or "all is well")
        if message:
            self._tell(message)
            with suppress(OSError):
                History(self.host, self.clock).note("schedule", says=message)

    def _tell(self, text: str) -> None:
        """Show it on the desktop, where there is one."""
        if sys.platform == "darwin":
            self._try(["osascript", *_SCRIPT, text])
        elif self.host.which("notify-send") and any(
            os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY")
        ):
            self._try(["notify-send", "--app-name", _TITLE, _TITLE, text])

    def _try(self, argv: Sequence[str]) -> None:
        """Nobody is there to be told that it could not be told."""
        try:
            self.host.run(argv, timeout=10)
        except DevenvError:
            return
