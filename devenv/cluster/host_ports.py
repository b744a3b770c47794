"""The host's ports: who has one, and which is free for the gateway of a new cluster."""

from dataclasses import dataclass

from devenv import name_flag
from devenv.ports.containers import Containers, Node
from devenv.ports.host import Host
from devenv.state.ports import recorded_port
from devenv.state.record import Records

# Ports that are tried for a free one.
_TRIES = 100
_LAST_PORT = 65535


@dataclass(frozen=True)
class HostPorts:
    """Finds out who has a port, for one cluster. The cluster's own nodes do not count."""

    cluster: str
    host: Host
    containers: Containers
    records: Records

    def problem(self, port: int, *, exists: bool) -> str:
        """Say who has a port and what to do, "" if it is free.

        `exists`: whether the cluster exists, and so can't take another port.
        """
        if node := self._nodes().get(port):
            owner, way_out = f"the cluster {node.cluster}", self._way_to_stop(node)
        elif process := self.host.port_owner(port):
            owner, way_out = process, "Stop it"
        else:
            return ""
        if exists:
            return (
                f"Port {port} is taken by {owner}. {way_out}; an existing cluster keeps its port."
            )
        return f"Port {port} is taken by {owner}. {way_out}{self._offer(port)}."

    def _nodes(self) -> dict[int, Node]:
        """Return the node of another kind cluster that has a port, by the port."""
        nodes = {}
        for node in self.containers.nodes(""):
            if node.cluster != self.cluster:
                for _, host_port in node.ports:
                    nodes[host_port] = node
        return nodes

    def _way_to_stop(self, node: Node) -> str:
        """Say how to stop a node's cluster. What devenv did not create, it does not stop."""
        if node.cluster in self.records.names():
            return f"Stop it: `devenv stop{name_flag(node.cluster)}`"
        return f"Stop it: `docker stop {node.name}`"

    def _offer(self, port: int) -> str:
        """Offer the next free port as the end of a sentence, "" if none is near."""
        taken = {*self._nodes(), *map(recorded_port, self.records.all())}
        for candidate in range(port + 1, min(port + _TRIES, _LAST_PORT) + 1):
            if candidate not in taken and self.host.port_owner(candidate) is None:
                return f", or pass `--port {candidate}`, the next free one"
        return ""
