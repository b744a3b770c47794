"""A series on fakes: what is counted, how long it runs, and what an interrupt leaves."""

from collections import Counter
from threading import Event, Lock

import pytest

from devenv.data import root
from devenv.gates.live import Prober
from devenv.gates.series import Series, failure_reason
from devenv.gates.single import Question, requests_by_all_routes
from devenv.ports.gateway import HttpAnswer, Obstacle
from devenv.profiles.load import load
from devenv.profiles.model import Route
from tests.fakes.world import SharedClock

REACHED = {"x-went-into-req-headers": "true"}
CHOSEN = {**REACHED, "target-pod": "mock-1"}
PROMPT = "who are you"
THREE = (Route.DIRECT, Route.EXTENSION, Route.PLAIN)


class Lab:
    """A series on fakes."""

    def __init__(self, fakes):
        self.fakes = fakes
        self.profile = load("offline", root() / "profiles")
        self.prober = Prober(fakes.kube, fakes.gateway, fakes.clock, self.profile)

    def run(self, concurrency=1, seconds=3, prompt=""):
        requests = requests_by_all_routes(self.profile, Question())
        clock = SharedClock(len(requests) * concurrency)
        series = Series(self.prober, clock, self.fakes.reporter)
        return series.run(requests, concurrency, seconds, 5.0, prompt)


@pytest.fixture
def lab(fakes):
    return Lab(fakes)


def test_all_routes_are_asked_until_the_end(lab):
    result = lab.run()
    assert [route.route for route in result.routes] == list(THREE)
    (total,) = {route.total for route in result.routes}
    assert total > 1
    assert (result.ok, result.failed, result.unfinished, result.failures) == (True, 0, 0, ())
    assert {route.median for route in result.routes} == {0.01}
    assert {route.slowest for route in result.routes} == {0.01}
    assert result.total == sum(route.total for route in result.routes)
    assert result.duration >= 3
    assert not result.is_interrupted


def test_a_route_that_fails_is_counted_by_its_reason(lab):
    lab.fakes.gateway.broken = {"plain"}
    result = lab.run()
    direct, extension, plain = result.routes
    assert (direct.failed, extension.failed, plain.failed) == (0, 0, plain.total)
    assert [direct.is_failing, extension.is_failing, plain.is_failing] == [False, False, True]
    assert (plain.median, plain.slowest) == (None, None)
    (failure,) = result.failures
    assert (failure.route, failure.reason, failure.count) == (Route.PLAIN, "503", plain.total)
    assert 0 <= failure.first < failure.last <= result.duration
    assert result.is_failing
    assert not result.ok


def test_a_failure_that_is_over_still_counts(lab, monkeypatch):
    send, sent, lock = lab.fakes.gateway.send, Counter(), Lock()

    def fail_first(request):
        agent = request.headers["user-agent"].split("/")[1]
        with lock:
            sent[agent] += 1
            is_first = sent[agent] == 1
        if is_first:
            return HttpAnswer(0, error="connection refused", obstacle=Obstacle.REFUSED)
        return send(request)

    monkeypatch.setattr(lab.fakes.gateway, "send", fail_first)
    result = lab.run()
    assert [(failure.route, failure.count) for failure in result.failures] == [
        (route, 1) for route in THREE
    ]
    assert {failure.reason for failure in result.failures} == {"refused"}
    assert (result.is_failing, result.ok) == (False, False)


def test_so_many_requests_run_at_the_same_time_on_each_route(lab, monkeypatch):
    send, under_way, most, lock = lab.fakes.gateway.send, Counter(), Counter(), Lock()
    full = {route: Event() for route in THREE}

    def count(request):
        route = request.headers["user-agent"].split("/")[1]
        with lock:
            under_way[route] += 1
            most[route] = max(most[route], under_way[route])
            if under_way[route] == 4:
                full[route].set()
        full[route].wait(10)
        with lock:
            under_way[route] -= 1
        return send(request)

    monkeypatch.setattr(lab.fakes.gateway, "send", count)
    assert lab.run(concurrency=4).concurrency == 4
    assert most == dict.fromkeys(THREE, 4)


def test_an_interrupt_ends_it_with_the_counts_so_far(lab, monkeypatch):
    send, release = lab.fakes.gateway.send, Event()

    def hang(request):
        if "model" in request.headers:
            release.wait(10)
        return send(request)

    def interrupt(step, text):
        if text.partition(" ")[0] != "0":
            raise KeyboardInterrupt

    monkeypatch.setattr(lab.fakes.gateway, "send", hang)
    monkeypatch.setattr(lab.fakes.reporter, "detail", interrupt)
    result = lab.run(seconds=1e9)
    release.set()
    assert result.is_interrupted
    assert result.routes[0].total == 0
    assert result.total > 0
    assert result.unfinished >= 1
    assert [entry for entry in lab.fakes.log if "fail" in entry] == [
        "fail requests for 1000000000 s"
    ]


def test_the_prompt_is_asked(lab, monkeypatch):
    send, bodies = lab.fakes.gateway.send, set()
    monkeypatch.setattr(lab.fakes.gateway, "send", lambda http: bodies.add(http.body) or send(http))
    lab.run(prompt=PROMPT)
    assert bodies
    assert all(PROMPT.encode() in body for body in bodies)


@pytest.mark.parametrize(
    ("route", "answer", "reason"),
    [
        (Route.DIRECT, HttpAnswer(200), ""),
        (Route.MODELS, HttpAnswer(200), ""),
        (Route.PLAIN, HttpAnswer(200, REACHED), ""),
        (Route.PLAIN, HttpAnswer(200), "plugin"),
        (Route.EXTENSION, HttpAnswer(200, CHOSEN), ""),
        (Route.EXTENSION, HttpAnswer(200, REACHED), "plugin"),
        (Route.EXTENSION, HttpAnswer(500, CHOSEN), "500"),
        (Route.DIRECT, HttpAnswer(0, obstacle=Obstacle.TIMEOUT), "timeout"),
        (Route.DIRECT, HttpAnswer(0), "other"),
        (Route.DIRECT, HttpAnswer(0, sent=False), "unsent"),
    ],
)
def test_reasons(route, answer, reason):
    assert failure_reason(route, answer) == reason
