"""Progress, as a user sees it."""

from collections.abc import Callable
from typing import Protocol

from devenv.ports.names import Names

# Shows a sentence to the user.
Say = Callable[[str], None]


class Reporter(Protocol):
    """Shows the progress of steps. A step is addressed by its name."""

    def plan(self, steps: Names) -> None:
        """Number the steps of these names as they begin, out of so many.

        A plan within a plan, all of whose steps are still to come in that, changes nothing.
        """

    def skip(self, step: str) -> None:
        """Take a step that is not needed out of the plan."""

    def begin(self, step: str) -> None: ...

    def update(self, step: str, amount: float, total: float, unit: str) -> None:
        """Show that `amount` of `total` is done."""

    def detail(self, step: str, text: str) -> None:
        """Show what a step is doing at the moment."""

    def stage(self, step: str, text: str) -> None:
        """Say, even in a pipe, which stage another program's work has reached."""

    def end(self, step: str, note: str = "") -> None: ...

    def fail(self, step: str) -> None: ...

    def say(self, text: str) -> None:
        """Show a sentence that belongs to no step."""
