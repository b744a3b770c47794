"""Shows steps as they run: bars on a terminal, plain lines where output is piped."""

import threading
import time
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from devenv.profiles.quantities import show

# Seconds between two lines about one step.
_PAUSE = 5.0


@dataclass
class _Step:
    began: float
    told: float = 0.0
    bar: TaskID | None = None
    detail: str = ""
    count: str = ""


def amount(position: float, total: float, unit: str) -> str:
    """Spell progress: bytes as sizes, seconds as minutes that are left, all else as a count."""
    if unit == "B":
        return f"{show(position)} of {show(total)}"
    if unit == "s":
        return (
            f"about {max(1, round((total - position) / 60))} min left" if total > position else ""
        )
    return f"{position:.0f} of {total:.0f} {unit}".rstrip()


class Lines:
    """A reporter for pipes and logs: one line when a step ends, one when a long step's detail changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()

    def begin(self, step: str) -> None:
        """Note the start."""
        began = time.monotonic()
        self._steps[step] = _Step(began, told=began)

    def update(self, step: str, done: float, total: float, unit: str) -> None:
        """Lines have no bars."""

    def detail(self, step: str, text: str) -> None:
        """Say what a step is at, now and then."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(time.monotonic()))
            current_time = time.monotonic()
            if text and text != state.detail and current_time - state.told >= _PAUSE:
                state.detail, state.told = text, current_time
                self._console.print(f"  {step}: {text}", style="dim", markup=False)

    def end(self, step: str, note: str = "") -> None:
        """Say that the step is done, and how long it took."""
        self._console.print(_done(step, note, self._seconds(step)))

    def fail(self, step: str) -> None:
        """Say that the step failed; why is said at the end."""
        self._console.print(
            f"[bold red]✗[/bold red] {escape(step)}  [dim]{self._seconds(step):.1f} s[/dim]"
        )

    def say(self, text: str) -> None:
        """Say anything else."""
        self._console.print(text, markup=False)

    def close(self) -> None:
        """Nothing to tidy up."""

    def _seconds(self, step: str) -> float:
        return time.monotonic() - self._steps.pop(step, _Step(time.monotonic())).began


class Bars(Lines):
    """A reporter for a terminal: one bar for each step that runs, gone when it ends."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console, transient=True,
        )  # fmt: skip

    def begin(self, step: str) -> None:
        """Add the step's bar."""
        super().begin(step)
        # Only now, so that a command without steps leaves the terminal alone.
        self._progress.start()
        self._steps[step].bar = self._progress.add_task(step, total=None, note="")

    def update(self, step: str, done: float, total: float, unit: str) -> None:
        """Move the bar."""
        state = self._steps.get(step)
        if state and state.bar is not None:
            state.count = amount(done, total, unit)
            self._progress.update(state.bar, completed=done, total=total, note=self._note(state))

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
        note = "  ".join(part for part in (step.count, step.detail) if part)
        room = max(10, self._progress.console.width - 50)
        return note if len(note) <= room else note[: room - 1] + "…"


def _done(step: str, note: str, seconds: float) -> str:
    tail = f"  {escape(note)}" if note else ""
    return f"[green]✓[/green] {escape(step)}{tail}  [dim]{seconds:.1f} s[/dim]"


def reporter(console: Console) -> Bars | Lines:
    """Return the reporter that suits where output goes."""
    return Bars(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)
