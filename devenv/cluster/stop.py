"""`stop`: free the host's memory and CPUs for a while. `up` starts the cluster again as it was."""

from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.base.errors import DevenvError
from devenv.base.steps import step
from devenv.base.wait import locked
from devenv.install.context import is_control_plane
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.reporter import Reporter
from devenv.state.absence import no_cluster
from devenv.state.record import Records, own_nodes

# Seconds for what runs in a node to end; 3 to 5 are usual.
_END_SECONDS = 25
# Left to itself, a node waits for whatever ignores SIGTERM until Docker kills it, and etcd with it.
# So its containers end first, all at once, and then etcd, alone. The kubelet is stopped before, so
# that nothing starts them again. A shim ignores SIGTERM and is left with nothing to look after.
# Under cgroup v1, runc freezes what it starts for a moment. A process that stays frozen can't end,
# not even by SIGKILL, and Docker gives up on the node after 45 s ("did not receive an exit event").
_END = r"""
thaw() {
  find /sys/fs/cgroup/freezer/kube* -name freezer.state 2>/dev/null |
    while read -r state; do echo THAWED >"$state"; done
}
systemctl stop kubelet
thaw
store=$(crictl ps --quiet --name '^etcd$')
crictl ps --quiet | grep -vxF "${store:-none}" | xargs -r -P 32 -n 1 crictl stop --timeout 3
[ -z "$store" ] || crictl stop --timeout 20 $store
systemctl stop containerd
for process in /proc/[0-9]*; do
  case $(tr '\0' ' ' <"$process/cmdline") in
    *containerd-shim* | runc*) kill -KILL "${process#/proc/}" ;;
  esac
done
thaw
"""


@dataclass(frozen=True)
class Stop:
    """Stops one cluster's nodes: control planes last, so that they see the others end."""

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    reporter: Reporter

    def run(self, wait: float) -> list[Node]:
        """Stop the nodes that run and return them. `wait`: seconds for the lock.

        Raises DevenvError if the cluster does not exist.
        """
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            records = Records(self.host)
            nodes = own_nodes(records, self.engine, self.containers, self.cluster)
            if not nodes:
                raise no_cluster(self.cluster, records)
            stopped_nodes = [node for node in nodes if node.status != "exited"]
            for node in sorted(stopped_nodes, key=is_control_plane):
                self._stop(node)
            if stopped_nodes:
                stop_time = self.clock.now()
                records.update(self.cluster, lambda record: replace(record, stopped=stop_time))
            return stopped_nodes

    def _stop(self, node: Node) -> None:
        """End the processes in a node before the node: so they end in order."""
        with step(self.reporter, f"stop {node.name}"):
            if node.status == "paused":
                # A paused node does not receive the signal to stop.
                self.containers.start(node.name)
            self._end_processes(node)
            self.containers.stop(node.name)

    def _end_processes(self, node: Node) -> None:
        """End what runs in a node. If that fails, the engine stops the node all the same."""
        with suppress(DevenvError):
            argv = ["timeout", str(_END_SECONDS), "bash", "-c", _END]
            self.containers.exec(node.name, argv)
