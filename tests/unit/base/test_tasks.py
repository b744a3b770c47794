import threading
from graphlib import CycleError

import pytest

from devenv.base.tasks import Task, run_all


def test_each_task_runs_after_those_it_names():
    done = []
    run_all([
        Task("c", lambda: done.append("c"), predecessors=("a", "b")),
        Task("b", lambda: done.append("b"), predecessors=("a",)),
        Task("a", lambda: done.append("a")),
    ])  # fmt: skip
    assert done == ["a", "b", "c"]


def test_tasks_without_order_run_side_by_side():
    both = threading.Barrier(2, timeout=10)
    run_all([Task("a", both.wait), Task("b", both.wait)])


def test_a_lane_has_only_its_places():
    def overlaps(places):
        both = threading.Barrier(2)
        met = []

        def work():
            try:
                both.wait(timeout=0.3)
                met.append(True)
            except threading.BrokenBarrierError:
                both.reset()

        run_all([Task(n, work, lane="go") for n in "ab"], {"go": places})
        return bool(met)

    assert overlaps(2)
    assert not overlaps(1)


def test_what_could_start_starts_in_the_order_of_the_list():
    done = []
    run_all([Task(n, lambda n=n: done.append(n), lane="one") for n in "dbca"], {"one": 1})
    assert done == list("dbca")


def test_after_a_failure_nothing_more_starts_and_the_failure_is_raised():
    done, stopped = [], []

    def fail():
        raise ValueError("broken")

    tasks = [
        Task("bad", fail, lane="x"),
        Task("same lane", lambda: done.append(1), lane="x"),
        Task("next", lambda: done.append(2), predecessors=("bad",)),
    ]
    with pytest.raises(ValueError, match="broken"):
        run_all(tasks, {"x": 1}, on_failure=lambda: stopped.append(True))
    assert done == []
    assert stopped == [True]


def test_a_name_that_is_no_task_counts_as_done():
    done = []
    run_all([Task("a", lambda: done.append("a"), predecessors=("was there",))])
    assert done == ["a"]


def test_a_circle_is_refused():
    with pytest.raises(CycleError):
        run_all([Task("a", print, predecessors=("b",)), Task("b", print, predecessors=("a",))])
