"""Nodes that end while `up` runs."""

from contextlib import suppress
from dataclasses import dataclass

from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.wait import Deadline, until
from devenv.install.context import Context, node_names, running_nodes
from devenv.ports.containers import Node

_ENDED = {"exited", "dead"}
# Seconds in which an engine notices that a container has ended.
_NOTICED = 5.0


def has_ended(node: Node) -> bool:
    """Whether nothing of the node runs any more."""
    return node.status in _ENDED


@dataclass(frozen=True)
class EndedNodes:
    """Finds out whether a step failed because a node has ended."""

    context: Context

    def blame(self, start_time: float, error: DevenvError) -> None:
        """Raise another error if a node has ended since `start_time`: that is why the task failed.

        `start_time`: in seconds since 1970.
        """
        ended_nodes: list[str] = []
        # An engine that does not answer keeps the first error.
        with suppress(DevenvError):
            ended_nodes = self._nodes_ended_since(start_time)
        if not ended_nodes:
            return
        names = ", ".join(ended_nodes)
        reasons = filter(None, (error.what, error.why))
        raise DevenvError(
            f"The node {names} ended while `devenv up` was running.",
            "\n".join(reasons),
            f"`docker logs --tail 20 {ended_nodes[0]}` shows its last output;"
            " `devenv up` resumes from there.",
        ) from error

    def _nodes_ended_since(self, start_time: float) -> list[str]:
        """Return the names of nodes that ended. One that no longer answers is about to."""
        context = self.context
        nodes = context.nodes()
        if any(map(self._is_unresponsive, running_nodes(nodes))):
            nodes = self._await_ended_node()
        state = context.containers.state
        ended_nodes = node_names(filter(has_ended, nodes))
        return [name for name in ended_nodes if state(name).ended >= start_time]

    def _is_unresponsive(self, node: Node) -> bool:
        """Whether a node that is said to run can't run anything."""
        try:
            result = self.context.containers.exec(node.name, ["true"])
        except NotReachableError:
            # The engine does not answer, which says nothing of the node.
            raise
        except DevenvError:
            return True
        return result.failed

    def _await_ended_node(self) -> list[Node]:
        """Return the nodes once one has ended: the engine notices that later than its programs."""
        deadline = Deadline(self.context.clock.unstopped, _NOTICED)

        def missing_end() -> str:
            has_one_ended = any(map(has_ended, self.context.nodes()))
            return "" if has_one_ended else "it"

        until("The end of a node", missing_end, deadline)
        return self.context.nodes()
