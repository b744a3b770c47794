"""`setup`: what it did."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.ui.render import Report

_NOTHING = "Nothing to do: this machine has what devenv needs."


def actions(actions: Sequence[str]) -> Report:
    """Report what was done, in the order in which it was; nothing if nothing was missing."""

    def text(out: Console) -> None:
        out.print(escape("\n".join(actions)) or _NOTHING)

    return Report("setup", lambda: {"actions": list(actions)}, text)
