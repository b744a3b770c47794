"""Runs tasks side by side, each as soon as those that it comes after are done."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Task:
    """A piece of work. Tasks of one lane share the places that the lane has."""

    name: str
    run: Callable[[], None]
    after: tuple[str, ...] = ()
    lane: str = ""


def run_all(
    tasks: Iterable[Task],
    places: Mapping[str, int] | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Run the tasks; where one fails, start no more, call `on_failure` once, wait for the others, raise what it raised.

    `places` says how many tasks of a lane may run at once; a lane not named has no limit. Among those that could
    start, the first in the list does. A name in `after` that is no task's is taken as done. Raises
    graphlib.CycleError for a cycle.
    """
    by_name = {task.name: task for task in tasks}
    order = TopologicalSorter({n: [a for a in t.after if a in by_name] for n, t in by_name.items()})
    order.prepare()
    ranks = {name: rank for rank, name in enumerate(by_name)}
    waiting: list[str] = []
    running: dict[Future[None], Task] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(by_name))) as pool:
        try:
            while order.is_active():
                waiting = sorted([*waiting, *order.get_ready()], key=ranks.__getitem__)
                for task in _startable(
                    [by_name[n] for n in waiting], running.values(), places or {}
                ):
                    waiting.remove(task.name)
                    running[pool.submit(task.run)] = task
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    future.result()
                    order.done(task.name)
        except BaseException:
            on_failure()
            raise


def _startable(
    waiting: list[Task], running: Iterable[Task], places: Mapping[str, int]
) -> list[Task]:
    taken = Counter(task.lane for task in running)
    chosen = []
    for task in waiting:
        if taken[task.lane] < places.get(task.lane, len(waiting) + taken[task.lane]):
            taken[task.lane] += 1
            chosen.append(task)
    return chosen
