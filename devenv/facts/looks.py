"""Looks at many things at once, each with its own limit, all within one: what does not answer keeps nobody waiting."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from devenv.errors import DevenvError
from devenv.ports import Clock
from devenv.wait import Deadline

T = TypeVar("T")


class Looks:
    """Looks that were begun. A thread that hangs is left behind: it ends with the program."""

    def __init__(self, clock: Clock, seconds: float, each: float) -> None:
        """`seconds` for all of them, `each` for every single one."""
        self.unknown: dict[str, str] = {}
        self._clock, self._all, self._each = clock, Deadline(clock, seconds), each
        self._begun: dict[str, tuple[Deadline, Future[object]]] = {}

    def begin(self, name: str, task: Callable[[], object]) -> None:
        """Start to look."""
        future: Future[object] = Future()
        self._begun[name] = (Deadline(self._clock, self._each), future)
        Thread(target=_run, args=(future, task), name=name, daemon=True).start()

    def get(self, name: str, otherwise: T) -> T:
        """Return what was seen. Where nothing was, `unknown` has the reason, and this returns `otherwise`."""
        deadline, future = self._begun[name]
        seconds = min(deadline.left(), self._all.left())
        try:
            return future.result(timeout=seconds)  # type: ignore[return-value] # as it was begun
        except TimeoutError:
            self.unknown[name] = (
                f"no answer within {min(deadline.seconds, self._all.seconds):.0f} s"
            )
        except DevenvError as error:
            self.unknown[name] = error.in_one_line
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest must be looked at
            self.unknown[name] = f"the answer could not be read: {type(error).__name__}: {error}"
        return otherwise


def _run(future: "Future[object]", task: Callable[[], object]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # noqa: BLE001 - raised in `get`
        future.set_exception(error)
