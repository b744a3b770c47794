"""`stop`: gives the laptop back over lunch; `up` starts the cluster again as it was."""

from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.errors import DevenvError
from devenv.lifecycle.record import Records, own_nodes
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Containers, Engine, Host, Node, Reporter
from devenv.wait import locked

# Seconds for what runs in a node to end; 3 to 5 are usual.
_SECONDS = 25
# Left to itself, a node waits for whatever ignores SIGTERM until Docker kills it, etcd with it. So its
# containers end first, all at once, and etcd last and by itself. Without the kubelet nothing starts
# them anew; a shim, which ignores SIGTERM, is left with nothing to look after. Under cgroup v1, runc
# freezes what it starts for a moment. A process that stays frozen can't end, not even by SIGKILL, and Docker
# gives the node up after 45 s ("did not receive an exit event").
_END = r"""
thaw() {
  find /sys/fs/cgroup/freezer/kube* -name freezer.state 2>/dev/null | while read -r state; do echo THAWED >"$state"; done
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
    """Stops one cluster's nodes, control planes last, so that they see the others go."""

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    reporter: Reporter

    def _end(self, node: Node) -> None:
        """End what runs in a node. Where that fails, the engine stops the node all the same."""
        with suppress(DevenvError):
            self.containers.exec(node.name, ["timeout", str(_SECONDS), "bash", "-c", _END])

    def run(self, wait: float) -> list[Node]:
        """Return the nodes that were stopped; none where none ran. `wait`: seconds for whoever holds the lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
            running = [n for n in nodes if n.status != "exited"]
            for node in sorted(running, key=lambda n: "control-plane" in n.name):
                with step(self.reporter, f"stop {node.name}"):
                    if node.status == "paused":
                        # A paused one cannot hear that it is to stop.
                        self.containers.start(node.name)
                    self._end(node)
                    self.containers.stop(node.name)
            if running:
                stop_time = self.clock.now()
                records = Records(self.host)
                records.update(self.cluster, lambda record: replace(record, stopped=stop_time))
            return running
