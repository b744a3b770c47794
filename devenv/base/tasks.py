"""Runs tasks side by side, each as soon as its predecessors are done."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter

from devenv.ports.names import Names


@dataclass(frozen=True)
class Task:
    """A piece of work."""

    name: str
    run: Callable[[], None]
    # The names of the tasks that must be done before this one starts.
    predecessors: Names = ()
    # How many tasks of one lane may run at once can be limited.
    lane: str = ""


def run_all(
    tasks: Iterable[Task],
    places: Mapping[str, int] | None = None,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Run the tasks, and return once all are done.

    If one fails, start no more, call `on_failure` once, wait for those that run, and raise what the
    task raised.

    `places` says how many tasks of a lane may run at once; a lane that is not named has no limit.
    Of the tasks that could start, the first of the list starts first. A predecessor that is not
    among the tasks counts as done. Raises graphlib.CycleError if the tasks form a cycle.
    """
    queue = _Queue(tasks, places or {})
    with ThreadPoolExecutor(max_workers=max(1, len(queue))) as pool:
        try:
            while queue.is_active():
                queue.start_tasks(pool)
                queue.await_any()
        except BaseException:
            on_failure()
            raise


class _Queue:
    """The tasks that wait for their predecessors or for a place, and those that run."""

    def __init__(self, tasks: Iterable[Task], places: Mapping[str, int]) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._places = places
        self._ranks = {name: rank for rank, name in enumerate(self._tasks)}
        self._order: TopologicalSorter[str] = TopologicalSorter()
        for task in self._tasks.values():
            self._order.add(task.name, *filter(self._tasks.__contains__, task.predecessors))
        self._order.prepare()
        # Tasks whose predecessors are done, in the order of the list.
        self._ready: list[Task] = []
        self._running: dict[Future[None], Task] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def is_active(self) -> bool:
        """Whether there is a task that is not done."""
        return self._order.is_active()

    def start_tasks(self, pool: Executor) -> None:
        """Start every ready task whose lane has a place."""
        newly_ready = [self._tasks[name] for name in self._order.get_ready()]
        self._ready = sorted([*self._ready, *newly_ready], key=self._rank)
        used_places = Counter(task.lane for task in self._running.values())
        for task in list(self._ready):
            limit = self._places.get(task.lane)
            if limit is None or used_places[task.lane] < limit:
                used_places[task.lane] += 1
                self._ready.remove(task)
                self._running[pool.submit(task.run)] = task

    def _rank(self, task: Task) -> int:
        return self._ranks[task.name]

    def await_any(self) -> None:
        """Wait until at least one task is done. Raises what it raised."""
        for future in wait(self._running, return_when=FIRST_COMPLETED).done:
            task = self._running.pop(future)
            future.result()
            self._order.done(task.name)
