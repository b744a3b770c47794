"""`stop`: gives the laptop back over lunch; `up` starts the cluster again as it was."""

from dataclasses import dataclass, replace

from devenv.lifecycle.record import Records, own_nodes
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Containers, Engine, Host, Node, Reporter
from devenv.wait import locked


@dataclass(frozen=True)
class Stop:
    """Stops one cluster's nodes, control planes last, so that they see the others go."""

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    reporter: Reporter

    def run(self, wait: float) -> list[Node]:
        """Return the nodes that were stopped; none where none ran. `wait`: seconds for whoever holds the lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
            running = [n for n in nodes if n.status != "exited"]
            for node in sorted(running, key=lambda n: "control-plane" in n.name):
                with step(self.reporter, f"stop {node.name}"):
                    if node.status == "paused":
                        self.containers.start(node.name)  # a paused one cannot hear that it is to stop
                    self.containers.stop(node.name)
            if running:
                now = self.clock.now()
                records = Records(self.host)
                records.update(self.cluster, lambda record: replace(record, stopped=now))
            return running
