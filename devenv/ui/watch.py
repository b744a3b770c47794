"""A result that is read again and again.

A terminal gets a screen of its own; a pipe gets each round that differs, below its time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rich.live import Live
from rich.text import Text

from devenv import streams
from devenv.ui import console
from devenv.ui.marks import bold
from devenv.ui.times import local_second

# Makes a screen's lines of markup for a width and a height.
Screen = Callable[[int, int], list[str]]


@dataclass(frozen=True)
class Round:
    """One round, as lines of markup. Rounds with equal `content` differ at most in ages."""

    # Seconds since 1970.
    time: float
    content: Any
    lines: list[str]


def has_screen() -> bool:
    """Whether standard output is a terminal that can be redrawn."""
    out = console.result()
    return out.is_terminal and not out.is_dumb_terminal


def show_screens(screens: Iterable[Screen]) -> None:
    """Show each screen in place of the one before, and give the terminal back at the end."""
    out = console.result()
    with Live(
        console=out, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:
        for screen in screens:
            width, height = out.size
            text = Text.from_markup("\n".join(screen(width, height)))
            text.no_wrap, text.overflow = True, "ellipsis"
            live.update(text, refresh=True)


def print_rounds(rounds: Iterable[Round]) -> None:
    """Print each round that differs from the one before, until there is no reader."""
    out = console.result()
    previous_content = None
    for current in rounds:
        if current.content != previous_content:
            out.print(bold(local_second(current.time)))
            for line in current.lines:
                out.print(line)
        if streams.is_unread():
            return
        previous_content = current.content
