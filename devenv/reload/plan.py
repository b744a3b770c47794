"""Plans a reload: which images move into the nodes, how, and which workloads use them.

Every problem with the images is reported before anything moves.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from devenv.base.errors import DevenvError, Exit
from devenv.base.image_names import normalise
from devenv.images.nodes.containerd import NodeImages, Nodes
from devenv.install.context import is_running, node_names
from devenv.ports.containers import Node
from devenv.ports.engine import Image
from devenv.ports.names import Names
from devenv.reload.finder import ImageArgument, ImageFinder
from devenv.reload.loose import LoosePod, LoosePods
from devenv.reload.moves import Move, Source, digests_of, find_space_problems, plan_move
from devenv.reload.push import Pusher
from devenv.reload.users import Workload, Workloads, find_unused
from devenv.session import Session
from devenv.state.absence import no_cluster, not_running
from devenv.state.record import Records, own_context, own_nodes


@dataclass(frozen=True)
class Plan:
    """A reload before anything has changed. `workloads`: those that use the images."""

    moves: tuple[Move, ...]
    workloads: tuple[Workload, ...]
    nodes: tuple[Node, ...]

    @property
    def image_names(self) -> list[str]:
        """The images' names in the nodes."""
        return [move.name for move in self.moves]

    @property
    def node_names(self) -> list[str]:
        """The names of the nodes to load into."""
        return list(node_names(self.nodes))


@dataclass(frozen=True)
class Planner:
    """Plans reloads into one cluster. `node_names`: nodes to load into; empty means all."""

    session: Session
    pusher: Pusher
    node_names: Names = ()
    # Whether devenv has just built the images.
    built: bool = False

    @property
    def finder(self) -> ImageFinder:
        """Finds the images that the user names."""
        session = self.session
        return ImageFinder(
            session.cluster,
            session.profile,
            session.engine,
            session.reporter,
            self.built,
        )

    def plan(
        self, arguments: Sequence[ImageArgument], *, restart: bool, fix_pull_policy: bool
    ) -> Plan:
        """Plan the reload of these images.

        Raises DevenvError with every problem of the images, before anything moves.
        """
        # The engine, the nodes and the API server are asked side by side: each answers slowly.
        with ThreadPoolExecutor(3) as pool:
            containerd = Nodes(self.session.containers)
            looks = pool.submit(containerd.inventories, self._running_nodes())
            nodes = self.nodes()
            context_check = pool.submit(self._check_context, nodes, needed=restart)
            sources = self.finder.find_all(arguments)
            context_check.result()
            node_images = looks.result()
        moves = [self.move(image.source, image.name, node_images) for image in sources]
        self._check_space(moves, node_images)
        workloads: list[Workload] = []
        if restart:
            workloads = self._find_workloads(moves, fix_pull_policy=fix_pull_policy)
        return Plan(tuple(moves), tuple(workloads), tuple(nodes))

    def _running_nodes(self) -> list[str]:
        """Return the nodes to look at. `nodes` refuses those that are not running."""
        nodes = self.session.containers.nodes(self.session.cluster)
        running_nodes = filter(is_running, nodes)
        return list(node_names(filter(self._is_selected, running_nodes)))

    def _is_selected(self, node: Node) -> bool:
        return not self.node_names or node.name in self.node_names

    def _check_context(self, nodes: Sequence[Node], *, needed: bool) -> None:
        """Raise DevenvError if the context leads to another cluster.

        That matters only if something in the cluster is to change.
        """
        if needed:
            own_context(self.session.kube, nodes, self.session.cluster)

    def _check_space(self, moves: Sequence[Move], nodes: Sequence[NodeImages]) -> None:
        """Raise DevenvError with every node that has too little space."""
        problems = find_space_problems(moves, nodes, self.session.profile.budgets.node)
        if problems:
            fix = "`devenv disk` shows what uses it; `devenv prune --free 2Gi` frees some."
            what = "There is not enough disk space."
            raise DevenvError(what, "\n".join(problems), fix, Exit.PREREQUISITE)

    def nodes(self) -> list[Node]:
        """Return the nodes to load into. Raises DevenvError if one is not running or unknown."""
        session, records = self.session, Records(self.session.host)
        nodes = own_nodes(records, session.engine, session.containers, session.cluster)
        if not nodes:
            raise no_cluster(session.cluster, records)
        if not all(map(is_running, nodes)):
            raise not_running(session.cluster)
        self._refuse_unknown_nodes(node_names(nodes))
        return list(filter(self._is_selected, nodes))

    def _refuse_unknown_nodes(self, cluster_nodes: Sequence[str]) -> None:
        """Raise DevenvError if the user named a node that the cluster lacks."""
        unknown_nodes = [name for name in self.node_names if name not in cluster_nodes]
        if unknown_nodes:
            unknown, existing = ", ".join(unknown_nodes), ", ".join(cluster_nodes)
            what = f"The cluster {self.session.cluster} has no node {unknown}."
            reason = f"Its nodes: {existing}."
            raise DevenvError(what, reason, "Nothing was moved.", Exit.USAGE)

    def move(self, source: Source, name: str, nodes: Sequence[NodeImages]) -> Move:
        """Decide how an image gets into the nodes, from what they have."""
        push_cache = self.pusher.read_cache()

        def can_push(layers: AbstractSet[str], share: float) -> bool:
            return self.pusher.is_quick(source.image, layers, share, push_cache)

        loaded_nodes = self._find_loaded_nodes(source.image, name, nodes)
        return plan_move(source, name, nodes, loaded_nodes, can_push)

    def _find_loaded_nodes(self, image: Image, name: str, nodes: Sequence[NodeImages]) -> set[str]:
        """Return the nodes that still have what devenv loaded under the name: this very image.

        Only the containerd store needs the record. On the classic store the engine and the nodes
        call an image by the same ID, and the node itself knows best.
        """
        session = self.session
        if not session.engine.info().containerd_store:
            return set()
        record = Records(session.host).read(session.cluster)
        if record is None:
            return set()
        digests = digests_of(name, nodes)
        loaded_nodes = set()
        for node in session.containers.nodes(session.cluster):
            is_loaded = record.engine_id_in(node.id, name) == image.id
            # If its digest is not the recorded one, another tool has replaced the image since.
            recorded_digest = record.digest_in(node.id, name)
            is_unchanged = recorded_digest in {"", digests.get(node.name)}
            if is_loaded and is_unchanged:
                loaded_nodes.add(node.name)
        return loaded_nodes

    def _find_workloads(self, moves: Sequence[Move], *, fix_pull_policy: bool) -> list[Workload]:
        """Return the workloads that use the images.

        Raises DevenvError for an image that neither a workload nor a pod of AIBrix's names: nothing
        would run it.
        """
        session = self.session
        workloads = Workloads(session.kube, session.clock, session.profile)
        names = [move.name for move in moves]
        using_workloads = workloads.using(names)
        if unused_names := find_unused(names, using_workloads):
            self._refuse_unused(unused_names)
        if not fix_pull_policy:
            pulling_containers = workloads.pulling_containers(using_workloads, names)
            workloads.refuse_pulling(pulling_containers)
        return using_workloads

    def _refuse_unused(self, names: Sequence[str]) -> None:
        """Raise DevenvError if no pod uses one of these images that would get the new one."""
        session = self.session
        finder = LoosePods(session.cluster, session.kube, session.clock, session.reporter)
        loose_pods = finder.using(names)
        remade_pods = [loose for loose in loose_pods if loose.is_remade]
        unused_names = find_unused(names, remade_pods)
        lonely_pods = [loose for loose in loose_pods if loose.images.intersection(unused_names)]
        if lonely_pods:
            raise _only_used_by(unused_names, lonely_pods)
        if unused_names:
            raise self._unused(unused_names)

    def _unused(self, names: Sequence[str]) -> DevenvError:
        """Return the error for images that no workload uses."""
        unused_names = ", ".join(names)
        what = f"No workload uses {unused_names}."
        profile_names = [normalise(image.ref) for image in self.session.profile.cluster_images]
        listed_names = ", ".join(profile_names)
        fix = (
            "Pass the image name that the workload has with --as, or pass --no-restart. "
            f"The profile's images: {listed_names}."
        )
        return DevenvError(what, "Nothing was moved.", fix, Exit.USAGE)


def _only_used_by(names: Sequence[str], loose_pods: Sequence[LoosePod]) -> DevenvError:
    """Return the error for images that only pods use which devenv can't restart."""
    what = f"Only pods that devenv can't restart use {', '.join(names)}."
    reason = "\n".join(map(str, loose_pods))
    fix = "Pass --no-restart, then delete the pods and make them again."
    return DevenvError(what, reason, fix, Exit.USAGE)
