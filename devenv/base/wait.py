"""The one waiting loop.

It ends as soon as its condition holds. At its deadline it gives up, and says what was missing.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_result, wait_fixed

from devenv.base.errors import DevenvError, LockedError, NotReachableError
from devenv.ports.clock import Clock
from devenv.ports.host import Host
from devenv.ports.reporter import Say

# Gets what a wait is for, and what is missing, "" in the end.
Onlooker = Callable[[str, str], None]


def _overlook(_what: str, _missing: str) -> None:
    """Show nothing: no step is being shown."""


# Each task runs in a thread, and so in a context, of its own: a wait reaches the step around it
# without a parameter in every function between the two.
_onlooker: ContextVar[Onlooker] = ContextVar("onlooker", default=_overlook)

# First words that have a capital letter only because they begin a sentence.
_SENTENCE_STARTS = ("The ", "Its ", "What ", "At ")


@dataclass(frozen=True)
class Deadline:
    """A point in time that is `seconds` away when this is made."""

    clock: Clock
    seconds: float
    end: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", self.clock.monotonic() + self.seconds)

    def left(self) -> float:
        """Seconds until then, never negative."""
        return max(0.0, self.end - self.clock.monotonic())


class StoppableClock:
    """A clock for work that may be given up. Once it is stopped, nothing waits by it any longer."""

    def __init__(self, clock: Clock) -> None:
        # For what must still be done after that.
        self.unstopped = clock
        self._stopped = Event()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.unstopped.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self.unstopped.now()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises DevenvError if the work was given up."""
        self.check()
        self.unstopped.sleep(seconds)

    def check(self) -> None:
        """Raise DevenvError if the work was given up."""
        if self._stopped.is_set():
            raise DevenvError("Given up, because another step failed.")

    def stop(self) -> None:
        """Give the work up."""
        self._stopped.set()


@contextmanager
def watched(onlooker: Onlooker) -> Iterator[None]:
    """Tell the onlooker of all waits in this context, at each of their looks."""
    token = _onlooker.set(onlooker)
    try:
        yield
    finally:
        _onlooker.reset(token)


def show_wait(what: str, missing: str) -> None:
    """Tell the onlooker what this thread waits for, "" once nothing is missing."""
    _onlooker.get()(what, missing)


def until(
    what: str,
    find_missing: Callable[[], str],
    deadline: Deadline,
    hint: str = "",
    pause: float = 0.2,
) -> None:
    """Call `find_missing` until it returns "", which means that nothing is missing any more.

    `pause` is in seconds. At the deadline it raises DevenvError with `what` it waited for, what was
    missing in the end, and `hint` as the next step. It calls `find_missing` at least once.
    """

    def find_missing_or_trouble() -> str:
        try:
            missing = find_missing()
        # A server that does not answer once must not end a wait of minutes.
        except NotReachableError as error:
            missing = error.what
        show_wait(what, missing)
        return missing

    def give_up(state: RetryCallState) -> None:
        """Raise DevenvError with what was still missing at the last look."""
        missing_parts = state.outcome.result() if state.outcome else ""
        raise DevenvError(
            f"Timed out after {deadline.seconds:.0f} s waiting for {inside_sentence(what)}.",
            f"Still missing: {missing_parts}",
            hint,
        )

    retrying = Retrying(
        stop=lambda _: deadline.left() <= 0,
        wait=wait_fixed(pause),
        retry=retry_if_result(bool),
        sleep=deadline.clock.sleep,
        retry_error_callback=give_up,
    )
    retrying(find_missing_or_trouble)


def inside_sentence(what: str) -> str:
    """Return words that could begin a sentence as they stand inside one: The gateway → the gateway.

    Any other first word may be a name, such as Envoy, and stays as it is.
    """
    if what.startswith(_SENTENCE_STARTS):
        return f"{what[0].lower()}{what[1:]}"
    return what


@contextmanager
def locked(host: Host, clock: Clock, name: str, say: Say, seconds: float = 600) -> Iterator[None]:
    """Hold the lock of that name for as long as the context lasts.

    While another process holds it, wait, and say once who that is. Raises LockedError with the
    holder if the lock is not free within `seconds`.
    """
    if seconds == 0:
        with host.lock(name):
            yield
        return
    with ExitStack() as stack:
        take_lock = _lock_taker(stack, host, name, say)
        try:
            until(f"The lock of {name}", take_lock, Deadline(clock, seconds))
        except DevenvError as error:
            fix = "Wait until it is done, then try again."
            raise LockedError(error.what, error.why, fix) from error
        yield


def _lock_taker(stack: ExitStack, host: Host, name: str, say: Say) -> Callable[[], str]:
    """Return a function that tries to take the lock.

    The function returns who holds the lock, or "" once it is taken: then `stack` releases it.
    """
    announcements: list[str] = []

    def take_lock() -> str:
        try:
            stack.enter_context(host.lock(name))
        except LockedError as error:
            if not announcements:
                announcements.append(f"{error.what} Waiting for that to end.")
                say(announcements[0])
            return error.what
        return ""

    return take_lock
