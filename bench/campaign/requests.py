"""Requests of users: devenv's own are told apart from them by their user agent."""

import dataclasses
from collections.abc import Iterable
from http import HTTPStatus

from devenv.adapters.gateway import HttpGateway
from devenv.base.errors import DevenvError
from devenv.facts.live import Extra, compose
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.model import LiveRequest, Route
from tests.cluster.lab import Lab

ROUTES = (Route.DIRECT, Route.EXTENSION, Route.PLAIN)
_MODEL = "llama2-7b"
# Seconds.
_TIMEOUT = 60.0
# Characters of an answer that are shown.
_LONGEST = 200


def ask(lab: Lab, route: Route, size: int = 0, delay: float = 0.0) -> HttpAnswer:
    """Ask the model as a user would. `size`: bytes of the question; `delay`: of the answer."""
    live = LiveRequest(route=route, model=_MODEL)
    request = compose(live, lab.port, _TIMEOUT, extra=Extra(size, delay)).http
    headers = {**request.headers, "user-agent": "campaign"}
    return HttpGateway().send(dataclasses.replace(request, headers=headers))


def expect(answers: Iterable[HttpAnswer], status: int = HTTPStatus.OK) -> None:
    """Raise DevenvError if an answer has another status."""
    for answer in answers:
        if answer.status != status:
            what = f"A user's request was answered with {answer.status}, not {status}."
            raise DevenvError(what, answer.error or answer.body[:_LONGEST])
