"""The one waiting loop: ends as soon as its condition holds, never outlives its deadline, and then says what was missing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event

from tenacity import RetryCallState, Retrying, wait_fixed
from tenacity import retry_if_result as again_if

from devenv.errors import DevenvError, LockedError, NotReachableError
from devenv.ports import Clock, Host


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
    """A clock for work that may be given up: once `stop` was called, nobody waits by it any longer."""

    def __init__(self, clock: Clock) -> None:
        # For what is left to do then.
        self.unstopped = clock
        self._stopped = Event()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.unstopped.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self.unstopped.now()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises DevenvError once the work was given up."""
        self.check()
        self.unstopped.sleep(seconds)

    def check(self) -> None:
        """Raise DevenvError once the work was given up."""
        if self._stopped.is_set():
            raise DevenvError("Given up, because another step failed.")

    def stop(self) -> None:
        """Give the work up."""
        self._stopped.set()


def until(
    what: str,
    find_missing: Callable[[], str],
    deadline: Deadline,
    hint: str = "",
    pause: float = 0.2,
) -> None:
    """Call `find_missing` until it returns "", which means that nothing is missing any more.

    `pause` is in seconds. Raises DevenvError at the deadline, with what was missing last and with `hint`, how to look.
    """

    def give_up(state: RetryCallState) -> None:
        remaining = state.outcome.result() if state.outcome else ""
        raise DevenvError(
            f"{what} was not ready within {deadline.seconds:.0f} s.",
            f"Still missing: {remaining}",
            hint,
        )

    def look_once() -> str:
        try:
            return find_missing()
        except (
            NotReachableError
            # One hiccup of a server is no reason to end a wait of minutes.
        ) as error:
            return error.what

    Retrying(
        stop=lambda _: deadline.left() <= 0,
        wait=wait_fixed(pause),
        retry=again_if(bool),
        sleep=deadline.clock.sleep,
        retry_error_callback=give_up,
    )(look_once)


@contextmanager
def locked(
    host: Host, clock: Clock, name: str, say: Callable[[str], None], seconds: float = 600
) -> Iterator[None]:
    """Hold the lock of that name, waiting for whoever has it and saying who that is.

    Raises LockedError with the holder when it is not free within `seconds`.
    """
    if seconds == 0:
        with host.lock(name):
            yield
        return
    with ExitStack() as stack:
        announcements: list[str] = []

        def holder() -> str:
            try:
                stack.enter_context(host.lock(name))
            except LockedError as error:
                if not announcements:
                    announcements.append(error.what)
                    say(f"{error.what} Waiting until that is done.")
                return error.what
            return ""

        try:
            until(f"The lock of {name}", holder, Deadline(clock, seconds))
        except DevenvError as error:
            raise LockedError(
                error.what, error.why, "Wait until it is done, then try again."
            ) from error
        yield
