"""Shows steps as they run: bars on a terminal, plain lines where output is piped."""

import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Task as Bar
from rich.table import Column
from rich.text import Text

from devenv.facts.redact import without_credentials
from devenv.ports.names import Names
from devenv.profiles.quantities import show
from devenv.ui import console as streams
from devenv.ui import verbosity
from devenv.ui.marks import CHECK, CROSS
from devenv.ui.times import clock_time

# Seconds: before a line about a step that lasts, and before the same line is printed again.
_PAUSE, _LONG_PAUSE = 5.0, 30.0
# Seconds for another thread to end its line, after an interrupt.
_LOCK_SECONDS = 1.0
# Seconds from which on a step has a line of its own: a shorter one would say 0.0 s.
_SHORT = 0.05


@dataclass
class _Step:
    began: float
    # "[7/16] " for a step of a plan, otherwise "".
    number: str = ""
    # When the last line about it was printed, and the detail that it had.
    printed: float = 0.0
    printed_detail: str = ""
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

    Prints a line when a step ends, when another program's work reaches a stage, and now and then
    what a long step is at. Steps that took no time share one line, which comes before the next.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console, self._now = console, now
        self._steps: dict[str, _Step] = {}
        # Of the plan: how many steps it has, and the names of those that have not begun.
        self._planned = 0
        self._pending: list[str] = []
        # Steps that took no time, in markup.
        self._folded: list[str] = []
        self._is_interrupted = False
        # Also taken by a signal's handler, in the thread that may have it.
        self._lock = threading.RLock()

    def plan(self, steps: Names) -> None:
        """Number the steps of these names as they begin, unless a plan that runs has them all."""
        with self._lock:
            if not steps or not set(steps) <= set(self._pending):
                self._planned, self._pending = len(steps), list(steps)

    def skip(self, step: str) -> None:
        """Take a step that is not needed out of the plan."""
        with self._lock:
            if step in self._pending:
                self._pending.remove(step)
                self._planned -= 1

    def begin(self, step: str) -> None:
        """Note the start."""
        with self._lock:
            began = self._now()
            self._steps[step] = _Step(began, self._next_number(step), printed=began)

    def update(self, step: str, position: float, total: float, unit: str) -> None:
        """Lines have no bars; the count is part of the line about a long step."""
        if state := self._steps.get(step):
            state.count = amount(position, total, unit)

    def detail(self, step: str, text: str) -> None:
        """Say what a step is at, now and then."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(self._now()))
            state.detail = text
            pause = _LONG_PAUSE if text == state.printed_detail else _PAUSE
            if text and self._now() - state.printed >= pause:
                self._print_state(step, state)

    def stage(self, step: str, text: str) -> None:
        """Say at once what a step is at."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(self._now()))
            state.detail = text
            self._print_state(step, state)

    def end(self, step: str, note: str = "") -> None:
        """Say that the step has ended, and how long it took."""
        with self._lock:
            state = self._pop(step)
            seconds = self._now() - state.began
            if seconds < _SHORT:
                self._folded.append(escape(f"{step} ({note})" if note else step))
                return
            name = escape(f"{state.number}{step}")
            duration = f"[dim]{seconds:.1f} s[/dim]"
            parts = [f"{CHECK} {name}", escape(note), duration]
            self._print("  ".join(filter(None, parts)))

    def fail(self, step: str) -> None:
        """Say that the step failed; the error at the end says why."""
        with self._lock:
            state = self._pop(step)
            name = escape(f"{state.number}{step}")
            seconds = self._now() - state.began
            self._print(f"{CROSS} {name}  [dim]{seconds:.1f} s[/dim]")

    def say(self, text: str) -> None:
        """Say anything else."""
        with self._lock:
            self._print(escape(text))

    def interrupt(self) -> None:
        """Say at once what an interrupted command still finishes."""
        # The thread that has the lock may wait for one of rich's, which the interrupted code has.
        if self._is_interrupted or not self._lock.acquire(timeout=_LOCK_SECONDS):
            return
        try:
            steps = ", ".join(self._steps)
            if steps:
                self._is_interrupted = True
                self._print(escape(f"Ending {steps}; nothing else begins."))
        finally:
            self._lock.release()

    def flush(self) -> None:
        """Print the line of the steps that took no time."""
        with self._lock:
            names, self._folded = self._folded, []
            if names:
                self._console.print(f"{CHECK} {', '.join(names)}  [dim]0.0 s[/dim]")

    def pause(self) -> None:
        """Leave the terminal to a result: nothing is drawn until the next step begins."""
        self.flush()

    def close(self) -> None:
        """Show what is still to be shown."""
        self.flush()

    def _print(self, line: str) -> None:
        self.flush()
        self._console.print(line)

    def _print_state(self, step: str, state: _Step) -> None:
        """Print a line about a step that runs."""
        state.printed, state.printed_detail = self._now(), state.detail
        note = ", ".join(filter(None, (state.count, state.detail)))
        line = escape(f"  {state.number}{step} {clock_time(state.printed - state.began)}, {note}")
        self._print(f"[dim]{line}[/dim]")

    def _next_number(self, step: str) -> str:
        """Return what stands before the name of a step of the plan."""
        if step not in self._pending:
            return ""
        self._pending.remove(step)
        # One of one says nothing.
        if self._planned == 1:
            return ""
        return f"[{self._planned - len(self._pending)}/{self._planned}] "

    def _pop(self, step: str) -> _Step:
        """End the step, and return it; a new one if it never began."""
        return self._steps.pop(step, None) or _Step(self._now())


class _Elapsed(ProgressColumn):
    """How long a step has been running, such as 0:26."""

    def render(self, task: Bar) -> Text:
        """Return the text."""
        return Text(clock_time(task.elapsed or 0.0))


class _Bar(BarColumn):
    """A bar for steps whose end is known."""

    def render(self, task: Bar) -> Text:  # type: ignore[override]
        """Return the bar, or nothing."""
        if task.total is None:
            return Text()
        return super().render(task)  # type: ignore[return-value]


class Silence(Lines):
    """A reporter for --quiet: shows nothing. The error at the end says what failed."""

    def flush(self) -> None:
        """Show nothing."""

    def _print(self, line: str) -> None:
        """Show nothing."""


class DetailedLines(Lines):
    """A reporter for --verbose: shows when a step begins, and every change of what it is at."""

    def begin(self, step: str) -> None:
        """Say that the step has begun."""
        super().begin(step)
        with self._lock:
            number = self._steps[step].number
            self._print(f"[dim]  {escape(number + step)}: begins[/dim]")

    def detail(self, step: str, text: str) -> None:
        """Say what a step is at, at once."""
        with self._lock:
            state = self._steps.setdefault(step, _Step(self._now()))
            if text and text != state.detail:
                state.detail = text
                self._print_state(step, state)


class Bars(Lines):
    """A reporter for a terminal: one bar for each step that runs, gone when it ends.

    Nothing is drawn while no step runs, so that a result has the terminal for itself.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, now)
        # What is drawn at the moment, if anything is.
        self._progress: Progress | None = None

    def begin(self, step: str) -> None:
        """Add the step's bar."""
        with self._lock:
            super().begin(step)
            state = self._steps[step]
            if self._progress is None:
                self._progress = _drawing(self._console)
                self._progress.start()
            name = f"{state.number}{step}"
            state.bar = self._progress.add_task(name, total=None, note="")

    def update(self, step: str, position: float, total: float, unit: str) -> None:
        """Move the bar."""
        super().update(step, position, total, unit)
        self._redraw(step, completed=position, total=total)

    def detail(self, step: str, text: str) -> None:
        """Show what the step is at, behind its bar."""
        if state := self._steps.get(step):
            state.detail = text
            self._redraw(step)

    def stage(self, step: str, text: str) -> None:
        """Show it behind the bar, as any detail."""
        self.detail(step, text)

    def pause(self) -> None:
        """Take the bars from the terminal."""
        with self._lock:
            self._stop()
            super().pause()

    def close(self) -> None:
        """Give the terminal back."""
        self.pause()

    def _redraw(self, step: str, **position: float) -> None:
        with self._lock:
            state = self._steps.get(step)
            if self._progress and state and state.bar is not None:
                # Typed as one dictionary, which would include rich's other options.
                self._progress.update(state.bar, note=_note(state), **position)  # type: ignore[arg-type]

    def _pop(self, step: str) -> _Step:
        state = super()._pop(step)
        if self._progress and state.bar is not None:
            self._progress.remove_task(state.bar)
        if not self._steps:
            self._stop()
        return state

    def _stop(self) -> None:
        """Draw nothing any more. A step that still runs has no bar from now on."""
        if self._progress:
            self._progress.stop()
            self._progress = None
        for state in self._steps.values():
            state.bar = None


def _drawing(console: Console) -> Progress:
    """Return bars without steps. What does not fit is cut, so that each has one line."""
    note = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        _Elapsed(),
        _Bar(bar_width=20),
        TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=note),
        console=console,
        transient=True,
        expand=True,
        # A result makes bars pause, and so does not pass through them.
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _note(step: _Step) -> str:
    """Return what is behind a bar: the count and the detail."""
    return "  ".join(filter(None, (step.count, step.detail)))


def reporter(console: Console) -> Lines:
    """Return the reporter that suits where output goes, and how much the user wants.

    Results make it pause.
    """
    made = _reporter_for(console)
    streams.show_progress_with(made)
    return made


def _reporter_for(console: Console) -> Lines:
    if verbosity.is_quiet():
        return Silence(console)
    if verbosity.is_verbose():
        return DetailedLines(console)
    if console.is_terminal and not console.is_dumb_terminal:
        return Bars(console)
    return Lines(console)
