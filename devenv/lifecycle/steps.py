"""Steps: named, timed, shown, and named again where one fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from devenv.errors import DevenvError
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.ports import Reporter
from devenv.tasks import Task


@contextmanager
def step(reporter: Reporter, name: str) -> Iterator[list[str]]:
    """Show a step while it runs. What is put into the list that this gives stands behind its line at the end."""
    note: list[str] = []
    reporter.begin(name)
    try:
        yield note
    except BaseException as error:
        reporter.fail(name)
        if isinstance(error, DevenvError):
            error.what = f"{name}: {error.what}"
        raise
    reporter.end(name, ", ".join(note))


def prove(reporter: Reporter, prober: Prober, seconds: float, hint: str) -> list[Proof]:
    """Show the live requests as a step, and return their proofs. Raises DevenvError where one does not prove its route."""
    with step(reporter, "live requests") as note:
        proofs = prober.until_proven(seconds, hint)
        note.append(f"{len(proofs)} of {len(proofs)} proved their routes")
    return proofs


def as_task(
    reporter: Reporter,
    name: str,
    run: Callable[[list[str]], None],
    dependencies: tuple[str, ...] = (),
) -> Task:
    """Return a task that shows itself as a step."""

    def shown() -> None:
        with step(reporter, name) as note:
            run(note)

    return Task(name, shown, dependencies)


class Arrivals:
    """Which images are in the nodes already, for those who must not be applied before their images are."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._changed = Condition()
        self._abandoned = False

    def arrive(self, name: str) -> None:
        """Say that an image is in every node."""
        with self._changed:
            self._there.add(name)
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that no more will come."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()

    def wait_for(self, names: set[str], seconds: float) -> None:
        """Return when all of them are there. Raises DevenvError when they don't come in time, or never will."""
        with self._changed:
            is_complete = self._changed.wait_for(
                lambda: self._abandoned or names <= self._there, seconds
            )
            if self._abandoned or not is_complete:
                raise DevenvError(
                    "Images did not arrive in the nodes.",
                    f"Still missing: {', '.join(sorted(names - self._there))}",
                )
