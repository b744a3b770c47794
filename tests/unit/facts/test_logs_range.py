"""Which lines of which runs of a container are read."""

import pytest

from devenv.facts.logs import LogRange, LogReader
from tests.unit.diagnosis.facts_builder import (
    REDIS,
    container_status,
    healthy_objects,
    healthy_profile,
)

COMPONENT = "redis"
# Run of the container → its lines, each with its time.
RUNS = {
    True: ["2026-01-01T00:00:01.5Z old 1", "2026-01-01T00:00:02Z old 2"],
    False: ["2026-01-01T00:00:03Z new 1", "2026-01-01T00:00:04.000000001Z new 2"],
}


class Kube:
    """The API server of a healthy cluster in which one container has restarted."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.objects = healthy_objects()
        container_status(self.objects, REDIS)["restartCount"] = 1

    def select(self, _api_version, kind):
        return self.objects[kind]

    def logs(self, _namespace, _pod, _container, since, tail, *, timestamps, previous):
        self.asked.append((since, tail, previous))
        return "\n".join(RUNS[previous][-tail:])

    def follow(self, _namespace, _pod, _container, since, tail):
        self.asked.append((since, tail))
        yield from RUNS[False]


@pytest.fixture
def kube():
    return Kube()


def texts(lines):
    return [line.text for line in lines]


def read(kube, log_range):
    return texts(LogReader(kube, healthy_profile()).read([COMPONENT], log_range))


def test_the_run_before_a_restart_comes_first(kube):
    assert read(kube, LogRange(600)) == ["old 1", "old 2", "new 1", "new 2"]
    assert [since for since, _, _ in kube.asked] == [600, 600]


def test_previous_is_only_the_run_before_a_restart(kube):
    assert read(kube, LogRange(previous=True)) == ["old 1", "old 2"]


@pytest.mark.parametrize(("tail", "lines"), [(1, ["new 2"]), (3, ["old 2", "new 1", "new 2"])])
def test_a_tail_counts_the_lines_of_both_runs(kube, tail, lines):
    assert read(kube, LogRange(tail=tail)) == lines
    assert [asked_tail for _, asked_tail, _ in kube.asked] == [tail, tail]


def test_lines_before_the_beginning_are_left_out(kube):
    # 2026-01-01T00:00:02Z
    begin = 1767225602.0
    assert read(kube, LogRange(600, begin)) == ["old 2", "new 1", "new 2"]
    assert read(kube, LogRange(600, begin + 2)) == ["new 2"]


def test_following_takes_the_same_limits(kube):
    begin = 1767225604.0
    reader = LogReader(kube, healthy_profile())
    lines = reader.follow([COMPONENT], LogRange(60, begin, tail=7))
    assert texts(lines) == ["new 2"]
    assert kube.asked == [(60, 7)]
