"""Steps: named, timed, shown, and named again if one fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from devenv.base.errors import DevenvError
from devenv.base.tasks import Task
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter


@contextmanager
def step(reporter: Reporter, name: str) -> Iterator[list[str]]:
    """Show a step for as long as the context lasts.

    The context gives a list. What the step puts into it is shown behind its line at the end. A
    DevenvError that ends the step gets the step's name before its first sentence.
    """
    notes: list[str] = []
    reporter.begin(name)
    try:
        yield notes
    except BaseException as error:
        reporter.fail(name)
        if isinstance(error, DevenvError):
            error.what = f"{name}: {error.what}"
        raise
    reporter.end(name, ", ".join(notes))


def as_task(
    reporter: Reporter,
    name: str,
    run: Callable[[list[str]], None],
    predecessors: Names = (),
) -> Task:
    """Return a task that shows itself as a step. `run` gets the step's list of notes."""

    def run_as_step() -> None:
        with step(reporter, name) as notes:
            run(notes)

    return Task(name, run_as_step, predecessors)


class Arrivals:
    """Which images are in every node, for tasks that must wait for their images."""

    def __init__(self) -> None:
        self._arrived: set[str] = set()
        self._changed = Condition()
        self._abandoned = False

    def arrive(self, name: str) -> None:
        """Note that an image is in every node."""
        with self._changed:
            self._arrived.add(name)
            self._changed.notify_all()

    def abandon(self) -> None:
        """Note that no more images will come."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def wait_for(self, names: set[str], seconds: float) -> None:
        """Return when all of these images have arrived.

        Raises DevenvError if they do not arrive within `seconds`, or never will.
        """
        with self._changed:
            is_over = self._changed.wait_for(
                lambda: self._abandoned or names <= self._arrived, seconds
            )
            if self._abandoned or not is_over:
                missing_names = sorted(names - self._arrived)
                raise DevenvError(
                    "Images did not arrive in the nodes.",
                    f"Still missing: {', '.join(missing_names)}",
                )
