"""Steps: named, timed, shown, and named again if one fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from devenv.base.errors import DevenvError
from devenv.base.tasks import Task
from devenv.base.wait import inside_sentence, show_wait, watched
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter


@contextmanager
def step(reporter: Reporter, name: str) -> Iterator[list[str]]:
    """Show a step for as long as the context lasts.

    The context gives a list. What the step puts into it is shown behind its line at the end. While
    the step waits, its line says for what. A DevenvError that ends the step gets the step's name
    before its first sentence.
    """
    notes: list[str] = []

    def show(what: str, missing: str) -> None:
        reporter.detail(name, _waiting(name, what, missing))

    reporter.begin(name)
    try:
        with watched(show):
            yield notes
    except BaseException as error:
        reporter.fail(name)
        if isinstance(error, DevenvError):
            error.what = f"{name}: {error.what}"
        raise
    reporter.end(name, ", ".join(notes))


def _waiting(step_name: str, what: str, missing: str) -> str:
    """Say on a step's line what it waits for: the first line, without the step's own name."""
    if not missing:
        return ""
    first_line = missing.splitlines()[0]
    if what.startswith(step_name):
        return f"waiting: {first_line}"
    return f"waiting for {inside_sentence(what)}: {first_line}"


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

            def is_over_now() -> bool:
                show_wait("Its images", ", ".join(sorted(names - self._arrived)))
                return self._abandoned or names <= self._arrived

            is_over = self._changed.wait_for(is_over_now, seconds)
            if self._abandoned or not is_over:
                missing_names = sorted(names - self._arrived)
                raise DevenvError(
                    "Images did not arrive in the nodes.",
                    f"Still missing: {', '.join(missing_names)}",
                )
