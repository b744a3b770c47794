"""Feeds the same bytes to a program in each of several nodes, while the bytes come."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import TypeAlias

from devenv.ports.containers import Containers
from devenv.ports.processes import Completed, ResultsByNode

# Chunks of 1 MiB that a node may be behind the engine.
_AHEAD = 16


# Chunks on their way to a node; None ends the stream.
_Chunks: TypeAlias = "Queue[bytes | None]"


class NodeStreams:
    """The same program in each of several nodes, all fed with the same bytes as they come."""

    def __init__(self, containers: Containers, nodes: Sequence[str], argv: Sequence[str]) -> None:
        self._queues: dict[str, _Chunks] = {node: Queue(_AHEAD) for node in nodes}
        # Nodes whose program has ended.
        self._ended_nodes: set[str] = set()
        self._is_complete = False
        self._containers = containers
        self._argv = list(argv)
        self._pool = ThreadPoolExecutor(max(len(nodes), 1))
        self._futures = {node: self._pool.submit(self._run, node) for node in nodes}

    def _run(self, node: str) -> Completed:
        """Run the program in one node, until it ends or the stream does."""
        queue = self._queues[node]
        try:
            return self._containers.exec(node, self._argv, stdin=_until_none(queue))
        finally:
            self._ended_nodes.add(node)
            # Empty the queue, so that `put` does not wait for a node that has given up.
            while queue.get() is not None:
                pass

    def put(self, chunk: bytes) -> bool:
        """Pass a chunk on. Return whether any node still takes chunks."""
        for node, queue in self._queues.items():
            if node not in self._ended_nodes and not self._is_complete:
                queue.put(chunk)
        return len(self._ended_nodes) < len(self._queues)

    def end(self) -> ResultsByNode:
        """Tell the programs that the stream is complete, and return how each ended."""
        self._is_complete = True
        for queue in self._queues.values():
            queue.put(None)
        self._pool.shutdown()
        return {node: future.result() for node, future in self._futures.items()}


def _until_none(queue: _Chunks) -> Iterator[bytes]:
    """Yield a queue's chunks up to the None that ends the stream."""
    while (chunk := queue.get()) is not None:
        yield chunk
    # `_run` empties the queue afterwards, up to the next None.
    queue.put(None)
