"""Bring up the cluster itself: create it with kind, start it if it was stopped.

A cluster that kind did not finish is deleted and created again.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import filterfalse

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.cluster.adopt import maps_gateway, remember
from devenv.cluster.host_ports import HostPorts
from devenv.cluster.leases import release_dead
from devenv.cluster.node_repair import NodeRepair
from devenv.facts.labels import is_ready
from devenv.facts.objects import fields_of, items_of
from devenv.facts.times import seconds
from devenv.images.sources.provider import Source
from devenv.install import manifests
from devenv.install.context import (
    Context,
    is_control_plane,
    is_running,
    node_ids,
    node_names,
)
from devenv.install.nudges import replace_unstarted, retry_sandboxes
from devenv.install.objects import label_of, names_of, unready_pods
from devenv.ports.containers import Node
from devenv.ports.kube import Manifest
from devenv.profiles.model import Profile
from devenv.state.ports import recorded_port
from devenv.state.record import Record, api_ports

# Seconds for the API server of a cluster that kind has made, or that was just started.
_API_SECONDS = 180.0
# Seconds for the first answer of an API server while kind is at work. From its own start on, kind
# waits 4 min at most.
_EARLY_SECONDS = 420.0
# Seconds for the pods of a node that was started; 2 to 8 are usual.
_PODS_SECONDS = 120.0
# Seconds for containerd; 2 are usual.
_CONTAINERD_SECONDS = 30.0
# Seconds from one request from within the node to the next.
_REQUEST_PAUSE_SECONDS = 5.0
# What Docker calls a node whose processes have ended.
_ENDED = {"exited", "dead"}
_HOLDS_NO_PORT = {"exited", "dead", "created"}
_ADMIN_CONFIG = "/etc/kubernetes/admin.conf"
# Asks the API server from within its node whether it is ready.
_READY_COMMAND = (
    "kubectl",
    "--kubeconfig",
    _ADMIN_CONFIG,
    "--request-timeout=3s",
    "get",
    "--raw",
    "/readyz",
)
# Pods reach the API server by the Service `kubernetes`, the first address of the Services' range.
_ADD_API_ROUTE = r"""
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
setting() { sed -n "s|.*--$1=\([0-9.]*\).*|\1|p" "$manifest"; }
base=$(setting service-cluster-ip-range)
node=$(getent ahostsv4 "$(hostname)" | awk 'NR == 1 {print $1}')
[ -n "$base" ] && [ -n "$node" ] || exit 0
service=${base%.*}.$((${base##*.} + 1))
for chain in PREROUTING OUTPUT; do
  iptables --wait --table nat --append "$chain" \
    --destination "$service" --protocol tcp --dport 443 \
    --jump DNAT --to-destination "$node:$(setting secure-port)"
done
"""


@dataclass
class Making:
    """Brings the cluster's nodes and its API server up."""

    context: Context
    # Whether a node that was stopped had to be started.
    started: bool = False
    # Whether kind was asked early to write the kubeconfig's context, which is done once.
    _has_exported_early: bool = False
    # When the API server may be asked from within its node again, as the clock's monotonic time.
    _next_request: float = 0.0
    # Whether the kubeconfig's context is certainly this cluster's.
    _trusts_context: bool = False

    # Before anything changes

    def same_config(self) -> None:
        """Refuse what kind can't do: to change the nodes or ports of an existing cluster."""
        context = self.context
        record = context.record
        if record is None:
            return
        if record.adopted:
            maps_gateway(context.profile, context.cluster, context.nodes())
        elif record.made and record.config != manifests.kind_config(context.profile):
            self._refuse_other_port(record)
            raise DevenvError(
                "The profile has other nodes or ports than those with which the cluster"
                f" {context.cluster} was made.",
                "kind can't change them afterwards.",
                self._other_cluster_hint,
                Exit.USAGE,
            )

    def _refuse_other_port(self, record: Record) -> None:
        """Raise DevenvError if nothing but the gateway's port differs from the cluster's config."""
        context = self.context
        gateway, cluster = context.profile.gateway, context.cluster
        port = recorded_port(record)
        recorded_gateway = gateway.model_copy(update={"host_port": port})
        profile = context.profile.model_copy(update={"gateway": recorded_gateway})
        if record.config != manifests.kind_config(profile):
            return
        raise DevenvError(
            f"The gateway of the cluster {cluster} is at port {port}, and port"
            f" {gateway.host_port} was requested.",
            "kind maps a port when it creates a node, and can't change that afterwards.",
            f"Keep port {port}; or run `devenv down --name {cluster}` and"
            f" `devenv up --name {cluster} --port {gateway.host_port}`; or create another cluster:"
            f" `devenv up --name OTHER --port {gateway.host_port}`.",
            Exit.USAGE,
        )

    def same_profile(self) -> None:
        """Refuse two profiles, or two versions, in one cluster: their objects would be mixed."""
        context = self.context
        record = context.record
        if record is None or not context.nodes():
            return
        # Older records don't name the profile. There was only this one then.
        recorded_base = record.base or "offline"
        recorded_profile = f"{recorded_base} {record.version}".strip()
        requested_profile = f"{context.profile.base} {context.profile.version}".strip()
        if recorded_profile != requested_profile:
            raise DevenvError(
                f"The cluster {context.cluster} was made with {recorded_profile},"
                f" and {requested_profile} was asked for.",
                f"What {recorded_profile} installed would stay among the objects of"
                f" {requested_profile}.",
                self._other_cluster_hint,
                Exit.USAGE,
            )

    @property
    def _other_cluster_hint(self) -> str:
        return (
            f"Run `devenv down --name {self.context.cluster}` first,"
            " or choose another name with --name."
        )

    def discard_half_made(self) -> None:
        """Delete a cluster that kind did not finish: it is useless, and was never used."""
        context = self.context
        record = context.record
        if record and not record.made and context.nodes():
            with step(context.reporter, "remove what a cut-off run left"):
                context.kind.delete(context.cluster, lambda _: None)

    # The step `cluster`

    def run(self, source: Source, note: list[str]) -> None:
        """Return when the API server answers, and the record knows the nodes."""
        context = self.context
        nodes = context.nodes()
        began = context.clock.now()
        if nodes:
            self._start_stopped(nodes, note)
            self._export_lost_context()
            self._repair_started(nodes)
        else:
            self._create(source)
            note.append(f"created by kind {context.kind.version()}")
            self._trust_context()
        self._await_api()
        if nodes and all(map(_has_ended, nodes)):
            release_dead(context.kube, began)
        self._trusts_context = True
        ids = node_ids(context.nodes())

        def change(record: Record) -> Record:
            return replace(record, nodes=ids, made=True, digest="", stopped=0.0)

        remember(context, change)

    def _create(self, source: Source) -> None:
        """Have kind make the cluster. The record comes first: a killed run knows its nodes."""
        context = self.context
        self._require_port()
        config, engine = manifests.kind_config(context.profile), context.engine.info().id
        began = context.clock.now()
        record = Record(
            context.cluster, engine=engine, config=config, began=began, **context.chosen
        )
        context.records.write(record)
        try:
            context.kind.create(context.cluster, config, source.ref, self._show_line)
        except DevenvError:
            # If kind has tidied up, there is nothing to remember.
            if not context.nodes():
                context.records.remove(context.cluster)
            raise

    def _show_line(self, line: str) -> None:
        """Show a line of kind's. One that begins with a bullet names what kind does next."""
        text, reporter = line.strip(), self.context.reporter
        if text.startswith("•"):
            reporter.stage("cluster", text.strip(" •."))
        else:
            reporter.detail("cluster", text.strip(" ✓"))

    def _start_stopped(self, nodes: Sequence[Node], note: list[str]) -> None:
        """Start the nodes that do not run. Their pods need to find the API server at once."""
        stopped_nodes = list(filterfalse(is_running, nodes))
        if all(map(_holds_no_port, nodes)):
            self._require_port()
        repair = NodeRepair(self.context)
        repair.restore_network(stopped_nodes)
        for node in sorted(stopped_nodes, key=repair.former_address):
            self.context.containers.start(node.name)
        for node in stopped_nodes:
            self._lead_pods_to_api(node)
        if stopped_nodes:
            self.started = True
            note.append(f"started {', '.join(node_names(stopped_nodes))}")
        else:
            note.append("already running")

    def _repair_started(self, nodes: Sequence[Node]) -> None:
        """Write missing manifests in nodes that were started; systemd starts their units."""
        started = {node.name for node in nodes if not is_running(node)}
        for node in self.context.nodes():
            if node.name in started:
                NodeRepair(self.context).write_missing_manifests(node)

    def _require_port(self) -> None:
        """Refuse to start a node if its port was taken since preflight, minutes ago."""
        context = self.context
        if context.is_adopted:
            return
        ports = HostPorts(context.cluster, context.host, context.containers, context.records)
        port, exists = context.profile.gateway.host_port, bool(context.nodes())
        if reason := ports.problem(port, exists=exists):
            raise DevenvError("The node can't be started.", reason, exit_code=Exit.PREREQUISITE)

    def _lead_pods_to_api(self, node: Node) -> None:
        """Give the pods of a restarted node a route to the API server before kube-proxy does.

        After a restart all pods start at once. If Envoy Gateway v1.2.8 can't reach the API server
        then, it does nothing until its liveness probe restarts it, 25 to 65 s later. kube-proxy's
        own rules come before this one, which disappears with the node's network at the next stop.
        Without it, `up` only takes longer.
        """
        context = self.context
        if not _has_ended(node) or not is_control_plane(node) or context.is_adopted:
            return

        def find_missing() -> str:
            answer = context.containers.exec(node.name, ["crictl", "images", "--quiet"])
            return "an answer from it" if answer.failed else ""

        deadline = Deadline(context.clock, _CONTAINERD_SECONDS)
        with suppress(DevenvError):
            # Until systemd runs, the node's entrypoint may still write rules of its own.
            until(f"{node.name}'s containerd", find_missing, deadline)
            context.containers.exec(node.name, ["bash", "-c", _ADD_API_ROUTE])

    def _export_lost_context(self) -> None:
        """Write the kubeconfig's context again: it may be missing, or lead to an old port."""
        context = self.context
        if not self._is_api_ready(context.nodes()):
            context.kind.export_kubeconfig(context.cluster, lambda _: None)
            context.kube.forget()

    def _await_api(self) -> None:
        """Wait for the API server. Raises DevenvError if its port is published elsewhere."""
        context = self.context

        def find_missing() -> str:
            nodes = context.nodes()
            if self._is_api_ready(nodes):
                return ""
            self._refuse_ports_elsewhere(nodes)
            return context.kube.why_unready() or "an answer from it"

        until("The API server", find_missing, Deadline(context.clock, _API_SECONDS), self._hint)

    # The step `pods`

    def pods_started(self, _: list[str]) -> None:
        """Return when every pod has started again in the nodes that were started.

        Services lead to their pods then, too. Until the kubelet reports otherwise, the API server
        says that every pod is ready, and every gate is open.
        """
        context = self.context
        start_times = {n.name: context.containers.state(n.name).started for n in context.nodes()}
        is_adopted = context.is_adopted

        def find_missing() -> str:
            pods = context.kube.select("v1", "Pod")
            old_pods = [pod for pod in pods if _ran_before(pod, start_times)]
            network_pods = _unready_network_pods(pods)
            if (old_pods or network_pods) and not is_adopted:
                retry_sandboxes(context.kube, pods)
                replace_unstarted(context.kube, network_pods)
            return ", ".join(names_of([*old_pods, *network_pods]))

        until("The pods' start", find_missing, Deadline(context.clock, _PODS_SECONDS), self._hint)

    # The step `api server`, while kind is at work

    def early(self, _: list[str]) -> None:
        """Return as soon as the API server takes objects.

        kubeadm and kind are at work for some seconds more.
        """
        deadline = Deadline(self.context.clock, _EARLY_SECONDS)
        until("The API server", self._approach_api, deadline, self._hint, pause=0.5)

    def _approach_api(self) -> str:
        """Return what is missing until the API server takes objects, and get the context early."""
        context = self.context
        nodes = context.nodes()
        if sum(map(is_running, nodes)) < len(manifests.node_configs(context.profile)):
            return "running nodes"
        if not self._trusts_context or not self._is_api_ready(nodes):
            self._refuse_ports_elsewhere(nodes)
            self._export_early(nodes)
            return "an answer from it"
        try:
            context.kube.get("v1", "Namespace", "", "kube-system")
        except NotReachableError:
            raise
        except DevenvError as error:
            # kubeadm grants the administrator's rights only after the first answer.
            return error.what
        return ""

    def _export_early(self, nodes: Sequence[Node]) -> None:
        """Make kind write the kubeconfig's context as soon as its content exists, once.

        By itself, kind writes it when everything else is done.
        """
        context = self.context
        record = context.record
        if self._has_exported_early or record is None or record.made:
            return
        # Several control planes get a load balancer first.
        if _control_plane_count(context.profile) != 1:
            return
        control_plane = next(filter(is_control_plane, nodes))
        answer = context.containers.exec(control_plane.name, ["test", "-s", _ADMIN_CONFIG])
        if not answer.failed:
            self._has_exported_early = True
            # If this fails, kind's own export counts.
            with suppress(DevenvError):
                context.kind.export_kubeconfig(context.cluster, lambda _: None)
                self._trust_context()

    def _trust_context(self) -> None:
        """Use the kubeconfig's context from now on.

        Before, a context of this name may have led anywhere.
        """
        self.context.kube.forget()
        self._trusts_context = True

    def _is_api_ready(self, nodes: Sequence[Node]) -> bool:
        kube = self.context.kube
        return kube.server_port() in api_ports(nodes) and kube.ready()

    @property
    def _hint(self) -> str:
        return f"`devenv doctor --name {self.context.cluster}` looks into the node."

    def _refuse_ports_elsewhere(self, nodes: Sequence[Node]) -> None:
        """Raise DevenvError if the API server answers in its node, but not on a port of the host.

        That happens if DOCKER_HOST or a Docker context names an engine on another machine. Waiting
        does not help then.
        """
        context = self.context
        engine = context.engine.info()
        running_nodes = filter(is_running, nodes)
        control_planes = list(filter(is_control_plane, running_nodes))
        if not engine.chosen or not control_planes:
            return
        if context.clock.monotonic() < self._next_request:
            return
        self._next_request = context.clock.monotonic() + _REQUEST_PAUSE_SECONDS
        answer = context.containers.exec(control_planes[0].name, _READY_COMMAND)
        if answer.failed or self._is_api_ready(nodes):
            return
        raise DevenvError(
            f"The API server of {context.cluster} answers in its node, but not on a port of this"
            " machine.",
            f"{engine.chosen} names the engine at {engine.address}, which opens its ports on"
            " another machine.",
            "Choose an engine on this machine: unset DOCKER_HOST and DOCKER_CONTEXT, then"
            " `docker context use default`.",
            Exit.PREREQUISITE,
        )


def _holds_no_port(node: Node) -> bool:
    return node.status in _HOLDS_NO_PORT


def _has_ended(node: Node) -> bool:
    return node.status in _ENDED


def _control_plane_count(profile: Profile) -> int:
    roles = [config.get("role") for config in manifests.node_configs(profile)]
    return roles.count("control-plane")


def _unready_network_pods(pods: Sequence[Manifest]) -> list[Manifest]:
    """Return the pods without which Services lead nowhere.

    They are each node's kube-proxy, and all of CoreDNS if none of its pods is ready.
    """
    unready_proxies = unready_pods(_pods_of_app(pods, "kube-proxy"))
    resolvers = _pods_of_app(pods, "kube-dns")
    if any(map(is_ready, resolvers)):
        return unready_proxies
    return [*unready_proxies, *resolvers]


def _pods_of_app(pods: Iterable[Manifest], app: str) -> list[Manifest]:
    """Return the pods of one of Kubernetes' own apps, by the value of their label k8s-app."""
    return [pod for pod in pods if label_of(pod, "k8s-app") == app]


def _ran_before(pod: Manifest, start_times: Mapping[str, float]) -> bool:
    """Whether a pod's status still says that a container has run since before its node started.

    `start_times`: node → seconds since 1970.
    """
    node = str(fields_of(pod, "spec").get("nodeName") or "")
    node_start = int(start_times.get(node, 0))
    for status in items_of(fields_of(pod, "status"), "containerStatuses"):
        running = fields_of(fields_of(status, "state"), "running")
        if 0 < seconds(running.get("startedAt")) < node_start:
            return True
    return False
