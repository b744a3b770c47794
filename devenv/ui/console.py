"""The two streams: results go to standard output, progress to standard error. Nothing else prints."""

import os
import re
import sys
from typing import TextIO

from rich.console import Console

# columns.
_UNCUT = 500
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


_is_diverted = False


def divert_results() -> None:
    """Have results go to standard error from now on: standard output is for a file that the user asked for there."""
    global _is_diverted  # noqa: PLW0603 - there is one standard output
    _is_diverted = True


def result() -> Console:
    """Where a command's result goes."""
    return _console(sys.stderr if _is_diverted else sys.stdout)


def document(text: str) -> None:
    """Give a result that is a file of its own, as UTF-8 whatever the terminal's encoding is."""
    output = sys.stderr if _is_diverted else sys.stdout
    output.flush()
    output.buffer.write(f"{text}\n".encode("utf-8", "backslashreplace"))
    output.buffer.flush()


def progress() -> Console:
    """Where everything else goes."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    """A pipe has no width: nothing may be cut to fit one."""
    width = None if stream.isatty() else _UNCUT
    return Console(file=stream, highlight=False, emoji=False, width=width)


def harmless(text: str) -> str:
    """Return text of others' making without control characters: a log may hold what moves a cursor or names a window."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def interactive() -> bool:
    """Whether somebody can see progress and answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
