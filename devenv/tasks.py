"""Runs tasks side by side, each as soon as those that it comes after are done."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from threading import Semaphore


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

    `places` says how many tasks of a lane may run at once; a lane not named has no limit.
    A name in `after` that is no task's is taken as done. Raises graphlib.CycleError for a cycle.
    """
    by_name = {task.name: task for task in tasks}
    order = TopologicalSorter({n: [a for a in t.after if a in by_name] for n, t in by_name.items()})
    order.prepare()
    lanes = {lane: Semaphore(count) for lane, count in (places or {}).items()}
    running: dict[Future[None], str] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(max_workers=max(1, len(by_name))) as pool:
        try:
            while order.is_active() and (failure is None or running):
                for name in order.get_ready() if failure is None else ():
                    running[pool.submit(_in_lane, by_name[name], lanes)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    order.done(running.pop(future))
                    if failure is None and (failure := future.exception()):
                        _abandon(running, on_failure)
        except BaseException:
            _abandon(running, on_failure)
            raise
    if failure:
        raise failure


def _abandon(running: Iterable[Future[None]], on_failure: Callable[[], None]) -> None:
    for future in running:
        future.cancel()
    on_failure()


def _in_lane(task: Task, lanes: Mapping[str, Semaphore]) -> None:
    lane = lanes.get(task.lane)
    if lane is None:
        task.run()
        return
    with lane:
        task.run()
