"""A series: requests that are kept going for a while, counted by route and by how they fail."""

from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from statistics import median
from threading import Event, Lock, Thread

from devenv.base.counting import counted
from devenv.base.steps import step
from devenv.base.wait import Deadline
from devenv.facts.answers import readable_text
from devenv.facts.live import EXCERPT, plugin_failure
from devenv.gates.live import Prober
from devenv.ports.clock import Clock
from devenv.ports.gateway import HttpAnswer, Obstacle
from devenv.ports.reporter import Reporter
from devenv.profiles.model import LiveRequest, Route

# Sends a request, and returns its answer.
Send = Callable[[LiveRequest], HttpAnswer]
# Seconds from one request of a sender to its next: fast ones are no load for a machine of two
# cores, and while nothing answers, the count of failures tells how long.
_PACE = 0.1
# Seconds between two looks at the progress, and the time that the last requests get at the end
# besides their timeout.
_LOOK, _GRACE = 0.2, 5.0
# Reasons that are neither a status nor an obstacle.
_NOT_SENT, _PLUGIN = "unsent", "plugin"


@dataclass(frozen=True)
class FailureCount:
    """How often requests by one route failed for one reason.

    `reason` is an HTTP status, the value of an Obstacle, "unsent", or "plugin" for a good answer
    that gateway-plugins had no part in. `first` and `last` are in seconds since the series began.
    """

    route: Route
    reason: str
    count: int
    first: float
    last: float
    # What the first one said.
    message: str


@dataclass(frozen=True)
class RouteCount:
    """What became of the requests by one route. Times are those of good answers, in seconds."""

    route: Route
    total: int
    failed: int
    # None without a good answer.
    median: float | None
    slowest: float | None
    # Whether the last answer was a failure.
    is_failing: bool


@dataclass(frozen=True)
class SeriesResult:
    """A series that has ended."""

    # Seconds.
    duration: float
    # Requests that went on at the same time on each route.
    concurrency: int
    routes: tuple[RouteCount, ...]
    failures: tuple[FailureCount, ...]
    # Requests without an answer when the series ended.
    unfinished: int
    is_interrupted: bool = False

    @property
    def total(self) -> int:
        """All requests that were answered or failed."""
        return sum(route.total for route in self.routes)

    @property
    def failed(self) -> int:
        """The requests that failed."""
        return sum(route.failed for route in self.routes)

    @property
    def ok(self) -> bool:
        """Whether requests were sent, and all of them succeeded."""
        return self.total > 0 and not self.failed and not self.unfinished

    @property
    def is_failing(self) -> bool:
        """Whether requests by a route failed to the end."""
        return any(route.is_failing for route in self.routes)


@dataclass
class _Failures:
    count: int
    first: float
    last: float
    message: str


@dataclass
class _RouteTally:
    """Counts the requests by one route."""

    route: Route
    total: int = 0
    is_failing: bool = False
    # Seconds of each good answer.
    times: "array[float]" = field(default_factory=lambda: array("d"))
    by_reason: dict[str, _Failures] = field(default_factory=dict)

    def note(self, answer: HttpAnswer, moment: float) -> None:
        """Count an answer. `moment` is in seconds since the series began."""
        self.total += 1
        reason = failure_reason(self.route, answer)
        self.is_failing = bool(reason)
        if not reason:
            self.times.append(answer.seconds)
            return
        first_of_it = _Failures(0, moment, moment, _message(self.route, answer))
        failures = self.by_reason.setdefault(reason, first_of_it)
        failures.count += 1
        failures.last = moment

    @property
    def failed(self) -> int:
        return self.total - len(self.times)

    @property
    def result(self) -> RouteCount:
        return RouteCount(
            route=self.route,
            total=self.total,
            failed=self.failed,
            median=median(self.times) if self.times else None,
            slowest=max(self.times, default=None),
            is_failing=self.is_failing,
        )

    @property
    def failures(self) -> list[FailureCount]:
        return [
            FailureCount(
                self.route, reason, failures.count, failures.first, failures.last, failures.message
            )
            for reason, failures in self.by_reason.items()
        ]


class _Tally:
    """Counts the requests of all senders, which run in parallel."""

    def __init__(self, routes: Sequence[Route], clock: Clock) -> None:
        self._by_route = {route: _RouteTally(route) for route in routes}
        self._clock, self._began = clock, clock.monotonic()
        self._lock = Lock()
        self._begun = 0

    def begin(self) -> None:
        """Count a request that is about to be sent."""
        with self._lock:
            self._begun += 1

    def note(self, route: Route, answer: HttpAnswer) -> None:
        """Count an answer that has just come."""
        with self._lock:
            self._by_route[route].note(answer, self._clock.monotonic() - self._began)

    @property
    def in_words(self) -> str:
        """How many requests were answered so far, and how many of them failed."""
        with self._lock:
            total = sum(tally.total for tally in self._by_route.values())
            failed = sum(tally.failed for tally in self._by_route.values())
        return f"{counted(total, 'request')}, {failed} failed"

    def result(self, concurrency: int, *, is_interrupted: bool) -> SeriesResult:
        """Return what was counted so far."""
        with self._lock:
            routes = tuple(tally.result for tally in self._by_route.values())
            failures: list[FailureCount] = []
            for tally in self._by_route.values():
                failures += tally.failures
            total = sum(route.total for route in routes)
            return SeriesResult(
                duration=self._clock.monotonic() - self._began,
                concurrency=concurrency,
                routes=routes,
                failures=tuple(failures),
                unfinished=self._begun - total,
                is_interrupted=is_interrupted,
            )


@dataclass(frozen=True)
class Series:
    """Keeps requests going."""

    prober: Prober
    clock: Clock
    reporter: Reporter

    def run(
        self,
        requests: Sequence[LiveRequest],
        concurrency: int,
        seconds: float,
        timeout: float,
        prompt: str = "",
    ) -> SeriesResult:
        """Send requests for so many seconds: of each one, `concurrency` at the same time.

        Each request has a route of its own. `timeout` is that of one request, in seconds. An
        interrupt ends the series at once, and its result says so.
        """

        def send(live: LiveRequest) -> HttpAnswer:
            return self.prober.send(live, timeout, prompt)

        tally = _Tally([live.route for live in requests], self.clock)
        deadline = Deadline(self.clock, seconds)
        stopped = Event()
        # Daemons: an interrupted command does not wait for answers.
        senders = [
            Thread(
                target=self._keep_sending, args=(live, send, tally, deadline, stopped), daemon=True
            )
            for live in [*requests] * concurrency
        ]
        is_interrupted = True
        name = f"requests for {seconds:.0f} s"
        with suppress(KeyboardInterrupt), step(self.reporter, name):
            for sender in senders:
                sender.start()
            self._wait_for(senders, name, tally, Deadline(self.clock, seconds + timeout + _GRACE))
            is_interrupted = False
        stopped.set()
        return tally.result(concurrency, is_interrupted=is_interrupted)

    def _keep_sending(
        self, live: LiveRequest, send: Send, tally: _Tally, deadline: Deadline, stopped: Event
    ) -> None:
        """Send one request after the other until the deadline, or until the series is stopped."""
        while deadline.left() > 0 and not stopped.is_set():
            began = self.clock.monotonic()
            tally.begin()
            tally.note(live.route, send(live))
            pause = max(0.0, began + _PACE - self.clock.monotonic())
            self.clock.sleep(min(pause, deadline.left()))

    def _wait_for(
        self, senders: Sequence[Thread], name: str, tally: _Tally, deadline: Deadline
    ) -> None:
        """Wait until all senders have ended, and show the counts meanwhile."""
        for sender in senders:
            while sender.is_alive() and deadline.left() > 0:
                sender.join(_LOOK)
                self.reporter.detail(name, tally.in_words)


def failure_reason(route: Route, answer: HttpAnswer) -> str:
    """Return the reason for which a request failed, "" if it did not: see FailureCount."""
    if not answer.sent:
        return _NOT_SENT
    if not answer.status:
        return (answer.obstacle or Obstacle.OTHER).value
    if answer.status != HTTPStatus.OK:
        return str(answer.status)
    return _PLUGIN if plugin_failure(route, answer) else ""


def _message(route: Route, answer: HttpAnswer) -> str:
    if answer.status == HTTPStatus.OK:
        return plugin_failure(route, answer)
    return answer.error or " ".join(readable_text(answer).split())[:EXCERPT]
