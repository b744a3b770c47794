"""Runs a prune every day: by a systemd user timer, a launchd agent, or a crontab entry.

All three run `devenv schedule run --job FILE`. The file has the environment, because cron and
launchd give next to none, and the variables of the user's shell are gone by then.
"""

import json
import os
import plistlib
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter

from devenv.base import network
from devenv.base.atomic import write_private
from devenv.base.errors import DevenvError, Exit
from devenv.base.json_types import JsonObject
from devenv.base.userfiles import read_state
from devenv.disk.files import load, store
from devenv.ports.host import Host
from devenv.ports.processes import Environment

LABEL = "devenv-prune"
# The variables that a job keeps.
ENVIRONMENT = (
    "PATH",
    "HOME",
    "KUBECONFIG",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "LANG",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    *network.VARIABLES,
)
# The lines around devenv's entry in a crontab.
_BEGIN, _END = f"# >>> {LABEL} >>>", f"# <<< {LABEL} <<<"
# As datetime counts weekdays, from Monday as 0.
_SATURDAY = 5
# As launchd counts weekdays, from Sunday as 0.
_MONDAY_TO_FRIDAY = range(1, 6)
# Characters of another program's output that an error shows.
_SHOWN_OUTPUT = 500


@dataclass(frozen=True)
class Job:
    """What runs, when, and with which environment. `python`: an absolute path."""

    hour: int
    minute: int
    weekdays: bool
    recover: bool
    cluster: str
    profile: str
    python: str
    environment: Environment = field(default_factory=dict)
    backend: str = ""

    @property
    def at(self) -> str:
        """The time of day, as HH:MM."""
        return f"{self.hour:02}:{self.minute:02}"

    def next(self, current_time: datetime) -> datetime:
        """Return when it runs next."""
        run_time = current_time.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0)
        while run_time <= current_time or not self._runs_on(run_time):
            run_time += timedelta(days=1)
        return run_time

    def _runs_on(self, day: datetime) -> bool:
        return not self.weekdays or day.weekday() < _SATURDAY


_JOB = TypeAdapter(Job)


@dataclass(frozen=True)
class Jobs:
    """The one job, in the state folder."""

    host: Host

    @property
    def path(self) -> Path:
        """The job's file."""
        return self.host.state_dir() / "schedule.json"

    def read(self, path: Path | None = None) -> Job | None:
        """Return the job, None without a job. Raises DevenvError if the file is broken."""
        job_path = path or self.path
        try:
            return _JOB.validate_python(read_state(job_path))
        except FileNotFoundError:
            return None
        except DevenvError as error:
            raise _broken(job_path, error.why) from error
        except ValueError as error:
            raise _broken(job_path, f"{job_path}: it is not a job that devenv wrote.") from error

    def write(self, job: Job) -> None:
        """Write the job's file, for its owner alone: an address may hold a password."""
        write_private(self.path, json.dumps(asdict(job), indent=1))

    def argv(self, job: Job) -> list[str]:
        """Return the command that runs the job."""
        return [job.python, "-m", "devenv", "schedule", "run", "--job", str(self.path)]

    @property
    def _last_run_path(self) -> Path:
        return self.host.state_dir() / "schedule-last.json"

    def last(self) -> JsonObject:
        """Return when it last ran (`at`) and what it said (`says`), {} before its first run."""
        return dict(load(self._last_run_path))

    def note_last(self, time: float, message: str) -> None:
        """Remember a run, unless the disk is too full even for that."""
        store(self._last_run_path, {"at": time, "says": message})

    def forget(self) -> None:
        """Delete the job and its last run."""
        self.path.unlink(missing_ok=True)
        self._last_run_path.unlink(missing_ok=True)


def _broken(path: Path, reason: str) -> DevenvError:
    next_step = "Run `devenv schedule install` again."
    return DevenvError(f"{path} is broken.", reason, next_step, Exit.FAILED)


class Backend(Protocol):
    """A program of the machine's that runs a job every day."""

    @property
    def name(self) -> str:
        """What users call it."""

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Install the job, in place of an earlier one."""

    def remove(self) -> bool:
        """Remove the job, and return whether there was one."""

    def present(self) -> bool:
        """Whether the job is installed."""


@dataclass(frozen=True)
class Systemd:
    """A timer of the user's own systemd, which catches up on runs that it missed.

    `folder`: of the user's units.
    """

    host: Host
    folder: Path
    name: str = "systemd"

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Write the units and start the timer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file, text in units(job, argv).items():
            write_private(self.folder / file, text)
        self._systemctl("daemon-reload")
        self._systemctl("enable", "--now", f"{LABEL}.timer")

    def remove(self) -> bool:
        """Stop the timer and remove the units."""
        if not self.present():
            return False
        with suppress(DevenvError):
            self._systemctl("disable", "--now", f"{LABEL}.timer")
        for suffix in ("timer", "service"):
            (self.folder / f"{LABEL}.{suffix}").unlink(missing_ok=True)
        with suppress(DevenvError):
            self._systemctl("daemon-reload")
        return True

    def present(self) -> bool:
        """Whether the timer is installed."""
        return (self.folder / f"{LABEL}.timer").exists()

    def _systemctl(self, *argv: str) -> None:
        _run(self.host, ["systemctl", "--user", *argv])


@dataclass(frozen=True)
class Launchd:
    """A launch agent of the user's, which catches up after sleep.

    `folder`: ~/Library/LaunchAgents. `user`: the user's ID.
    """

    host: Host
    folder: Path
    user: int
    name: str = "launchd"

    @property
    def _file(self) -> Path:
        return self.folder / f"{LABEL}.plist"

    @property
    def _domain(self) -> str:
        """What launchctl calls the user's session."""
        return f"gui/{self.user}"

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Write the agent and load it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove()
        write_private(self._file, agent(job, argv))
        _run(self.host, ["launchctl", "bootstrap", self._domain, str(self._file)])

    def remove(self) -> bool:
        """Unload the agent and remove it."""
        if not self.present():
            return False
        with suppress(DevenvError):
            _run(self.host, ["launchctl", "bootout", f"{self._domain}/{LABEL}"])
        self._file.unlink(missing_ok=True)
        return True

    def present(self) -> bool:
        """Whether the agent is installed."""
        return self._file.exists()


@dataclass(frozen=True)
class Cron:
    """An entry between marker lines in the user's crontab. cron skips runs that it missed.

    `work`: a folder for the new crontab until crontab has read it.
    """

    host: Host
    work: Path
    name: str = "cron"

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Write the entry, in place of an earlier one."""
        other_lines = _without_entry(self._lines())
        self._write([*other_lines, _BEGIN, entry(job, argv), _END])

    def remove(self) -> bool:
        """Remove the entry, and leave all else as it was."""
        lines = self._lines()
        if _BEGIN not in lines:
            return False
        remaining_lines = _without_entry(lines)
        if remaining_lines:
            self._write(remaining_lines)
        else:
            _run(self.host, ["crontab", "-r"])
        return True

    def present(self) -> bool:
        """Whether the entry is in the crontab."""
        return self.host.which("crontab") is not None and _BEGIN in self._lines()

    def _lines(self) -> list[str]:
        """Return the user's crontab. Raises DevenvError if a line would not survive."""
        result = self.host.run(["crontab", "-l"], env={"LC_ALL": "C"})
        if result.failed and "no crontab" in result.output:
            return []
        if result.failed or "\N{REPLACEMENT CHARACTER}" in result.output:
            raise DevenvError(
                "The crontab can't be read as it is.",
                result.output[-_SHOWN_OUTPUT:],
                "Correct it with `crontab -e`; nothing was changed.",
            )
        if not result.output:
            return []
        return result.output.removesuffix("\n").split("\n")

    def _write(self, lines: Sequence[str]) -> None:
        """Replace the user's crontab. Raises DevenvError if crontab refuses it."""
        crontab_path = self.work / f"crontab.{os.getpid()}"
        try:
            write_private(crontab_path, "\n".join(lines) + "\n")
            _run(self.host, ["crontab", str(crontab_path)])
        finally:
            crontab_path.unlink(missing_ok=True)


def units(job: Job, argv: Sequence[str]) -> dict[str, str]:
    """Return the units by their file names."""
    return {f"{LABEL}.service": _service_unit(argv), f"{LABEL}.timer": _timer_unit(job)}


def _service_unit(argv: Sequence[str]) -> str:
    command = " ".join(map(_quote_for_unit, argv))
    return f"""[Unit]
Description=Keep the disk below its budget, and the devenv cluster working

[Service]
Type=oneshot
ExecStart={command}
Nice=10
"""


def _timer_unit(job: Job) -> str:
    days = "Mon..Fri " if job.weekdays else ""
    return f"""[Unit]
Description=devenv schedule, {job.at}

[Timer]
OnCalendar={days}*-*-* {job.at}:00
Persistent=true

[Install]
WantedBy=timers.target
"""


def _quote_for_unit(word: str) -> str:
    """Quote a word as systemd.syntax(7) reads it: % begins a specifier and $ a variable there."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def agent(job: Job, argv: Sequence[str]) -> str:
    """Return the launch agent's property list."""
    agent_properties = {
        "Label": LABEL,
        "ProgramArguments": list(argv),
        "StartCalendarInterval": _calendar_intervals(job),
        "ProcessType": "Background",
    }
    return plistlib.dumps(agent_properties).decode()


def _calendar_intervals(job: Job) -> list[dict[str, int]]:
    time_of_day = {"Hour": job.hour, "Minute": job.minute}
    if not job.weekdays:
        return [time_of_day]
    return [{"Weekday": day, **time_of_day} for day in _MONDAY_TO_FRIDAY]


def entry(job: Job, argv: Sequence[str]) -> str:
    """Return the crontab's line."""
    # An unescaped % would end the command.
    command = shlex.join(argv).replace("%", "\\%")
    days = "1-5" if job.weekdays else "*"
    return f"{job.minute} {job.hour} * * {days} {command} >/dev/null 2>&1"


def _without_entry(lines: Sequence[str]) -> list[str]:
    """Return the crontab without devenv's entry. If a marker is missing, only the markers go."""
    begin = _index(lines, _BEGIN, 0)
    end = _index(lines, _END, begin or 0)
    if begin is None or end is None:
        return [line for line in lines if line not in {_BEGIN, _END}]
    return [*lines[:begin], *lines[end + 1 :]]


def _index(lines: Sequence[str], line: str, start: int) -> int | None:
    if line not in lines[start:]:
        return None
    return lines.index(line, start)


def _run(host: Host, argv: Sequence[str]) -> None:
    result = host.run(argv)
    if result.failed:
        program = " ".join(argv[:4])
        raise DevenvError(f"`{program}` failed.", result.output[-_SHOWN_OUTPUT:])
