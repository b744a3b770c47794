"""A prune that runs by itself: a systemd user timer, a launchd agent, or a crontab entry, as the machine has it.

All three run `devenv schedule run --job FILE`. The file has the environment: cron and launchd give next to none, and a
shell's variables are gone by then.
"""

import json
import os
import plistlib
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from devenv import network
from devenv.disk.files import load, store
from devenv.errors import DevenvError, Exit
from devenv.folders import write_private
from devenv.ports import Host
from devenv.userfiles import read_state

LABEL = "devenv-prune"
ENVIRONMENT = (
    "PATH", "HOME", "KUBECONFIG", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "LANG", "XDG_STATE_HOME",
    "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY",
    *network.VARIABLES,
)  # fmt: skip
_BEGIN, _END = f"# >>> {LABEL} >>>", f"# <<< {LABEL} <<<"
# The first day of it, from Monday as 0.
_WEEKEND = 5


@dataclass(frozen=True)
class Job:
    """When what runs. `python` is an absolute path; `environment` what it runs with."""

    hour: int
    minute: int
    weekdays: bool
    recover: bool
    cluster: str
    profile: str
    python: str
    environment: Mapping[str, str] = field(default_factory=dict)
    backend: str = ""

    @property
    def at(self) -> str:
        """The time of day."""
        return f"{self.hour:02}:{self.minute:02}"

    def next(self, current_time: datetime) -> datetime:
        """Return when it runs next."""
        run_time = current_time.replace(hour=self.hour, minute=self.minute, second=0, microsecond=0)
        while run_time <= current_time or (self.weekdays and run_time.weekday() >= _WEEKEND):
            run_time += timedelta(days=1)
        return run_time


_JOB = TypeAdapter(Job)


@dataclass(frozen=True)
class Jobs:
    """The one job, in the state folder."""

    host: Host

    @property
    def path(self) -> Path:
        """Its file."""
        return self.host.state_dir() / "schedule.json"

    def read(self, path: Path | None = None) -> Job | None:
        """Return the job; None where there is none. Raises DevenvError where the file is broken."""
        source = path or self.path
        try:
            return _JOB.validate_python(read_state(source))
        except FileNotFoundError:
            return None
        except (DevenvError, ValueError) as error:
            reason = (
                error.why
                if isinstance(error, DevenvError)
                else f"{source}: it is not a job that devenv wrote."
            )
            fix = "Run `devenv schedule install` again."
            raise DevenvError(f"{source} is broken.", reason, fix, Exit.FAILED) from error

    def write(self, job: Job) -> None:
        """Keep the job, readable for its owner alone: an address may hold a password."""
        write_private(self.path, json.dumps(asdict(job), indent=1))

    def argv(self, job: Job) -> list[str]:
        """Return what is run."""
        return [job.python, "-m", "devenv", "schedule", "run", "--job", str(self.path)]

    @property
    def _last(self) -> Path:
        return self.host.state_dir() / "schedule-last.json"

    def last(self) -> dict[str, Any]:
        """Return when it last ran and what it said; nothing where it did not run yet."""
        return dict(load(self._last))

    def note_last(self, time: float, message: str) -> None:
        """Remember a run; not on a disk that is too full even for that."""
        store(self._last, {"at": time, "says": message})

    def forget(self) -> None:
        """Leave nothing."""
        self.path.unlink(missing_ok=True)
        self._last.unlink(missing_ok=True)


class Backend(Protocol):
    """Whoever runs a job in time."""

    @property
    def name(self) -> str:
        """What users call it."""

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Have it run."""

    def remove(self) -> bool:
        """Have it run no more; return whether it was there."""

    def present(self) -> bool:
        """Whether it is there."""


@dataclass(frozen=True)
class Systemd:
    """A timer of the user's own systemd, which catches up on what it missed."""

    host: Host
    # Of the user's units.
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
        was_present = self.present()
        if was_present:
            with suppress(DevenvError):
                self._systemctl("disable", "--now", f"{LABEL}.timer")
            for suffix in ("timer", "service"):
                (self.folder / f"{LABEL}.{suffix}").unlink(missing_ok=True)
            with suppress(DevenvError):
                self._systemctl("daemon-reload")
        return was_present

    def present(self) -> bool:
        """Whether the timer is there."""
        return (self.folder / f"{LABEL}.timer").exists()

    def _systemctl(self, *argv: str) -> None:
        _run(self.host, ["systemctl", "--user", *argv])


@dataclass(frozen=True)
class Launchd:
    """A launch agent of the user's, which catches up after sleep."""

    host: Host
    # ~/Library/LaunchAgents.
    folder: Path
    user: int
    name: str = "launchd"

    @property
    def _file(self) -> Path:
        return self.folder / f"{LABEL}.plist"

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Write the agent and have it loaded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove()
        write_private(self._file, agent(job, argv))
        _run(self.host, ["launchctl", "bootstrap", f"gui/{self.user}", str(self._file)])

    def remove(self) -> bool:
        """Have it unloaded, and remove it."""
        was_present = self.present()
        if was_present:
            with suppress(DevenvError):
                _run(self.host, ["launchctl", "bootout", f"gui/{self.user}/{LABEL}"])
            self._file.unlink(missing_ok=True)
        return was_present

    def present(self) -> bool:
        """Whether the agent is there."""
        return self._file.exists()


@dataclass(frozen=True)
class Cron:
    """An entry between marker lines in the user's crontab. cron skips what it missed."""

    host: Host
    # A folder for the new crontab on its way.
    work: Path
    name: str = "cron"

    def install(self, job: Job, argv: Sequence[str]) -> None:
        """Put the entry in, in the place of an earlier one."""
        self._write([*_without(self._lines()), _BEGIN, entry(job, argv), _END])

    def remove(self) -> bool:
        """Take the entry out, and leave all else as it was."""
        lines = self._lines()
        if _BEGIN not in lines:
            return False
        remaining_lines = _without(lines)
        if remaining_lines:
            self._write(remaining_lines)
        else:
            _run(self.host, ["crontab", "-r"])
        return True

    def present(self) -> bool:
        """Whether the entry is there."""
        return self.host.which("crontab") is not None and _BEGIN in self._lines()

    def _lines(self) -> list[str]:
        result = self.host.run(["crontab", "-l"], env={"LC_ALL": "C"})
        if result.code != 0 and "no crontab" in result.output:
            return []
        if result.code != 0 or "\N{REPLACEMENT CHARACTER}" in result.output:
            fix = "Mend it with `crontab -e`; nothing was changed."
            raise DevenvError("The crontab can't be read as it is.", result.output[-500:], fix)
        return result.output.removesuffix("\n").split("\n") if result.output else []

    def _write(self, lines: Sequence[str]) -> None:
        crontab_path = self.work / f"crontab.{os.getpid()}"
        try:
            write_private(crontab_path, "\n".join(lines) + "\n")
            _run(self.host, ["crontab", str(crontab_path)])
        finally:
            crontab_path.unlink(missing_ok=True)


def units(job: Job, argv: Sequence[str]) -> dict[str, str]:
    """Return the units by their file names."""
    days = "Mon..Fri " if job.weekdays else ""
    service = (
        "[Unit]\nDescription=Keep the disk below its budget, and the devenv cluster working\n\n"
        f"[Service]\nType=oneshot\nExecStart={' '.join(_unit_word(a) for a in argv)}\nNice=10\n"
    )
    timer = (
        f"[Unit]\nDescription=devenv schedule, {job.at}\n\n"
        f"[Timer]\nOnCalendar={days}*-*-* {job.at}:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
    )
    return {f"{LABEL}.service": service, f"{LABEL}.timer": timer}


def _unit_word(word: str) -> str:
    """Quote a word as systemd.syntax(7) reads it; % begins a specifier and $ a variable there."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def agent(job: Job, argv: Sequence[str]) -> str:
    """Return the launch agent's property list. launchd counts weekdays from Sunday as 0."""
    times = [{"Hour": job.hour, "Minute": job.minute}]
    if job.weekdays:
        times = [{"Weekday": day, **times[0]} for day in range(1, 6)]
    return plistlib.dumps({
        "Label": LABEL, "ProgramArguments": list(argv), "StartCalendarInterval": times, "ProcessType": "Background",
    }).decode()  # fmt: skip


def entry(job: Job, argv: Sequence[str]) -> str:
    """Return the crontab's line. A % would end the command there."""
    command = shlex.join(argv).replace("%", "\\%")
    return f"{job.minute} {job.hour} * * {'1-5' if job.weekdays else '*'} {command} >/dev/null 2>&1"


def _without(lines: Sequence[str]) -> list[str]:
    """Return the crontab without devenv's entry."""
    if _BEGIN not in lines or _END not in lines[lines.index(_BEGIN) :]:
        return [line for line in lines if line not in {_BEGIN, _END}]
    return [*lines[: lines.index(_BEGIN)], *lines[lines.index(_END) + 1 :]]


def _run(host: Host, argv: Sequence[str]) -> None:
    result = host.run(argv)
    if result.code != 0:
        raise DevenvError(f"`{' '.join(argv[:4])}` failed.", result.output[-500:])
