"""`reload-image`: load a rebuilt image into the nodes, restart what uses it, and prove it.

Each layer goes into each node once, and only if the node lacks it. The old image keeps a name
until the new one is proven, so that devenv can return to it. A run that is killed leaves each node
with the whole old image or the whole new one.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field

from devenv.base.errors import DevenvError
from devenv.base.wait import locked
from devenv.gates.leading import require_leaders
from devenv.gates.live import Prober
from devenv.images.formats.image_file import is_file
from devenv.images.nodes.containerd import Nodes
from devenv.images.sources.inplace import InPlace
from devenv.images.sources.stamp import of_labels
from devenv.ports.names import Names
from devenv.reload.build import Build
from devenv.reload.finder import ImageArgument
from devenv.reload.load import Loader, Moved, StartedPush, loading_step
from devenv.reload.loose import LeftPodsError
from devenv.reload.moves import Move, Way
from devenv.reload.plan import Plan, Planner
from devenv.reload.push import Pusher, Sink
from devenv.reload.rollout import Renewed, Rollout
from devenv.reload.undo import Returned, Undo, names_in_nodes, returnable, short_ids
from devenv.restart import Restart
from devenv.session import Session
from devenv.state.own_builds import OwnBuilds
from devenv.state.proven import Return, undo_command
from devenv.state.record import Records, own_context

# Seconds for the last old container to end.
_PODS = 60.0


@dataclass(frozen=True)
class Result:
    """The result of a reload. `seconds`: to build, to move, and to restart and prove."""

    cluster: str
    moved: tuple[Moved, ...]
    renewed: Renewed
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How to reload. `nodes`: by name; empty means all.

    `agree` is asked whether to return to the old image, once the new one has failed.
    `replace_first` is asked whether old pods may end before new ones are ready, once these fit on
    no node beside them.
    """

    restart: bool = True
    fix_pull_policy: bool = False
    build: bool = False
    nodes: Names = ()
    agree: Callable[[DevenvError], bool] = lambda _: False
    replace_first: Callable[[DevenvError], bool] = lambda _: False


@dataclass
class Reload:
    """Reloads images into one cluster."""

    session: Session
    restart: Restart
    prober: Prober
    pusher: Pusher
    in_place: InPlace
    options: Options = field(default_factory=Options)

    @property
    def rollout(self) -> Rollout:
        """Makes the workloads run the images in the nodes."""
        return Rollout(
            session=self.session,
            restart=self.restart,
            prober=self.prober,
            replace_first=self.options.replace_first,
        )

    @property
    def _planner(self) -> Planner:
        return Planner(
            session=self.session,
            pusher=self.pusher,
            node_names=self.options.nodes,
            built=self.options.build,
        )

    def _loader(self, started_push: StartedPush | None = None) -> Loader:
        return Loader(self.session, self.pusher, started_push)

    @property
    def _undo(self) -> Undo:
        return Undo(self.rollout, self.session.engine)

    @property
    def _own_builds(self) -> OwnBuilds:
        session = self.session
        return OwnBuilds(session.cluster, Records(session.host), session.engine)

    def plan(self, arguments: Sequence[ImageArgument]) -> Plan:
        """Plan the reload of these images.

        Raises DevenvError with every problem of the images, before anything moves.
        """
        return self._planner.plan(
            arguments, restart=self.options.restart, fix_pull_policy=self.options.fix_pull_policy
        )

    def run(self, arguments: Sequence[ImageArgument], wait: float) -> Result:
        """Move the images, restart what uses them, prove them, and remove superseded ones.

        `wait`: seconds for another holder of the cluster's lock to end.
        """
        session = self.session
        with self._locked(wait):
            began = session.clock.monotonic()
            self._finish_killed_load()
            if self.options.restart:
                # Refuses a cluster that is not there.
                self._planner.nodes()
                require_leaders(session.kube, session.cluster)
            if self.options.build:
                self._build(arguments)
            built = session.clock.monotonic()
            plan, moved = self._plan_and_load(arguments)
            loaded = session.clock.monotonic()
            renewed = Renewed()
            if self.options.restart:
                renewed = self._renew(plan, moved)
            proven = session.clock.monotonic()
            self._forget_old(plan)
            self._teach_later(moved)
            seconds = {
                "build": built - began,
                "move": loaded - built,
                "restart": proven - loaded,
            }
            return Result(session.cluster, moved, renewed, seconds)

    def _locked(self, wait: float) -> AbstractContextManager[None]:
        session = self.session
        name = f"cluster-{session.cluster}"
        return locked(session.host, session.clock, name, session.reporter.say, wait)

    def _build(self, arguments: Sequence[ImageArgument]) -> None:
        """Build the images, and record the builds.

        A build may also give its image the name that the user asked for, besides the profile's.
        """
        refs = [ref for ref, _ in arguments if not is_file(ref)]
        previous_ids = {ref: self._engine_id(ref) for ref in refs}
        build = Build(self.session.profile, self.in_place)
        build.run([name or ref for ref, name in arguments])
        built_images = {name: list(ids) for name, ids in self.in_place.built_images.items()}
        self.in_place.built_images.clear()
        for ref, previous_id in previous_ids.items():
            image_id = self._engine_id(ref)
            if image_id and image_id != previous_id:
                built_images.setdefault(ref, []).append(image_id)
        self._own_builds.note(built_images)

    def _engine_id(self, ref: str) -> str:
        """Return the ID of the engine's image of that name, "" if it has none."""
        image = self.session.engine.image(ref)
        return image.id if image else ""

    def undo(self, image_names: Sequence[str], wait: float) -> Returned:
        """Return to the images that were proven before.

        `image_names`: the profile's names, or those in the nodes.
        """
        with self._locked(wait):
            return self.undo_locked(image_names)

    def undo_locked(self, image_names: Sequence[str]) -> Returned:
        """Return to the images that were proven before. The caller holds the cluster's lock."""
        session = self.session
        nodes = self._planner.nodes()
        own_context(session.kube, nodes, session.cluster)
        self._finish_killed_load()
        require_leaders(session.kube, session.cluster)
        names = names_in_nodes(session.profile, image_names)
        return self._undo.run(nodes, names)

    def plan_undo(self, image_names: Sequence[str]) -> list[Return]:
        """Return what `undo` would do."""
        nodes = self._planner.nodes()
        names = names_in_nodes(self.session.profile, image_names)
        return self._undo.plan(nodes, names)

    def _plan_and_load(self, arguments: Sequence[ImageArgument]) -> tuple[Plan, tuple[Moved, ...]]:
        """Plan, then move all images. A push that began before the plan always ends here."""
        started_push = self._start_push(arguments)
        try:
            plan = self.plan(arguments)
            if started_push and not _has_one_push(plan):
                started_push.end()
                started_push = None
            if self.options.fix_pull_policy:
                self._fix_pull_policy(plan)
            self._announce(plan)
            return plan, self._load(plan, started_push)
        finally:
            if started_push:
                started_push.end()

    def _announce(self, plan: Plan) -> None:
        """Tell the reporter the steps that come."""
        loading = [loading_step(move.ref) for move in plan.moves]
        renewal = self.rollout.steps(plan.workloads) if self.options.restart else ()
        self.session.reporter.plan((*loading, *renewal))

    def _fix_pull_policy(self, plan: Plan) -> None:
        workloads = self.rollout.workloads
        containers = workloads.pulling_containers(plan.workloads, plan.image_names)
        workloads.fix_pull_policy(containers)

    def _start_push(self, arguments: Sequence[ImageArgument]) -> StartedPush | None:
        """Have the engine begin a push that will surely be needed, while the plan is made.

        That saves 0.2 s.
        """
        ref = self._single_engine_ref(arguments)
        if not ref:
            return None
        image = self.session.engine.image(ref)
        if image is None:
            return None
        push_cache = self.pusher.read_cache()
        if not self.pusher.is_likely(image, push_cache):
            return None
        return self._loader().begin(ref, frozenset(image.layers))

    def _single_engine_ref(self, arguments: Sequence[ImageArgument]) -> str:
        """Return the engine's name of the only image, "" if there are several or it is a file."""
        if len(arguments) != 1:
            return ""
        argument, _ = arguments[0]
        if is_file(argument):
            return ""
        return self._planner.finder.engine_ref(argument)

    def _load(self, plan: Plan, started_push: StartedPush | None) -> tuple[Moved, ...]:
        """Move all images, or none."""
        moved: list[Moved] = []
        with self._loader().replacing.all_or_nothing():
            for move in plan.moves:
                current_move = move
                # The nodes may have got layers with the images before.
                if moved and move.layers:
                    current_move = self._plan_again(move, plan)
                moved.append(self._loader(started_push).run(current_move))
        self._note_moved(moved)
        return tuple(moved)

    def _plan_again(self, move: Move, plan: Plan) -> Move:
        """Plan a move again, from what the nodes have now."""
        containerd = Nodes(self.session.containers)
        nodes = containerd.inventories(plan.node_names)
        return self._planner.move(move.source, move.name, nodes)

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed. Raises DevenvError if that fails in a node."""
        replacing = self._loader().replacing
        if not replacing.is_open():
            return
        # This raises if the nodes are not devenv's own, or not running.
        self._planner.nodes()
        if problems := replacing.undo():
            what = "An interrupted load could not be undone."
            fix = f"Run `devenv up --name {self.session.cluster}`."
            raise DevenvError(what, "\n".join(problems), fix)

    def _note_moved(self, moved: Sequence[Moved]) -> None:
        """Record that all of these images are in the nodes.

        From now on devenv does not undo this load, and an earlier `--undo` does not keep the
        images out.
        """
        session = self.session
        records = Records(session.host)
        refs: dict[str, str] = {}
        for moved_image in moved:
            move = moved_image.move
            refs[move.name] = move.ref
            stamp = of_labels(move.image.labels)
            state = stamp.state if stamp else ""
            records.note_built(session.cluster, move.name, state)
        records.note_refs(session.cluster, refs)
        self.rollout.proven.forget_undone(refs)
        self._loader().replacing.end(refs)

    def _renew(self, plan: Plan, moved: Sequence[Moved]) -> Renewed:
        """Roll out the new images, and prove them.

        If that fails and the user agrees, return to the old ones.
        """
        digests = {moved_image.move.name: moved_image.digest for moved_image in moved}
        expected = dict.fromkeys(plan.node_names, digests)
        try:
            renewed = self.rollout.run(plan.workloads, expected)
        except LeftPodsError:
            # The workloads run the new image, and a return would not change these pods.
            raise
        except DevenvError as error:
            raise self._failed(plan, error) from error
        self.rollout.proven.prove(plan.nodes, list(digests))
        return renewed

    def _failed(self, plan: Plan, error: DevenvError) -> DevenvError:
        """Return to the old images if the user agrees, and return the error to end with."""
        # Images that failed earlier are not needed any more.
        with suppress(DevenvError):
            self._forget_superseded(plan, 0, failed=True)
        names = self.rollout.proven.unproven(plan.nodes, plan.image_names)
        returns = returnable(self.rollout.proven, plan.nodes, names)
        if not returns:
            error.next_step = error.next_step or "Run `devenv doctor` for the cause."
            return error
        hint = self._undo_hint(names, returns)
        error.next_step = f"{hint}\n{error.next_step}".strip()
        if not self.options.agree(error):
            return error
        return self._return_to_old(plan, names)

    def _return_to_old(self, plan: Plan, names: Sequence[str]) -> DevenvError:
        """Return to the old images, and return the error that tells how that ended."""
        try:
            returned = self._undo.run(plan.nodes, names)
        except DevenvError as error:
            error.what = f"The return to the old image failed: {error.what}"
            return error
        failed_names = ", ".join(names)
        outcome = f"the cluster returned to the old image in {returned.seconds:.1f} s"
        return DevenvError(f"{failed_names} did not become ready; {outcome}.")

    def _undo_hint(self, names: Sequence[str], returns: Sequence[Return]) -> str:
        """Return the command that returns to the old images, and which images these are."""
        command = undo_command(self.session.cluster, self.session.profile, names)
        image_ids = short_ids(returns)
        return f"`{command}` returns to {image_ids}, which was proven before."

    def teach(self, refs: Sequence[str]) -> None:
        """Have the engine push images once into nothing, to learn its layers' digests."""
        for ref in refs:
            image = self.session.engine.image(ref)
            # With its name for the push, an image without another name would be removed.
            if image is None or not image.tags:
                continue
            push_cache = self.pusher.read_cache()
            sink = Sink(push_cache, frozenset(image.layers))
            sink.decide(missing_layers=frozenset())
            self.pusher.push(ref, sink, push_cache, lambda _done, _total: None)

    def _teach_later(self, moved: Sequence[Moved]) -> None:
        """Learn the digests of new layers in the background.

        On the classic store the first push of a layer packs it; the user should not wait for that.
        """
        session = self.session
        refs: list[str] = []
        for moved_image in moved:
            move = moved_image.move
            if move.way is Way.ARCHIVE:
                refs.append(move.ref)
        if refs and self._packs_pushes():
            devenv = [sys.executable, "-m", "devenv"]
            argv = [*devenv, "reload-image", "--teach", "--name", session.cluster, *refs]
            log = session.host.state_dir() / "teach.log"
            session.host.spawn(argv, log)

    def _packs_pushes(self) -> bool:
        """Whether a push is possible, and the first one of a layer packs it: the classic store."""
        info = self.session.engine.info()
        return info.local and not info.containerd_store

    def _forget_old(self, plan: Plan) -> None:
        """Remove the images that the moved ones supersede, and what a killed run has left."""
        self.pusher.forget_leftovers()
        # Only after a restart do old containers still have to end.
        seconds = _PODS if self.options.restart else 0
        self._forget_superseded(plan, seconds)

    def _forget_superseded(self, plan: Plan, seconds: float, *, failed: bool = False) -> None:
        """Keep of each name its present image and the one to return to; remove the others.

        That goes for the nodes and, of devenv's own builds, for the engine.
        """
        proven = self.rollout.proven
        proven.forget_superseded(plan.node_names, seconds, failed=failed)
        self._own_builds.forget_superseded()


def _has_one_push(plan: Plan) -> bool:
    """Whether the plan is a single push, of the same layers into all nodes."""
    if len(plan.moves) != 1:
        return False
    move = plan.moves[0]
    return move.way is Way.PUSH and len(move.groups()) == 1
