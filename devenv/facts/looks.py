"""Looks at many things at once. Each look has a time limit, and all of them together have one.

So what does not answer holds up nothing else.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from devenv.base.errors import DevenvError
from devenv.base.wait import Deadline
from devenv.ports.clock import Clock

T = TypeVar("T")


class Looks:
    """Looks that were begun. A thread that hangs is left alone: it ends with the program."""

    def __init__(self, clock: Clock, seconds: float, each: float) -> None:
        """Limit all looks to `seconds`, and each one to `each` seconds."""
        self.unknown: dict[str, str] = {}
        self._clock = clock
        self._all = Deadline(clock, seconds)
        self._each = each
        self._begun: dict[str, tuple[Deadline, Future[object]]] = {}

    def begin(self, name: str, task: Callable[[], object], seconds: float = 0) -> None:
        """Start to look. `seconds`: its own limit, if it is another than that of each look."""
        future: Future[object] = Future()
        self._begun[name] = (Deadline(self._clock, seconds or self._each), future)
        Thread(target=_run, args=(future, task), name=name, daemon=True).start()

    def get(self, name: str, otherwise: T) -> T:
        """Return what was seen, or `otherwise` if the look failed: then `unknown` says why."""
        deadline, future = self._begun[name]
        seconds = min(deadline.left(), self._all.left())
        try:
            return future.result(timeout=seconds)  # type: ignore[return-value] # as it was begun
        except TimeoutError:
            limit = min(deadline.seconds, self._all.seconds)
            self.unknown[name] = f"no answer within {limit:.0f} s"
        except DevenvError as error:
            self.unknown[name] = error.in_one_line
        except Exception as error:  # noqa: BLE001 - the other looks must go on
            self.unknown[name] = f"the answer could not be read: {type(error).__name__}: {error}"
        return otherwise

    def succeeds(self, name: str, seconds: float) -> bool:
        """Whether a look succeeds within so many seconds from now. `unknown` stays as it is."""
        _, future = self._begun[name]
        try:
            future.result(timeout=min(seconds, self._all.left()))
        except Exception:  # noqa: BLE001 - `get` says why
            return False
        return True


def _run(future: "Future[object]", task: Callable[[], object]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # noqa: BLE001 - raised in `get`
        future.set_exception(error)
