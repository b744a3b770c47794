"""The two streams: results go to standard output, progress to standard error.

Nothing else prints.
"""

import os
import re
import sys
from contextlib import suppress
from typing import Any, Protocol, TextIO

from rich.console import Console

from devenv.ui import verbosity

# Columns of a pipe, which has no width: nothing may be cut to fit one.
_UNCUT = 500
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Progress(Protocol):
    """What shows progress at the moment."""

    def flush(self) -> None:
        """Print what it still holds back."""

    def pause(self) -> None:
        """Do the same, and draw nothing until the next step begins."""

    def interrupt(self) -> None:
        """Say what is still being ended."""


_is_diverted = False
_progress_console: Console | None = None
_shown_progress: _Progress | None = None


def show_progress_with(shown: _Progress) -> None:
    """Have `shown` make way for all that is printed from now on."""
    global _shown_progress  # noqa: PLW0603 - there is one terminal
    _shown_progress = shown


def tell_interrupt() -> None:
    """Say at once what an interrupted command still ends, if it shows any step."""
    # A signal may come in the middle of another line.
    with suppress(RuntimeError):
        if _shown_progress:
            _shown_progress.interrupt()


def divert_results() -> None:
    """Send results to standard error from now on: the user asked for a file on standard output."""
    global _is_diverted  # noqa: PLW0603 - there is one standard output
    _is_diverted = True


def result() -> Console:
    """Return the console for a command's result. Bars make way for it."""
    return _console(_result_stream())


def print_line(out: Console, line: str) -> None:
    """Print markup on one line however long it is: the terminal wraps it, and copying joins it."""
    out.print(line, soft_wrap=True)


def document(text: str) -> None:
    """Print a result that is a file of its own, as UTF-8 whatever the terminal's encoding is."""
    stream = _result_stream()
    stream.flush()
    stream.buffer.write(f"{text}\n".encode("utf-8", "backslashreplace"))
    stream.buffer.flush()


def _result_stream() -> TextIO:
    if _shown_progress:
        _shown_progress.pause()
    return sys.stderr if _is_diverted else sys.stdout


def progress() -> Console:
    """Return the console for everything else, always the same: it prints above the bars."""
    global _progress_console  # noqa: PLW0603 - there is one standard error
    if _shown_progress:
        _shown_progress.flush()
    if _progress_console is None or _progress_console.file is not sys.stderr:
        _progress_console = _console(sys.stderr)
    return _progress_console


class _Console(Console):
    """A console that breaks lines between words only: a path or a command stays whole."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does. Only text is meant, not what rich draws itself."""
        if all(isinstance(obj, str) for obj in objects):
            options = {"overflow": "ignore", "crop": False, **options}
        super().print(*objects, **options)


def note(text: str) -> None:
    """Show a sentence beside the progress, unless the user wants quiet."""
    if not verbosity.is_quiet():
        progress().print(text, markup=False, soft_wrap=True)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _UNCUT
    # rich's own NO_COLOR leaves bold and dim, which are control sequences, too.
    if os.environ.get("NO_COLOR"):
        return _Console(file=stream, highlight=False, emoji=False, width=width, color_system=None)
    return _Console(file=stream, highlight=False, emoji=False, width=width)


def harmless(text: str) -> str:
    """Replace control characters in text from elsewhere: a log line could move the cursor."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def harmless_lines(text: str) -> str:
    """Replace control characters, but keep the lines."""
    return "\n".join(map(harmless, text.splitlines()))


def interactive() -> bool:
    """Whether a person can see progress and answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def has_terminal() -> bool:
    """Whether another program can be given this terminal: its keyboard and its screen."""
    return sys.stdin.isatty() and sys.stdout.isatty()
