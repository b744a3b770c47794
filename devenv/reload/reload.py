"""`reload-image`: what changed of an image goes into every node, once; what uses it is restarted; what runs is proven.

The old image keeps a name until the new one is proven, so that there is a way back, and a run that is killed leaves the
node with the old image or the new one, whole.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from devenv.errors import DevenvError
from devenv.gates.live import Prober
from devenv.images.innode import Nodes
from devenv.images.inplace import InPlace
from devenv.images.stamp import of_labels
from devenv.images.stored import is_file
from devenv.lifecycle.ownbuilds import OwnBuilds
from devenv.lifecycle.proven import Return, short, undo_command
from devenv.lifecycle.record import Records, own_context
from devenv.lifecycle.restart import Restart
from devenv.ports import Clock, Containers, Engine, Host, Kube, Reporter
from devenv.profiles.model import Profile
from devenv.reload.build import Build
from devenv.reload.load import Early, Loader, Moved
from devenv.reload.plan import Plan, Planner, Way, in_engine
from devenv.reload.push import Known, Pusher, Sink
from devenv.reload.rollout import Renewed, Rollout
from devenv.reload.undo import Returned, Undo, names_in_nodes, returnable
from devenv.wait import locked

# Seconds for the last old container to be gone.
_PODS = 60.0


@dataclass(frozen=True)
class Result:
    """What a reload came to."""

    cluster: str
    moved: tuple[Moved, ...]
    renewed: Renewed
    # To build, to move, to restart and prove.
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How it is done. `nodes`: by name; none means all.

    `agree` is asked whether to return to the old image, once the new one has failed; `replace_first`, whether old pods may
    end before new ones are ready, once these find no room beside them.
    """

    restart: bool = True
    fix_pull_policy: bool = False
    build: bool = False
    nodes: tuple[str, ...] = ()
    agree: Callable[[DevenvError], bool] = lambda _: False
    replace_first: Callable[[DevenvError], bool] = lambda _: False


@dataclass
class Reload:
    """One reload into one cluster."""

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kube: Kube
    reporter: Reporter
    restart: Restart
    prober: Prober
    pusher: Pusher
    in_place: InPlace
    options: Options = field(default_factory=Options)

    @property
    def rollout(self) -> Rollout:
        """Who has the workloads run what is in the nodes."""
        return Rollout(
            self.cluster, self.profile, self.host, self.clock, self.containers, self.kube, self.reporter, self.restart,
            self.prober, self.options.replace_first,
        )  # fmt: skip

    @property
    def _planner(self) -> Planner:
        return Planner(
            self.cluster, self.profile, self.host, self.clock, self.engine, self.containers, self.kube, self.pusher,
            self.reporter, self.options.nodes, self.options.build,
        )  # fmt: skip

    def _loader(self, early: Early | None = None) -> Loader:
        return Loader(
            self.cluster,
            self.host,
            self.clock,
            self.engine,
            self.containers,
            self.pusher,
            self.reporter,
            early,
        )

    def plan(self, arguments: Sequence[tuple[str, str]]) -> Plan:
        """Look, and return what is to be done. `arguments`: (image of the engine or file, name in the nodes or "").

        Raises DevenvError with all that is wrong with the images, before anything moves.
        """
        return self._planner.plan(
            arguments, restart=self.options.restart, fix_pull_policy=self.options.fix_pull_policy
        )

    def run(self, arguments: Sequence[tuple[str, str]], wait: float) -> Result:
        """Move, restart, prove, clean up. `wait`: seconds for whoever holds the cluster's lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            began = self.clock.monotonic()
            self._finish_killed_load()
            if self.options.build:
                self._build(arguments)
            built = self.clock.monotonic()
            early = self._early(arguments)
            try:
                plan = self.plan(arguments)
                if early and not _fits(plan):
                    early.end()
                    early = None
                if self.options.fix_pull_policy:
                    users = self.rollout.users
                    users.fix_pull_policy(
                        users.always_pulling(plan.users, {m.name for m in plan.moves})
                    )
                moved = self._load(plan, early)
            finally:
                if early:
                    early.end()
            loaded = self.clock.monotonic()
            renewed = self._renew(plan, moved) if self.options.restart else Renewed()
            proven = self.clock.monotonic()
            self._forget_old(plan)
            self._teach_later(moved)
            seconds = {"build": built - began, "move": loaded - built, "restart": proven - loaded}
            return Result(self.cluster, moved, renewed, seconds)

    def _build(self, arguments: Sequence[tuple[str, str]]) -> None:
        """Build the images, and note which ones the builds made: also under the names asked for."""
        refs = [ref for ref, _ in arguments if not is_file(ref)]
        previous_images = {ref: self.engine.image(ref) for ref in refs}
        Build(self.profile, self.in_place).run([name or ref for ref, name in arguments])
        built_images = {name: list(ids) for name, ids in self.in_place.built_images.items()}
        self.in_place.built_images.clear()
        for ref, older in previous_images.items():
            newer = self.engine.image(ref)
            if newer and (older is None or newer.id != older.id):
                built_images.setdefault(ref, []).append(newer.id)
        self._own_builds.note(built_images)

    def undo(self, image_names: Sequence[str], wait: float) -> Returned:
        """Return to the images that were proven before. `image_names`: names of the profile, or of the nodes."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            return self.undo_locked(image_names)

    def undo_locked(self, image_names: Sequence[str]) -> Returned:
        """Return to the images that were proven before, where the caller holds the cluster's lock."""
        nodes = self._planner.nodes()
        own_context(self.kube, nodes, self.cluster)
        self._finish_killed_load()
        return Undo(self.rollout, self.engine).run(nodes, names_in_nodes(self.profile, image_names))

    def plan_undo(self, image_names: Sequence[str]) -> list[Return]:
        """Return what `undo` would do."""
        return Undo(self.rollout, self.engine).plan(
            self._planner.nodes(), names_in_nodes(self.profile, image_names)
        )

    def _early(self, arguments: Sequence[tuple[str, str]]) -> Early | None:
        """Have the engine begin to push what will surely be pushed, while the nodes are looked at: that saves 0.2 s."""
        has = self._planner.has
        refs = [
            in_engine(a, self.profile, has, built=self.options.build)
            for a, _ in arguments
            if not is_file(a)
        ]
        image = self.engine.image(refs[0]) if len(arguments) == 1 and refs and refs[0] else None
        if image is None:
            return None
        likely = self.pusher.likely(image, Known.read(self.host, self.engine.info().id))
        return self._loader().begin(refs[0], frozenset(image.layers)) if likely else None

    def _load(self, plan: Plan, early: Early | None) -> tuple[Moved, ...]:
        """Move all images, or none. What one image brought, the next need not bring again."""
        moved: list[Moved] = []
        with self._loader().replacing.all_or_nothing():
            for move in plan.moves:
                must_replan = moved and move.layers
                have = (
                    Nodes(self.containers).looks([n.name for n in plan.nodes])
                    if must_replan
                    else []
                )
                planned = self._planner.move(move.source, move.name, have) if must_replan else move
                moved.append(self._loader(early).run(planned))
        self._note_moved(moved)
        return tuple(moved)

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed. Raises DevenvError if that fails in a node."""
        replacing = self._loader().replacing
        if not replacing.is_open():
            return
        # They are devenv's own, and run.
        self._planner.nodes()
        if problems := replacing.undo():
            what = "An interrupted load could not be undone."
            raise DevenvError(what, "\n".join(problems), f"Run `devenv up --name {self.cluster}`.")

    def _note_moved(self, moved: Sequence[Moved]) -> None:
        """Note that all images are in the nodes: this load is no longer undone, and an old `--undo` no longer blocks them."""
        for moved_image in moved:
            mark = of_labels(moved_image.move.image.labels)
            Records(self.host).note_built(
                self.cluster, moved_image.move.name, mark.state if mark else ""
            )
        Records(self.host).note_refs(
            self.cluster, {moved_image.move.name: moved_image.move.ref for moved_image in moved}
        )
        names = [moved_image.move.name for moved_image in moved]
        self.rollout.proven.forget_undone(names)
        self._loader().replacing.end(names)

    def _renew(self, plan: Plan, moved: Sequence[Moved]) -> Renewed:
        """Have the new images run, and prove it; where they don't, return to the old ones if that is agreed to."""
        digests = {m.move.name: m.digest for m in moved}
        try:
            renewed = self.rollout.run(plan.users, {node.name: digests for node in plan.nodes})
        except DevenvError as error:
            raise self._failed(plan, error) from error
        self.rollout.proven.prove(plan.nodes, list(digests))
        return renewed

    def _failed(self, plan: Plan, error: DevenvError) -> DevenvError:
        """Return to the old images if that is agreed to, and return the error to end with."""
        # Earlier failures no longer matter.
        with suppress(DevenvError):
            self._forget_superseded(plan, 0, failed=True)
        names = self.rollout.proven.unproven(plan.nodes, [m.name for m in plan.moves])
        returns = returnable(self.rollout.proven, plan.nodes, names)
        if not returns:
            error.next_step = error.next_step or "`devenv doctor` has the cause."
            return error
        error.next_step = f"{self._undo_hint(names, returns)}\n{error.next_step}".strip()
        if not self.options.agree(error):
            return error
        try:
            returned = Undo(self.rollout, self.engine).run(plan.nodes, names)
        except DevenvError as second:
            second.what = f"The return to the old image failed: {second.what}"
            return second
        what = f"{', '.join(names)} did not become ready; the cluster returned to the old image in {returned.seconds:.1f} s."
        return DevenvError(what)

    def _undo_hint(self, names: Sequence[str], returns: Sequence[Return]) -> str:
        """Return the command that returns to the old images, and which they are."""
        images = ", ".join(sorted({short(image_return.image) for image_return in returns}))
        return f"`{undo_command(self.cluster, self.profile, names)}` returns to {images}, which was proven before."

    def teach(self, refs: Sequence[str]) -> None:
        """Have the engine push once with nothing kept, so that it knows its layers' digests from then on."""
        for ref in refs:
            if (
                image := self.engine.image(ref)
                # One without a name would go with the one for the push.
            ) and image.tags:
                push_cache = Known.read(self.host, self.engine.info().id)
                sink = Sink(push_cache, frozenset(image.layers)).decide(frozenset())
                self.pusher.push(ref, sink, push_cache, lambda _done, _total: None)

    def _teach_later(self, moved: Sequence[Moved]) -> None:
        """On the classic store the first push of a layer packs it: have that done while nobody waits for it."""
        refs = [m.move.ref for m in moved if m.move.way is Way.ARCHIVE]
        if refs and self.engine.info().local and not self.engine.info().containerd_store:
            argv = [
                sys.executable,
                "-m",
                "devenv",
                "reload-image",
                "--teach",
                "--name",
                self.cluster,
                *refs,
            ]
            self.host.spawn(argv, self.host.state_dir() / "teach.log")

    def _forget_old(self, plan: Plan) -> None:
        """Remove what the images that were moved have superseded, and what a killed run has left."""
        self.pusher.forget_leftovers()
        self._forget_superseded(plan, _PODS if self.options.restart else 0)

    def _forget_superseded(self, plan: Plan, seconds: float, *, failed: bool = False) -> None:
        """Keep, of each name, its present image and the one to return to.

        That is so in the nodes and, of devenv's own builds, in the engine.
        """
        self.rollout.proven.forget_superseded([n.name for n in plan.nodes], seconds, failed=failed)
        self._own_builds.forget_superseded()

    @property
    def _own_builds(self) -> OwnBuilds:
        return OwnBuilds(self.cluster, Records(self.host), self.engine)


def _fits(plan: Plan) -> bool:
    """Whether a push that has begun is the one that is planned."""
    return (
        len(plan.moves) == 1 and plan.moves[0].way is Way.PUSH and len(plan.moves[0].groups()) == 1
    )
