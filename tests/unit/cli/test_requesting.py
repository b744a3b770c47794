"""What `request` prints and exits with, on fakes, and when it asks doctor."""

import json
from types import SimpleNamespace

import pytest

from devenv import data, wiring
from devenv.base.errors import Exit
from devenv.cli.request import COMMAND
from devenv.gates.live import Prober
from devenv.gates.series import Series
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.load import load
from devenv.ui import console
from tests.fakes.world import SharedClock
from tests.unit.diagnosis.facts_builder import healthy_facts

# What the fake gateway says on a broken route.
UNHEALTHY = "no healthy upstream"
UNKNOWN_STRATEGY = HttpAnswer(400, {"x-error-routing": "true"}, "incorrect routing strategy x")


class World:
    """The world on fakes. `looks` counts the diagnoses; a series has so many `senders`."""

    def __init__(self, fakes):
        self.fakes, self.looks, self.senders = fakes, 0, 3
        self.reporter = SimpleNamespace(close=lambda: None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def profile_of(self, cluster, profile):
        return load("offline", data.root() / "profiles")

    def own(self, cluster):
        return self.fakes.kube

    def prober(self, cluster, profile):
        return Prober(self.fakes.kube, self.fakes.gateway, self.fakes.clock, profile)

    def series(self, cluster, profile):
        clock = SharedClock(self.senders)
        return Series(self.prober(cluster, profile), clock, self.fakes.reporter)

    def facts(self, cluster, profile, seconds):
        self.looks += 1
        return healthy_facts()


@pytest.fixture
def world(fakes, monkeypatch):
    instance = World(fakes)
    monkeypatch.setattr(wiring, "world", lambda: instance)
    monkeypatch.setattr(console, "_is_diverted", False)
    return instance


def request(*args):
    return COMMAND.main(list(args), standalone_mode=False)


def result_of(capsys):
    return json.loads(capsys.readouterr().out)["result"]


def test_a_proven_request_needs_no_doctor(world, capsys):
    assert request("hello", "-o", "json") == Exit.OK
    result = result_of(capsys)
    assert (result["ok"], result["diagnosis"], world.looks) == (True, None, 0)


def test_a_failing_request_ends_with_what_doctor_says(world, capsys):
    world.fakes.gateway.broken = {"extension"}
    assert request() == Exit.FAILED
    *_, last_line = capsys.readouterr().out.splitlines()
    assert "3 of 3" in last_line
    assert request("-o", "json") == Exit.FAILED
    assert result_of(capsys)["diagnosis"]["healthy"]
    assert world.looks == 2


@pytest.mark.parametrize(
    ("answer", "looks"),
    [(UNKNOWN_STRATEGY, 0), (HttpAnswer(401, {}, "no key"), 0), (HttpAnswer(400), 1)],
)
def test_a_request_that_is_to_blame_itself_needs_no_doctor(
    world, monkeypatch, capsys, answer, looks
):
    monkeypatch.setattr(world.fakes.gateway, "send", lambda http: answer)
    assert request("-o", "json") == Exit.FAILED
    result = result_of(capsys)
    assert bool(result["hints"]) is not bool(looks)
    assert world.looks == looks


@pytest.mark.parametrize(
    ("broken", "body", "proof", "code"),
    [
        ((), '{"content": "hello (pod mock-1)"}', "mock-1", Exit.OK),
        (("extension",), UNHEALTHY, "3 of 3", Exit.FAILED),
    ],
)
def test_the_raw_answer_is_alone_on_standard_output(world, capfdbinary, broken, body, proof, code):
    world.fakes.gateway.broken = set(broken)
    assert request("--raw") == code
    out, err = capfdbinary.readouterr()
    assert out.decode() == f"{body}\n"
    assert proof in err.decode()


def test_a_series_without_a_failure(world, capsys):
    assert request("--for", "2s", "-o", "json") == Exit.OK
    result = result_of(capsys)
    assert [route["route"] for route in result["routes"]] == ["direct", "extension", "plain"]
    assert (result["ok"], result["diagnosis"], world.looks) == (True, None, 0)


def test_a_series_by_one_route(world, capsys):
    world.senders = 1
    request("--for", "2s", "--route", "plain", "-o", "json")
    assert [route["route"] for route in result_of(capsys)["routes"]] == ["plain"]


def test_a_series_that_fails_to_the_end_asks_doctor(world, capsys):
    world.fakes.gateway.broken = {"plain"}
    assert request("--for", "2s", "-o", "json") == Exit.FAILED
    result = result_of(capsys)
    assert [failure["reason"] for failure in result["failures"]] == ["503"]
    assert result["diagnosis"]["healthy"]


@pytest.mark.parametrize("args", [(), ("--for", "2s")])
def test_doctor_can_be_left_out(world, capsys, args):
    world.fakes.gateway.broken = {"extension"}
    assert request(*args, "--no-doctor", "-o", "json") == Exit.FAILED
    assert (result_of(capsys)["diagnosis"], world.looks) == (None, 0)


def test_an_interrupted_series_prints_its_counts(world, capsys, monkeypatch):
    def interrupt(step, text):
        if text.partition(" ")[0] != "0":
            raise KeyboardInterrupt

    world.fakes.gateway.broken = {"plain"}
    monkeypatch.setattr(world.fakes.reporter, "detail", interrupt)
    assert request("--for", "9999h", "-o", "json") == Exit.INTERRUPTED
    result = result_of(capsys)
    assert result["interrupted"]
    assert result["total"] > 0
    assert world.looks == 0
