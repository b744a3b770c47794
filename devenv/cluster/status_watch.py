"""`status --watch`: a cluster's status, read again and again."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from devenv.base.errors import DevenvError
from devenv.cluster.recent_events import RecentEvent, read_events
from devenv.cluster.route_watch import RouteHistory, RouteWatch
from devenv.cluster.status import Status, StatusReader

# Seconds from one reading to the next, and the greatest age of an event.
_PAUSE, _EVENT_AGE = 2.0, 3600.0


@dataclass(frozen=True)
class Reading:
    """What a watch has read at one moment."""

    # Seconds since 1970.
    time: float
    # The error if the engine did not answer, or if the cluster is not devenv's own.
    state: Status | DevenvError
    routes: Sequence[RouteHistory] = ()
    # Why no live requests could be sent, "" if they could.
    route_problem: str = ""
    events: Sequence[RecentEvent] = ()


@dataclass(frozen=True)
class StatusWatch:
    """Reads a cluster's status every 2 s, and its routes every 10 s."""

    reader: StatusReader
    routes: RouteWatch

    def readings(self, *, everything: bool) -> Iterator[Reading]:
        """Yield a reading every 2 s, without end: an engine that is gone may come back.

        With `everything`, readings have routes and events; otherwise no live request is sent.
        """
        if everything:
            self.routes.start()
        try:
            while True:
                yield self._read(everything=everything)
                self.reader.session.clock.sleep(_PAUSE)
        finally:
            self.routes.stop()

    def _read(self, *, everything: bool) -> Reading:
        session = self.reader.session
        time = session.clock.now()
        try:
            state = self.reader.read()
        except DevenvError as error:
            return Reading(time, error)
        if not everything or not state.components:
            return Reading(time, state)
        events: list[RecentEvent] = []
        # The components say that the API server does not answer.
        with suppress(DevenvError):
            events = read_events(session.kube, time - _EVENT_AGE)
        return Reading(time, state, self.routes.routes, self.routes.problem, events)
