"""Repair what runs beneath Kubernetes: networks of nodes, units in them, static pods' manifests."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from devenv.base.errors import DevenvError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.facts.labels import is_ready
from devenv.facts.leases import LEADERS, LEASE, expired, lease_of, newest_renewal, renewed
from devenv.facts.model import StaticPodFacts
from devenv.facts.node_programs import KUBEADM_CONFIG, MANIFESTS, rewriting_command, was_edited
from devenv.facts.nodes import NodeReader, is_failing
from devenv.facts.objects import name_of
from devenv.install.context import is_running
from devenv.ports.containers import KIND_NETWORK, Node
from devenv.session import Session

# Seconds after the start of a node in which its units are left to systemd.
_START_SECONDS = 60.0
# Seconds until an edited manifest has taken effect.
_EDIT_SECONDS = 60.0
# Seconds for a unit; 2 are usual.
_UNIT_SECONDS = 30.0
# Seconds for the API server, if it had to start.
_API_SECONDS = 180.0
# Seconds for nodes to be ready and leaders to lead: a lease runs out after 15 s.
_SETTLE_SECONDS = 90.0
# A node's own address, as kind told kubeadm.
_ADDRESS = re.compile(r"\bnode-ip: \"?(\d+\.\d+\.\d+\.\d+)")
# Characters from the end of an output that are shown.
_LONGEST_OUTPUT = 500
# Where a replaced manifest is kept: the kubelet runs whatever lies in its own folder.
_FORMER = "/etc/kubernetes/{name}.yaml.before-devenv"


# Sorts behind all addresses.
_LAST_ADDRESS = IPv4Address("255.255.255.255")
# Docker's own pools, of which it gives each network as much.
_POOLS = {IPv4Network("172.16.0.0/12"): 16, IPv4Network("192.168.0.0/16"): 20}

# Names of steps.
NETWORK = f"network {KIND_NETWORK}"
CONTROL_PLANE = "control plane"


def unit_step(node: str, unit: str) -> str:
    """Return the name of the step in which a systemd unit is started."""
    return f"start {unit} in {node}"


def manifest_step(node: str, static_pod: str) -> str:
    """Return the name of the step in which a static pod's manifest is written."""
    return f"write the manifest of {static_pod} in {node}"


@dataclass(frozen=True)
class NodeRepair:
    """Repairs the nodes of one cluster."""

    session: Session

    @property
    def _reader(self) -> NodeReader:
        return NodeReader(self.session.containers, self.session.clock)

    def run(self, nodes: Sequence[Node]) -> bool:
        """Repair what is wrong in the running nodes, and return whether anything was.

        Raises DevenvError if a unit ends again, or the control plane does not come back.
        """
        running_nodes = list(filter(is_running, nodes))
        began = self.newest_renewal()
        # Not any(): every node is to be repaired.
        repairs = [self._start_units(node) for node in running_nodes]
        repairs += [self._write_manifests(node) for node in running_nodes]
        if not any(repairs):
            return False
        self.await_control_plane(began)
        return True

    def _start_units(self, node: Node) -> bool:
        """Start the units that don't run, containerd first, and return whether there were any.

        systemd itself still starts them in a node that has just been started.
        """
        now = self.session.clock.now()
        if now - self.session.containers.state(node.name).started < _START_SECONDS:
            return False
        units = self._reader.programs(node.name).units
        failing = [unit.name for unit in units if is_failing(unit, now)]
        for name in sorted(failing):
            self.start_unit(node.name, name)
        return bool(failing)

    def _write_manifests(self, node: Node) -> bool:
        """Write manifests that are missing, or were edited and do not run; return whether any was.

        Containers are looked at only if the control plane is in trouble.
        """
        if self.write_missing_manifests(node):
            return True
        facts = self._reader.programs(node.name)
        edited = list(filter(was_edited, facts.static_pods))
        if not edited or not self._stays_in_trouble(edited):
            return False
        broken = list(filter(_is_broken, self._reader.look_closely(facts).static_pods))
        for pod in broken:
            self.write_manifest(node.name, pod.name)
        return bool(broken)

    def write_missing_manifests(self, node: Node) -> bool:
        """Write the manifests that a running node lacks, and return whether it lacked any."""
        pods = self._reader.programs(node.name).static_pods
        missing = [pod.name for pod in pods if not pod.manifest]
        for name in missing:
            self.write_manifest(node.name, name)
        return bool(missing)

    def _stays_in_trouble(self, edited: Sequence[StaticPodFacts]) -> bool:
        """Whether the control plane is in trouble, and stays so if an edit is still taking effect.

        The kubelet needs up to half a minute to run what its user has just written.
        """
        last_edit = max(pod.changed for pod in edited)
        patience = max(0.0, last_edit + _EDIT_SECONDS - self.session.clock.now())
        deadline = self._deadline(min(patience, _EDIT_SECONDS))
        try:
            until("The control plane", self._trouble, deadline, pause=1.0)
        except DevenvError:
            return True
        return False

    def _trouble(self) -> str:
        """Return what is wrong with the control plane as its API server shows it, "" if nothing."""
        kube = self.session.kube
        if why := kube.why_unready():
            return why
        return ", ".join(map(name_of, expired(kube.select(*LEASE))))

    # The steps

    def start_unit(self, node: str, unit: str) -> None:
        """Start a systemd unit, and return once it runs.

        Raises DevenvError with the end of its journal if it ends again.
        """
        containers = self.session.containers

        def find_missing() -> str:
            answer = containers.exec(node, ["systemctl", "is-active", unit])
            return "" if answer.output.strip() == "active" else f"it is {answer.output.strip()}"

        with step(self.session.reporter, unit_step(node, unit)):
            containers.exec(node, ["timeout", "20", "systemctl", "start", unit])
            journal = ("journalctl", f"--unit={unit}", "--no-pager", "--lines=20")
            hint = f"Its journal tells why: docker exec {node} {' '.join(journal)}"
            until(f"{unit} in {node}", find_missing, self._deadline(_UNIT_SECONDS), hint)

    def write_manifest(self, node: str, static_pod: str) -> None:
        """Write the manifest of a part of the control plane as kind made it, and keep a former one.

        Raises DevenvError if kubeadm refuses.
        """
        containers = self.session.containers
        with step(self.session.reporter, manifest_step(node, static_pod)):
            present = f"{MANIFESTS}/{static_pod}.yaml"
            # There may be none.
            containers.exec(node, ["cp", "--force", present, _FORMER.format(name=static_pod)])
            answer = containers.exec(node, rewriting_command(static_pod))
            if answer.code != 0:
                raise DevenvError(
                    f"kubeadm could not write {present} in {node}.",
                    answer.output.strip()[-_LONGEST_OUTPUT:],
                    f"Look at the node: docker exec -it {node} bash",
                )
            # It is not to count as edited.
            containers.exec(node, ["touch", f"--reference={KUBEADM_CONFIG}", present])

    def await_control_plane(self, began: float) -> None:
        """Return once the API server is ready, its nodes are, and its leaders have led since.

        `began`: when a lease had last been renewed, in seconds since 1970.
        """
        kube = self.session.kube
        name = self.session.cluster
        hint = f"`devenv doctor --name {name}` looks into the node."
        with step(self.session.reporter, CONTROL_PLANE):
            until("The API server", kube.why_unready, self._deadline(_API_SECONDS), hint)
            settling = self._deadline(_SETTLE_SECONDS)
            until("The control plane", lambda: self._missing(began), settling, hint, pause=1.0)

    def _missing(self, began: float) -> str:
        """Return which nodes are not ready, and which leaders have not led since."""
        kube = self.session.kube
        unready = [name_of(node) for node in kube.select("v1", "Node") if not is_ready(node)]
        leases = kube.select(*LEASE)
        own_leases = {leader: lease_of(leases, leader) for leader in LEADERS}
        silent = [name for name, lease in own_leases.items() if lease and renewed(lease) <= began]
        return ", ".join([*unready, *silent])

    def newest_renewal(self) -> float:
        """Return when a lease was last renewed, in seconds since 1970; 0 if that can't be read."""
        with suppress(DevenvError):
            return newest_renewal(self.session.kube.select(*LEASE))
        return 0.0

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(self.session.clock, seconds)

    # The engine's network

    def restore_network(self, nodes: Sequence[Node]) -> None:
        """Create the network `kind` if stopped nodes have lost it, and connect them again.

        The engine gives addresses in the order in which nodes start; the subnet is the former one,
        if it is still free. Does nothing for any other network.
        """
        lost_nodes = list(filter(self._has_lost_network, nodes))
        if not lost_nodes:
            return
        containers = self.session.containers
        with step(self.session.reporter, NETWORK) as note:
            containers.create_network(_subnet_of(self.former_address(lost_nodes[0])))
            for node in lost_nodes:
                containers.reconnect(node.name, KIND_NETWORK)
                note.append(f"connected {node.name}")

    def _has_lost_network(self, node: Node) -> bool:
        return not is_running(node) and KIND_NETWORK in self._reader.missing_networks(node.name)

    def former_address(self, node: Node) -> IPv4Address:
        """Return the address that a stopped node had; the last of all if it is unknown."""
        with suppress(DevenvError, ValueError):
            settings = self.session.containers.read_file(node.name, KUBEADM_CONFIG)
            if address := _ADDRESS.search(settings.decode(errors="replace")):
                return IPv4Address(address[1])
        return _LAST_ADDRESS


def _is_broken(pod: StaticPodFacts) -> bool:
    """Whether a part does not run, and its manifest was edited."""
    return was_edited(pod) and pod.state in {"exited", ""}


def _subnet_of(address: IPv4Address) -> str:
    """Return the subnet that Docker gives a network of an address.

    "" if the address is outside Docker's pools.
    """
    for pool, length in _POOLS.items():
        if address in pool:
            return str(IPv4Network((address, length), strict=False))
    return ""
