"""`up --adopt`: take over a kind cluster that another tool or user made.

What would change in it is shown first, and nothing changes without the user's consent.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import filterfalse

from devenv.base.counting import counted
from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.images.nodes.image_import import image_names
from devenv.install.context import Context, is_running, node_ids, node_names
from devenv.install.manifests import Rendered, key, node_configs
from devenv.ports.containers import Node
from devenv.ports.kube import ObjectKey
from devenv.ports.names import Names
from devenv.profiles.model import Profile
from devenv.state import in_cluster as incluster
from devenv.state.record import Record, own_context, same_engine


@dataclass(frozen=True)
class Adoption:
    """What `up` would do to a cluster: add objects and images, and change existing objects."""

    cluster: str
    nodes: Names
    brought: tuple[ObjectKey, ...]
    changed: tuple[ObjectKey, ...]
    # The profile's reference → "brought" or "replaced".
    images: Mapping[str, str]


@dataclass(frozen=True)
class Adopting:
    """Adopts a cluster. `agree` shows the adoption, asks, and raises if the user refuses."""

    context: Context
    agree: Callable[[Adoption], None]

    def foreign(self) -> list[Node]:
        """Return the cluster's nodes if devenv has no record of them, else none.

        Raises DevenvError if the cluster does not exist.
        """
        context = self.context
        nodes = context.nodes()
        record = context.record
        if not nodes:
            what = f"The kind cluster {context.cluster} can't be adopted: it does not exist."
            fix = f"Create it: `devenv up --name {context.cluster}`."
            raise DevenvError(what, "", fix, Exit.USAGE)
        same_engine(record, context.engine)
        if record and set(node_ids(nodes)) <= set(record.nodes):
            return []
        return nodes

    def reach(self, nodes: list[Node]) -> None:
        """Refuse a cluster that devenv can't work with.

        It does not run, is too small, does not map the gateway's port, or does not answer.
        """
        context = self.context
        self._require_running(nodes)
        self._require_node_count(nodes)
        maps_gateway(context.profile, context.cluster, nodes)
        own_context(context.kube, nodes, context.cluster)
        if not context.kube.ready():
            what = f"The API server of {context.cluster} is not ready."
            raise DevenvError(what, exit_code=Exit.UNKNOWN)

    def _require_running(self, nodes: list[Node]) -> None:
        """Raise DevenvError if a node does not run: devenv starts none that is not its own."""
        stopped_nodes = list(filterfalse(is_running, nodes))
        if stopped_nodes:
            what = f"The cluster {self.context.cluster} is not running."
            names = " ".join(node_names(stopped_nodes))
            fix = f"Start it: docker start {names}"
            raise DevenvError(what, "", fix, Exit.PREREQUISITE)

    def _require_node_count(self, nodes: list[Node]) -> None:
        """Raise DevenvError if the profile needs more nodes than the cluster has."""
        profile, cluster = self.context.profile, self.context.cluster
        node_count = len(node_configs(profile))
        if len(nodes) < node_count:
            what = f"The cluster {cluster} is too small."
            needed_nodes = counted(node_count, "node")
            reason = f"The profile {profile.name} needs {needed_nodes}; {cluster} has {len(nodes)}."
            raise DevenvError(what, reason, "Choose another profile.", Exit.USAGE)

    def restored(self, nodes: list[Node]) -> bool:
        """Remember the cluster again if it carries devenv's own record of these very nodes.

        Returns whether it does.
        """
        context = self.context
        record = incluster.read(context.kube)
        if record is None or record.cluster != context.cluster:
            return False
        if set(record.nodes) != set(node_ids(nodes)):
            return False
        if record.engine != context.engine.info().id:
            return False
        context.records.write(record)
        context.reporter.say(
            f"The cluster {context.cluster} carries devenv's record of it;"
            " devenv remembers it again."
        )
        return True

    def adopt(self, nodes: list[Node], rendered: Rendered) -> None:
        """Show what would change, ask, and remember the cluster as adopted."""
        context = self.context
        adoption = self.plan(nodes, rendered)
        self.agree(adoption)
        replaced_refs = [ref for ref, how in adoption.images.items() if how == "replaced"]
        replaced_names = tuple(map(normalise, replaced_refs))
        record = Record(
            context.cluster,
            engine=context.engine.info().id,
            began=context.clock.now(),
            made=True,
            adopted=True,
            nodes=node_ids(nodes),
            objects=adoption.brought,
            agreed=adoption.changed,
            held=replaced_names,
            **context.chosen,
        )
        context.records.write(record)

    def note_more(self, rendered: Rendered) -> None:
        """Note what a later `up` is about to bring into an adopted cluster.

        Raises DevenvError if it would change objects that the user has not agreed to.
        """
        context = self.context
        record = context.record
        if not record or not record.adopted:
            return
        plan = self.plan([], rendered)
        _require_agreement(record, plan)
        new_objects = tuple(key for key in plan.brought if key not in record.objects)

        def change(current: Record) -> Record:
            return replace(current, objects=(*current.objects, *new_objects))

        context.records.update(context.cluster, change)

    def plan(self, nodes: list[Node], rendered: Rendered) -> Adoption:
        """Compare the profile with what the cluster has. Changes nothing."""
        context = self.context
        brought: list[ObjectKey] = []
        changed: list[ObjectKey] = []
        for object_key in [*map(key, rendered.objects), incluster.KEY]:
            if context.kube.get(*object_key) is None:
                brought.append(object_key)
            else:
                changed.append(object_key)
        names = node_names(nodes)
        images = self._plan_images(names)
        return Adoption(context.cluster, names, tuple(brought), tuple(changed), images)

    def _plan_images(self, nodes: Iterable[str]) -> dict[str, str]:
        """Return what would happen to each image in these nodes, as Adoption.images has it."""
        names_in_nodes: set[str] = set()
        for node in nodes:
            names_in_nodes |= image_names(self.context.containers, node)
        plan = {}
        for image in self.context.profile.cluster_images:
            is_present = normalise(image.ref) in names_in_nodes
            plan[image.ref] = "replaced" if is_present else "brought"
        return plan


def _require_agreement(record: Record, plan: Adoption) -> None:
    """Raise DevenvError if the plan changes objects that the user has not agreed to."""
    allowed_keys = {*record.objects, *record.agreed}
    foreign_keys = [key for key in plan.changed if key not in allowed_keys]
    if not foreign_keys:
        return
    names = ", ".join(f"{kind} {name}" for _, kind, _, name in foreign_keys)
    raise DevenvError(
        "The profile would change objects that another tool or user made.",
        f"They are: {names}.",
        f"Run `devenv down --name {record.cluster}`,"
        f" then `devenv up --adopt --name {record.cluster}`, which asks first.",
        Exit.USAGE,
    )


def maps_gateway(profile: Profile, cluster: str, nodes: list[Node]) -> None:
    """Refuse a running cluster whose nodes do not map the profile's gateway to the host."""
    node_port, host_port = profile.gateway.node_port, profile.gateway.host_port
    mapped_ports: set[tuple[int, int]] = set()
    for node in nodes:
        mapped_ports.update(node.ports)
    if not mapped_ports or (node_port, host_port) in mapped_ports:
        return
    sorted_ports = sorted(mapped_ports)
    mappings = ", ".join(f"{inside} at {outside}" for inside, outside in sorted_ports)
    raise DevenvError(
        f"The cluster {cluster} does not map port {node_port} to port {host_port} of the host.",
        f"kind can't add that afterwards. Ports that it maps: {mappings}.",
        "Give the profile a gateway.node_port and gateway.host_port that it maps,"
        " or create a new cluster.",
        Exit.USAGE,
    )


def remember(context: Context, change: Callable[[Record], Record]) -> None:
    """Change the record, in the state folder and in the cluster."""
    context.records.update(context.cluster, change)
    if record := context.record:
        incluster.write(context.kube, record)
