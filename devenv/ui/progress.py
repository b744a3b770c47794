"""Shows steps as they run: bars on a terminal, plain lines where output is piped."""

import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from devenv.facts.redact import without_credentials
from devenv.profiles.quantities import show
from devenv.ui import verbosity
from devenv.ui.marks import CHECK, CROSS

# Seconds between two lines about one step.
_PAUSE = 5.0
# Columns of a step's name and bar, and of the note behind them at least.
_BAR_WIDTH, _MIN_NOTE = 50, 10


@dataclass
class _Step:
    began: float
    # When the last line about it was printed.
    printed: float = 0.0
    bar: TaskID | None = None
    detail: str = ""
    count: str = ""


def amount(position: float, total: float, unit: str) -> str:
    """Spell progress: bytes as sizes, seconds as minutes that are left, all else as a count."""
    if unit == "B":
        return f"{show(position)} of {show(total)}"
    if unit == "s":
        if position >= total:
            return ""
        minutes = round((total - position) / 60)
        return f"about {max(1, minutes)} min left"
    return f"{position:.0f} of {total:.0f} {unit}".rstrip()


def program_line(argv: Sequence[str]) -> str:
    """Return a program with its arguments as in a shell, without credentials."""
    return f"$ {shlex.join(without_credentials(argv))}"


class Lines:
    """A reporter for pipes and logs.

    Prints a line when a step ends, and one when the detail of a long step changes.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()

    def begin(self, step: str) -> None:
        """Note the start."""
        began = time.monotonic()
        self._steps[step] = _Step(began, printed=began)

    def update(self, step: str, position: float, total: float, unit: str) -> None:
        """Lines have no bars."""

    def detail(self, step: str, text: str) -> None:
        """Say what a step is at, now and then."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(time.monotonic()))
            current_time = time.monotonic()
            is_due = current_time - state.printed >= _PAUSE
            if is_due and text and text != state.detail:
                state.detail = text
                state.printed = current_time
                self._console.print(f"  {step}: {text}", style="dim", markup=False)

    def end(self, step: str, note: str = "") -> None:
        """Say that the step has ended, and how long it took."""
        self._console.print(_end_line(step, note, self._seconds(step)))

    def fail(self, step: str) -> None:
        """Say that the step failed; the error at the end says why."""
        seconds = self._seconds(step)
        self._console.print(f"{CROSS} {escape(step)}  [dim]{seconds:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """Say anything else."""
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Nothing to tidy up."""

    def _seconds(self, step: str) -> float:
        """End the step, and return how long it took; 0 if it never began."""
        state = self._steps.pop(step, None)
        if state is None:
            return 0.0
        return time.monotonic() - state.began


class Silence(Lines):
    """A reporter for --quiet: shows nothing. The error at the end says what failed."""

    def detail(self, step: str, text: str) -> None:
        """Show nothing."""

    def end(self, step: str, note: str = "") -> None:
        """Show nothing."""

    def fail(self, step: str) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""


class DetailedLines(Lines):
    """A reporter for --verbose: shows when a step begins, and every change of what it is at."""

    def begin(self, step: str) -> None:
        """Say that the step has begun."""
        super().begin(step)
        self._console.print(f"  {step}: begins", style="dim", markup=False)

    def detail(self, step: str, text: str) -> None:
        """Say what a step is at, at once."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(time.monotonic()))
            if text and text != state.detail:
                state.detail = text
                self._console.print(f"  {step}: {text}", style="dim", markup=False)


class Bars(Lines):
    """A reporter for a terminal: one bar for each step that runs, gone when it ends."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            transient=True,
        )

    def begin(self, step: str) -> None:
        """Add the step's bar."""
        super().begin(step)
        # Only now, so that a command without steps leaves the terminal alone.
        self._progress.start()
        self._steps[step].bar = self._progress.add_task(step, total=None, note="")

    def update(self, step: str, position: float, total: float, unit: str) -> None:
        """Move the bar."""
        state = self._steps.get(step)
        if state and state.bar is not None:
            state.count = amount(position, total, unit)
            note = self._note(state)
            self._progress.update(state.bar, completed=position, total=total, note=note)

    def detail(self, step: str, text: str) -> None:
        """Show what the step is at, behind its bar."""
        state = self._steps.get(step)
        if state and state.bar is not None:
            state.detail = text
            self._progress.update(state.bar, note=self._note(state))

    def end(self, step: str, note: str = "") -> None:
        """Turn the bar into a line."""
        self._remove(step)
        super().end(step, note)

    def fail(self, step: str) -> None:
        """Turn the bar into a line that says so."""
        self._remove(step)
        super().fail(step)

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()

    def _remove(self, step: str) -> None:
        state = self._steps.get(step)
        if state and state.bar is not None:
            self._progress.remove_task(state.bar)

    def _note(self, step: _Step) -> str:
        """Return what is behind a bar: the count and the detail, cut to fit."""
        note = "  ".join(filter(None, (step.count, step.detail)))
        width = max(_MIN_NOTE, self._progress.console.width - _BAR_WIDTH)
        if len(note) <= width:
            return note
        return note[: width - 1] + "…"


def _end_line(step: str, note: str, seconds: float) -> str:
    """Return the line of a step that has ended: its name, its note and its duration."""
    parts = [f"{CHECK} {escape(step)}", escape(note), f"[dim]{seconds:.1f} s[/dim]"]
    return "  ".join(filter(None, parts))


def reporter(console: Console) -> Bars | Lines:
    """Return the reporter that suits where output goes, and how much the user wants."""
    if verbosity.is_quiet():
        return Silence(console)
    if verbosity.is_verbose():
        return DetailedLines(console)
    if console.is_terminal and not console.is_dumb_terminal:
        return Bars(console)
    return Lines(console)
