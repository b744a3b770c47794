"""Something that is looked at again and again: in place on a terminal, in a pipe as new lines whenever it changed."""

from collections.abc import Iterable

from rich.live import Live
from rich.text import Text

from devenv import streams
from devenv.ui import console


def watch(looks: Iterable[list[str]]) -> None:
    """Show each look, given as lines of markup."""
    out = console.result()
    if out.is_terminal:
        with Live(console=out, auto_refresh=False, vertical_overflow="visible") as live:
            for lines in looks:
                live.update(Text.from_markup("\n".join(lines)), refresh=True)
        return
    previous_lines: list[str] = []
    for lines in looks:
        if lines != previous_lines:
            out.print("\n".join(lines))
        if streams.is_unread():
            return
        previous_lines = lines
