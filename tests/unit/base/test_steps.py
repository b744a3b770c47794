"""Steps say what they wait for."""

import threading

import pytest

from devenv.base.steps import Arrivals, step
from devenv.base.wait import Deadline, until
from tests.fakes.world import FakeClock, FakeReporter


class Reporter(FakeReporter):
    """Keeps the details, each once."""

    def __init__(self) -> None:
        super().__init__([])
        self.details: list[str] = []

    def detail(self, step: str, text: str) -> None:
        if [*self.details[-1:]] != [f"{step}|{text}"]:
            self.details.append(f"{step}|{text}")


@pytest.fixture
def reporter():
    return Reporter()


def wait(what, *answers):
    left = iter([*answers, ""])
    until(what, lambda: next(left), Deadline(FakeClock(), 60))


def test_a_step_says_what_each_wait_in_it_lacks(reporter, check_message):
    with step(reporter, "redis"):
        wait("redis (Deployment a/redis)", "0 of 1 replicas", "0 of 1 replicas", "a\nb")
        wait("The API server", "an answer from it")
    assert [detail.endswith("|") for detail in reporter.details] == [
        False,
        False,
        True,
        False,
        True,
    ]
    check_message("\n".join(reporter.details))


def test_the_innermost_step_has_the_wait_and_the_outer_one_the_next(reporter):
    with step(reporter, "outer"):
        with step(reporter, "inner"):
            wait("it", "this")
        wait("it", "that")
    assert [detail.partition("|")[0] for detail in reporter.details] == ["inner"] * 2 + [
        "outer"
    ] * 2


def test_a_wait_outside_of_steps_is_shown_nowhere(reporter):
    with step(reporter, "before"):
        pass
    wait("it", "this")
    assert reporter.details == []


def test_a_step_that_waits_for_images_names_them(reporter, check_message):
    arrivals = Arrivals()
    timer = threading.Timer(0.05, arrivals.arrive, ["docker.io/library/redis:latest"])
    timer.start()
    with step(reporter, "apply redis"):
        arrivals.wait_for({"docker.io/library/redis:latest"}, 60)
    check_message("\n".join(reporter.details))
