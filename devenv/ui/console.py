"""The two streams: results go to standard output, progress to standard error. Nothing else prints."""

import os
import sys

from rich.console import Console
from rich.theme import Theme

_THEME = Theme({"good": "green", "bad": "bold red", "dim": "bright_black", "step": "bold"})


def result() -> Console:
    """Where a command's result goes."""
    return Console(theme=_THEME, highlight=False, soft_wrap=not sys.stdout.isatty())


def progress() -> Console:
    """Where everything else goes."""
    return Console(theme=_THEME, highlight=False, stderr=True, soft_wrap=not sys.stderr.isatty())


def interactive() -> bool:
    """Whether somebody can see progress and answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
