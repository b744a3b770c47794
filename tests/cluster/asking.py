"""Clients that ask a gateway on every route at once, for some time, as a developer's own would."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

from devenv.adapters.gateway import HttpGateway
from devenv.facts.live import compose
from devenv.profiles.model import LiveRequest, Route

MODEL = "llama2-7b"
# Seconds between two requests on a route: on two cores the asking must not be the load.
_PAUSE = 0.1


# (route, status, reason) → how often it was seen; the reason of a 200 is empty.
Seen = Counter[tuple[str, int, str]]
ROUTES = ("direct", "extension", "plain")


@contextlib.contextmanager
def asking(port: int, routes: Iterable[str] = ROUTES) -> Iterator[Seen]:
    """Ask on these routes for as long as the context lasts."""
    seen: Seen = Counter()
    stop = threading.Event()

    def client(route: str) -> None:
        live = LiveRequest(route=Route(route), model=MODEL)
        while not stop.is_set():
            answer = HttpGateway().send(compose(live, port).http)
            reason = "" if answer.status == 200 else answer.error or answer.body[:80]
            seen[route, answer.status, reason] += 1
            stop.wait(_PAUSE)

    clients = [threading.Thread(target=client, args=[route], daemon=True) for route in routes]
    for one in clients:
        one.start()
    try:
        yield seen
    finally:
        stop.set()
        for one in clients:
            one.join(30)


def ask(port: int, seconds: float, routes: Iterable[str] = ROUTES) -> Seen:
    """Ask on these routes for so long."""
    with asking(port, routes) as seen:
        threading.Event().wait(seconds)
    assert {route for route, _, _ in seen} == set(routes)
    return seen


def failures(seen: Seen) -> dict[tuple[str, int, str], int]:
    """Return what was seen besides 200."""
    return {key: count for key, count in seen.items() if key[1] != 200}
