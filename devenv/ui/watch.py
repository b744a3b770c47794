"""A result that is read again and again.

A terminal is redrawn; in a pipe, the result is printed whenever it has changed.
"""

from collections.abc import Iterable

from rich.live import Live
from rich.text import Text

from devenv import streams
from devenv.ui import console


def watch(readings: Iterable[list[str]]) -> None:
    """Show each reading, given as lines of markup."""
    out = console.result()
    if out.is_terminal:
        with Live(console=out, auto_refresh=False, vertical_overflow="visible") as live:
            for lines in readings:
                live.update(Text.from_markup("\n".join(lines)), refresh=True)
        return
    previous_lines: list[str] = []
    for lines in readings:
        if lines != previous_lines:
            out.print("\n".join(lines))
        if streams.is_unread():
            return
        previous_lines = lines
