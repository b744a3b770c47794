"""Clients that ask a gateway on every route at once, for some time, as a developer's own would."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

from devenv.adapters.gateway import HttpGateway
from devenv.facts.live import compose
from devenv.profiles.model import LiveRequest, Route

MODEL = "llama2-7b"
_PAUSE = (
    0.1  # seconds between two requests on a route: on two cores the asking must not be the load
)


def ask(
    port: int, seconds: float, routes: Iterable[str] = ("direct", "extension", "plain")
) -> Counter[tuple[str, int, str]]:
    """Ask for so long; return how often each (route, status, reason) was seen. The reason of a 200 is empty."""
    seen: Counter[tuple[str, int, str]] = Counter()
    end = time.monotonic() + seconds
    paced = threading.Event()

    def client(route: str) -> None:
        live = LiveRequest(route=Route(route), model=MODEL)
        while time.monotonic() < end:
            answer = HttpGateway().send(compose(live, port).http)
            seen[
                route,
                answer.status,
                "" if answer.status == 200 else answer.error or answer.body[:80],
            ] += 1
            paced.wait(_PAUSE)

    clients = [threading.Thread(target=client, args=[route], daemon=True) for route in routes]
    for one in clients:
        one.start()
    for one in clients:
        one.join(seconds + 30)
    assert {route for route, _, _ in seen} == set(routes)
    return seen


def failures(seen: Counter[tuple[str, int, str]]) -> dict[tuple[str, int, str], int]:
    """Return what was seen besides 200."""
    return {key: count for key, count in seen.items() if key[1] != 200}
