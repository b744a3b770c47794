"""The cluster itself: made by kind, started where it was stopped, or made anew where kind did not finish it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.facts.labels import is_ready
from devenv.facts.times import seconds
from devenv.images.sources import Source
from devenv.lifecycle import manifests
from devenv.lifecycle.adopt import maps_gateway, remember
from devenv.lifecycle.context import Context
from devenv.lifecycle.leases import release_dead
from devenv.lifecycle.nudges import replace_unstarted, retry_sandboxes
from devenv.lifecycle.preflight import taken_port
from devenv.lifecycle.record import Record, api_ports
from devenv.lifecycle.steps import step
from devenv.ports import Manifest, Node
from devenv.wait import Deadline, until

# Seconds for the API server of a cluster that kind has made, or that was just started.
_API = 180.0
# Seconds for the first answer of one that kind is making: kind's own limit is 4 min from there.
_EARLY = 420.0
_ENDED = {"exited", "dead"}
_HOLDS_NO_PORT = {"exited", "dead", "created"}
# Seconds from one look from within the node to the next.
_LOOK_WITHIN = 5.0
_READY_WITHIN = (
    "kubectl",
    "--kubeconfig",
    "/etc/kubernetes/admin.conf",
    "--request-timeout=3s",
    "get",
    "--raw",
    "/readyz",
)
_ADMIN = "/etc/kubernetes/admin.conf"
# Seconds for all pods of a node that was started; 2 to 8 are usual.
_STARTED = 120.0
# Seconds; 2 are usual.
_CONTAINERD = 30.0
# Pods reach the API server by the Service `kubernetes`, the first address of the Services' range.
_LEAD = r"""
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
setting() { sed -n "s|.*--$1=\([0-9.]*\).*|\1|p" "$manifest"; }
base=$(setting service-cluster-ip-range)
node=$(getent ahostsv4 "$(hostname)" | awk 'NR == 1 {print $1}')
[ -n "$base" ] && [ -n "$node" ] || exit 0
service=${base%.*}.$((${base##*.} + 1))
for chain in PREROUTING OUTPUT; do
  iptables --wait --table nat --append "$chain" --destination "$service" --protocol tcp --dport 443 \
    --jump DNAT --to-destination "$node:$(setting secure-port)"
done
"""


@dataclass
class Making:
    """Brings the cluster's nodes and its API server up."""

    context: Context
    # Whether a node that was stopped had to be started.
    started: bool = False
    _exported: bool = False
    # When to look from within the node.
    _next_look: float = 0.0
    # Whether the context is surely this cluster's.
    _known: bool = False

    def same_config(self) -> None:
        """Refuse what kind cannot do: change nodes and ports of a cluster that is there."""
        context = self.context
        record = context.records.read(context.cluster)
        if record and record.adopted:
            maps_gateway(context.profile, context.cluster, context.nodes())
        elif record and record.made and record.config != manifests.kind_config(context.profile):
            raise DevenvError(
                f"The profile has other nodes or ports than the cluster {context.cluster} was made with.",
                "kind can't change them afterwards.",
                f"Run `devenv down --name {context.cluster}` first, or choose another name with --name.",
                Exit.USAGE,
            )

    def same_profile(self) -> None:
        """Refuse two profiles, or two versions, in one cluster: what the first has brought would stay among the second's."""
        context = self.context
        record = context.records.read(context.cluster)
        if record is None or not context.nodes():
            return
        # What devenv noted before it had another.
        base = record.base or "offline"
        recorded_profile, requested_profile = (
            f"{base} {record.version}".strip(),
            f"{context.profile.base} {context.profile.version}".strip(),
        )
        if recorded_profile != requested_profile:
            raise DevenvError(
                f"The cluster {context.cluster} was made with {recorded_profile}, and {requested_profile} was asked for.",
                "What the one has brought would stay among the other's.",
                f"Run `devenv down --name {context.cluster}` first, or choose another name with --name.",
                Exit.USAGE,
            )

    def discard_half_made(self) -> None:
        """A cluster that kind did not finish is of no use to anybody, and nobody has used it."""
        context = self.context
        record = context.records.read(context.cluster)
        if record and not record.made and context.nodes():
            with step(context.reporter, "remove what a cut-off run left"):
                context.kind.delete(context.cluster, lambda _: None)

    def run(self, source: Source, note: list[str]) -> None:
        """Return when the API server answers, and the record knows the nodes."""
        context = self.context
        if nodes := context.nodes():
            stopped, began = [n for n in nodes if n.status != "running"], context.clock.now()
            if all(n.status in _HOLDS_NO_PORT for n in nodes):
                self._require_port()
            for node in stopped:
                context.containers.start(node.name)
            for node in stopped:
                self._lead_to_api(node)
            self.started = self.started or bool(stopped)
            note.append(f"started {', '.join(n.name for n in stopped)}" if stopped else "is there")
        else:
            self._create(source)
            note.append(f"created by kind {context.kind.version()}")
        if not nodes:
            self._trust_context()
        self._await_api(created=not nodes)
        if nodes and all(n.status in _ENDED for n in nodes):
            release_dead(context.kube, began)
        self._known = True
        node_ids = tuple(n.id for n in context.nodes())
        remember(
            context,
            lambda record: replace(record, nodes=node_ids, made=True, digest="", stopped=0.0),
        )

    def _lead_to_api(self, node: Node) -> None:
        """Give the pods of a restarted node a way to the API server before kube-proxy does.

        All pods start at once then, and Envoy Gateway v1.2.8, where it can't reach the API server,
        does nothing until its liveness probe restarts it, 25 to 65 s later. kube-proxy's own rules come
        before this one, which goes with the node's network, at the next stop. Without it, `up` only
        takes longer.
        """
        context = self.context
        if node.status not in _ENDED or "control-plane" not in node.name or context.is_adopted:
            return

        def missing() -> str:
            answer = context.containers.exec(node.name, ["crictl", "images", "--quiet"])
            return "" if answer.code == 0 else "an answer from it"

        with suppress(DevenvError):
            # Before systemd runs, the node's entrypoint may still write rules of its own.
            until(f"{node.name}'s containerd", missing, Deadline(context.clock, _CONTAINERD))
            context.containers.exec(node.name, ["bash", "-c", _LEAD])

    def pods_started(self, _: list[str]) -> None:
        """Return when every pod runs anew in the nodes that were started, and Services lead somewhere.

        Until the kubelet writes otherwise, every pod is said to be ready, and every gate is open.
        """
        context = self.context
        started = {n.name: context.containers.state(n.name).started for n in context.nodes()}
        is_own = not context.is_adopted

        def missing() -> str:
            pods = context.kube.select("v1", "Pod")
            network_pods = _network_missing(pods)
            not_yet = [*(p for p in pods if _ran_before(p, started)), *network_pods]
            if not_yet and is_own:
                retry_sandboxes(context.kube, pods)
                replace_unstarted(context.kube, network_pods)
            return ", ".join(p["metadata"]["name"] for p in not_yet)

        until("The pods' start", missing, Deadline(context.clock, _STARTED), self._look)

    def early(self, _: list[str]) -> None:
        """Return as soon as the API server takes objects: kubeadm and kind are at it for some seconds more."""
        until(
            "The API server",
            self._not_usable,
            Deadline(self.context.clock, _EARLY),
            self._look,
            pause=0.5,
        )

    def _not_usable(self) -> str:
        context = self.context
        nodes, node_configs = (
            context.nodes(),
            context.profile.cluster.kind.get("nodes") or [{"role": "control-plane"}],
        )
        if len([n for n in nodes if n.status == "running"]) < len(node_configs):
            return "running nodes"
        if not (self._known and self._ready(nodes)):
            self._refuse_elsewhere(nodes)
            self._export_early(
                nodes,
                alone=len([c for c in node_configs if c.get("role") == "control-plane"]) == 1,
            )
            return "an answer from it"
        try:
            context.kube.get("v1", "Namespace", "", "kube-system")
        except NotReachableError:
            raise
        except (
            DevenvError
            # Kubeadm gives the administrator his rights only after the first answer.
        ) as error:
            return error.what
        return ""

    def _export_early(self, nodes: list[Node], *, alone: bool) -> None:
        """Have the context written as soon as its content is there, once: kind itself does it in the end."""
        context = self.context
        record = context.records.read(context.cluster)
        # Several control planes get a balancer first.
        if self._exported or not alone or record is None or record.made:
            return
        control_plane = next(n.name for n in nodes if "control-plane" in n.name)
        if context.containers.exec(control_plane, ["test", "-s", _ADMIN]).code == 0:
            self._exported = True
            # Then it is kind's turn.
            with suppress(DevenvError):
                context.kind.export_kubeconfig(context.cluster, lambda _: None)
                self._trust_context()

    def _trust_context(self) -> None:
        """The context is this cluster's from now on; before, one of that name may have led anywhere."""
        self.context.kube.forget()
        self._known = True

    def _ready(self, nodes: list[Node]) -> bool:
        kube = self.context.kube
        return kube.server_port() in api_ports(nodes) and kube.ready()

    @property
    def _look(self) -> str:
        return f"Look at it: docker logs {self.context.cluster}-control-plane"

    def _create(self, source: Source) -> None:
        context = self.context
        self._require_port()
        config, engine = manifests.kind_config(context.profile), context.engine.info().id
        context.records.write(
            Record(
                context.cluster,
                engine=engine,
                config=config,
                began=context.clock.now(),
                **context.chosen,
            )
        )
        try:
            context.kind.create(context.cluster, config, source.ref, self._detail("cluster"))
        except DevenvError:
            # Kind has tidied up, so there is nothing to remember.
            if not context.nodes():
                context.records.remove(context.cluster)
            raise

    def _require_port(self) -> None:
        """Refuse to start a node whose port was taken since the first look, minutes ago."""
        context = self.context
        if not context.is_adopted and (taken := taken_port(context.host, context.profile)):
            raise DevenvError("The node can't be started.", taken, exit_code=Exit.PREREQUISITE)

    def _detail(self, name: str) -> Callable[[str], None]:
        return lambda line: self.context.reporter.detail(name, line.strip(" •✓"))

    def _await_api(self, *, created: bool) -> None:
        context = self.context
        if not created and not self._ready(context.nodes()):
            # Its context may be missing, or its port another.
            context.kind.export_kubeconfig(context.cluster, lambda _: None)
            context.kube.forget()

        def missing() -> str:
            nodes = context.nodes()
            if self._ready(nodes):
                return ""
            self._refuse_elsewhere(nodes)
            return "an answer from it"

        until("The API server", missing, Deadline(context.clock, _API), self._look)

    def _refuse_elsewhere(self, nodes: list[Node]) -> None:
        """Raise DevenvError if the API server answers in its node, but not on a port of this machine.

        That happens if DOCKER_HOST or a Docker context names an engine elsewhere: waiting does not help.
        """
        context = self.context
        engine = context.engine.info()
        control_plane = next(
            (n.name for n in nodes if "control-plane" in n.name and n.status == "running"), ""
        )
        if not engine.chosen or not control_plane or context.clock.monotonic() < self._next_look:
            return
        self._next_look = context.clock.monotonic() + _LOOK_WITHIN
        if context.containers.exec(control_plane, _READY_WITHIN).code == 0 and not self._ready(
            nodes
        ):
            what = f"The API server of {context.cluster} answers in its node, but not on a port of this machine."
            reason = f"{engine.chosen} names the engine at {engine.address}, which opens its ports elsewhere."
            fix = "Choose an engine on this machine: unset DOCKER_HOST and DOCKER_CONTEXT, then `docker context use default`."
            raise DevenvError(what, reason, fix, Exit.PREREQUISITE)


def _network_missing(pods: Sequence[Manifest]) -> list[Manifest]:
    """Return the pods without which Services lead nowhere: each node's kube-proxy, and CoreDNS where none is ready."""
    proxies = [p for p in pods if _app(p) == "kube-proxy" and not is_ready(p)]
    resolvers = [p for p in pods if _app(p) == "kube-dns"]
    return proxies if any(map(is_ready, resolvers)) else [*proxies, *resolvers]


def _app(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get("k8s-app") or "")


def _ran_before(pod: Manifest, started: Mapping[str, float]) -> bool:
    """Whether a pod's status still says that a container has run since before its node was started.

    `started`: node → seconds since 1970.
    """
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    times = [
        ((status.get("state") or {}).get("running") or {}).get("startedAt") for status in statuses
    ]
    return any(0 < seconds(time) < int(started.get(node, 0)) for time in times if time)
