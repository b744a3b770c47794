"""The two streams: results go to standard output, progress to standard error. Nothing else prints."""

import os
import sys
from typing import TextIO

from rich.console import Console

_UNCUT = 500  # columns


def result() -> Console:
    """Where a command's result goes."""
    return _console(sys.stdout)


def progress() -> Console:
    """Where everything else goes."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    """A pipe has no width: nothing may be cut to fit one."""
    width = None if stream.isatty() else _UNCUT
    return Console(file=stream, highlight=False, width=width)


def interactive() -> bool:
    """Whether somebody can see progress and answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
