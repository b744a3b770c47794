"""`up --adopt`: a kind cluster that somebody else made. It is shown what would change in it before anything does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from devenv.errors import DevenvError, Exit
from devenv.images.load import normalise, present
from devenv.lifecycle import incluster
from devenv.lifecycle.context import Context
from devenv.lifecycle.manifests import Rendered, key
from devenv.lifecycle.record import Key, Record, own_context, same_engine
from devenv.ports import Node
from devenv.profiles.model import Profile


@dataclass(frozen=True)
class Adoption:
    """What `up` would do to a cluster: bring objects and images, and change objects that are there already."""

    cluster: str
    nodes: tuple[str, ...]
    brought: tuple[Key, ...]
    changed: tuple[Key, ...]
    # Name → "brought" or "replaced".
    images: Mapping[str, str]


@dataclass(frozen=True)
class Adopting:
    """Makes a cluster devenv's own to change, once `agree` has returned: it shows the adoption and asks."""

    context: Context
    agree: Callable[[Adoption], None]

    def foreign(self) -> list[Node]:
        """Return the cluster's nodes if devenv has no record of them. Raises DevenvError where there is no cluster."""
        context = self.context
        nodes, record = context.nodes(), context.records.read(context.cluster)
        if not nodes:
            fix = f"`devenv up --name {context.cluster}` makes one."
            raise DevenvError(
                f"There is no kind cluster {context.cluster} to adopt.", "", fix, Exit.USAGE
            )
        same_engine(record, context.engine)
        return [] if record and {n.id for n in nodes} <= set(record.nodes) else nodes

    def reach(self, nodes: list[Node]) -> None:
        """Refuse a cluster that devenv could not work with: not running, without the gateway's port, or silent."""
        context = self.context
        if stopped := [n.name for n in nodes if n.status != "running"]:
            fix = f"Start it: docker start {' '.join(stopped)}"
            raise DevenvError(
                f"The cluster {context.cluster} is not running.", "", fix, Exit.PREREQUISITE
            )
        node_count = len(context.profile.cluster.kind.get("nodes") or [1])
        if len(nodes) < node_count:
            reason = f"The profile {context.profile.name} wants {node_count} nodes; {context.cluster} has {len(nodes)}."
            raise DevenvError(
                f"The cluster {context.cluster} is too small.",
                reason,
                "Choose another profile.",
                Exit.USAGE,
            )
        maps_gateway(context.profile, context.cluster, nodes)
        own_context(context.kube, nodes, context.cluster)
        if not context.kube.ready():
            raise DevenvError(
                f"The API server of {context.cluster} is not ready.", exit_code=Exit.UNKNOWN
            )

    def restored(self, nodes: list[Node]) -> bool:
        """Whether the cluster carries devenv's own record of these very nodes; then it is remembered again."""
        context = self.context
        record = incluster.read(context.kube)
        is_same_cluster = (
            record
            and record.cluster == context.cluster
            and set(record.nodes) == {n.id for n in nodes}
        )
        if not (record and is_same_cluster and record.engine == context.engine.info().id):
            return False
        context.records.write(record)
        context.reporter.say(
            f"The cluster {context.cluster} carries devenv's record of it; it is remembered again."
        )
        return True

    def adopt(self, nodes: list[Node], rendered: Rendered) -> None:
        """Show what would change, ask, and remember the cluster as adopted."""
        context = self.context
        adoption = self.plan(nodes, rendered)
        self.agree(adoption)
        replaced_names = tuple(
            normalise(ref) for ref, how in adoption.images.items() if how == "replaced"
        )
        engine = context.engine.info().id
        record = Record(
            context.cluster,
            engine=engine,
            began=context.clock.now(),
            made=True,
            adopted=True,
            **context.chosen,
        )
        ids = tuple(n.id for n in nodes)
        context.records.write(
            replace(
                record,
                nodes=ids,
                objects=adoption.brought,
                agreed=adoption.changed,
                held=replaced_names,
            )
        )

    def note_more(self, rendered: Rendered) -> None:
        """Note what a later `up` is about to bring into an adopted cluster. Refuse to change what nobody agreed to."""
        context = self.context
        record = context.records.read(context.cluster)
        if not (record and record.adopted):
            return
        plan = self.plan([], rendered)
        if unasked := [k for k in plan.changed if k not in (*record.objects, *record.agreed)]:
            names = ", ".join(f"{kind} {name}" for _, kind, _, name in unasked)
            fix = f"`devenv down --name {context.cluster}`, then `devenv up --adopt`, which asks."
            raise DevenvError(
                "The profile would change objects that somebody else made.",
                f"They are: {names}.",
                fix,
                Exit.USAGE,
            )
        added_objects = tuple(k for k in plan.brought if k not in record.objects)
        context.records.update(
            context.cluster,
            lambda current: replace(current, objects=(*current.objects, *added_objects)),
        )

    def plan(self, nodes: list[Node], rendered: Rendered) -> Adoption:
        """Look at what is there. Changes nothing."""
        context = self.context
        objects = [key(o) for source in rendered.sources.values() for o in source] + [incluster.KEY]
        existing = [k for k in objects if context.kube.get(*k) is not None]
        names_in_nodes = {name for node in nodes for name in present(context.containers, node.name)}
        images = {
            i.ref: "replaced" if normalise(i.ref) in names_in_nodes else "brought"
            for i in context.profile.cluster_images
        }
        brought = tuple(k for k in objects if k not in existing)
        return Adoption(
            context.cluster, tuple(n.name for n in nodes), brought, tuple(existing), images
        )


def maps_gateway(profile: Profile, cluster: str, nodes: list[Node]) -> None:
    """Refuse a running cluster whose nodes do not map the profile's gateway to this machine."""
    gateway, ports = profile.gateway, {pair for n in nodes for pair in n.ports}
    if not ports or (gateway.node_port, gateway.host_port) in ports:
        return
    has = ", ".join(f"{inside} at {outside}" for inside, outside in sorted(ports))
    raise DevenvError(
        f"The cluster {cluster} does not map port {gateway.node_port} to port {gateway.host_port} of this machine.",
        f"kind can't add that afterwards. Ports that it maps: {has}.",
        "Give the profile a gateway.node_port and gateway.host_port that it maps, or make a new cluster.",
        Exit.USAGE,
    )


def remember(context: Context, change: Callable[[Record], Record]) -> None:
    """Change the record, in the state folder and in the cluster."""
    context.records.update(context.cluster, change)
    if record := context.records.read(context.cluster):
        incluster.write(context.kube, record)
