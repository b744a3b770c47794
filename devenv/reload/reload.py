"""`reload-image`: what changed of an image goes into every node, once; what uses it is restarted; what runs is proven.

The old image keeps a name until the new one is proven, so that there is a way back, and a run that is killed leaves the
node with the old image or the new one, whole.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from devenv.errors import DevenvError
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.images.innode import Nodes
from devenv.images.inplace import InPlace
from devenv.images.load import normalise
from devenv.images.stored import is_file
from devenv.lifecycle.manifests import images_note
from devenv.lifecycle.record import Records
from devenv.lifecycle.restart import Restart
from devenv.lifecycle.steps import prove, step
from devenv.ports import Clock, Containers, Engine, Host, Kube, Reporter
from devenv.profiles.model import Profile
from devenv.reload.build import Build
from devenv.reload.load import Early, Loader, Moved, kept
from devenv.reload.plan import Plan, Planner, Way, in_engine
from devenv.reload.push import Known, Pusher, Sink
from devenv.reload.users import User, Users
from devenv.wait import Deadline, locked, until

_PROOF = 60.0
_PODS = 60.0  # seconds for the last old container to be gone


@dataclass(frozen=True)
class Result:
    """What a reload came to. `restarted`: names of workloads; `pods`: those whose running image was compared."""

    cluster: str
    moved: tuple[Moved, ...]
    restarted: tuple[str, ...]
    pods: tuple[str, ...]
    proofs: tuple[Proof, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)  # to build, to move, to restart and prove


@dataclass(frozen=True)
class Options:
    """How it is done. `nodes`: by name; none means all. `agree` is asked whether to roll back, once the new one has failed."""

    restart: bool = True
    fix_pull_policy: bool = False
    build: bool = False
    nodes: tuple[str, ...] = ()
    agree: Callable[[DevenvError], bool] = lambda _: False


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
    _still: set[str] = field(default_factory=set)  # superseded images that a container has yet

    @property
    def _planner(self) -> Planner:
        return Planner(
            self.cluster, self.profile, self.host, self.clock, self.engine, self.containers, self.kube, self.pusher,
            self.reporter, self.options.nodes,
        )  # fmt: skip

    def _loader(self, early: Early | None = None) -> Loader:
        return Loader(self.cluster, self.host, self.clock, self.engine, self.containers, self.pusher, self.reporter, early)

    def plan(self, wanted: Sequence[tuple[str, str]]) -> Plan:
        """Look, and return what is to be done. `wanted`: (image of the engine or file, name in the nodes or "").

        Raises DevenvError with all that is wrong with the images, before anything moves.
        """
        return self._planner.plan(wanted, restart=self.options.restart, fix_pull_policy=self.options.fix_pull_policy)

    def run(self, wanted: Sequence[tuple[str, str]], wait: float) -> Result:
        """Move, restart, prove, clean up. `wait`: seconds for whoever holds the cluster's lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            began = self.clock.monotonic()
            if self.options.build:
                Build(self.profile, self.in_place).run([name or ref for ref, name in wanted])
            built = self.clock.monotonic()
            users = Users(self.kube, self.clock, self.profile)
            early = self._early(wanted)
            try:
                plan = self.plan(wanted)
                if early and not _fits(plan):
                    early.end()
                    early = None
                if self.options.fix_pull_policy:
                    users.fix_pull_policy(users.always_pulling(plan.users, {m.name for m in plan.moves}))
                moved = self._load(plan, early)
            finally:
                if early:
                    early.end()
            loaded = self.clock.monotonic()
            restarted, pods, proofs = self._renew(users, plan, moved) if self.options.restart else ((), [], [])
            proven = self.clock.monotonic()
            self._forget_old(plan, moved)
            self._teach_later(moved)
            seconds = {"build": built - began, "move": loaded - built, "restart": proven - loaded}
            return Result(self.cluster, moved, restarted, tuple(pods), tuple(proofs), seconds)

    def _early(self, wanted: Sequence[tuple[str, str]]) -> Early | None:
        """Have the engine begin to push what will surely be pushed, while the nodes are looked at: that saves 0.2 s."""
        refs = [in_engine(asked, self.profile) for asked, _ in wanted if not is_file(asked)]
        image = self.engine.image(refs[0]) if len(wanted) == 1 and refs and refs[0] else None
        if image is None:
            return None
        likely = self.pusher.likely(image, Known.read(self.host, self.engine.info().id))
        return self._loader().begin(refs[0], frozenset(image.layers)) if likely else None

    def _load(self, plan: Plan, early: Early | None) -> tuple[Moved, ...]:
        """Move all images; what the first has brought the second need not bring again."""
        moved: list[Moved] = []
        for move in plan.moves:
            again = moved and move.layers
            have = Nodes(self.containers).looks(plan.nodes) if again else []
            moved.append(self._loader(early).run(self._planner.move(move.source, move.name, have) if again else move))
        return tuple(moved)

    def _renew(self, users: Users, plan: Plan, moved: Sequence[Moved]) -> tuple[tuple[str, ...], list[str], list[Proof]]:
        """Have the new image run, and prove it; where it does not, go back if that is agreed to. Raises what was wrong."""
        try:
            restarted = self._restart(users, plan, moved)
            return restarted, self._prove_pods(users, plan, moved), self._prove()
        except DevenvError as error:
            if any(m.old and m.lacks for m in plan.moves) and self.options.agree(error):
                self._roll_back(users, plan)
            raise

    def teach(self, refs: Sequence[str]) -> None:
        """Have the engine push once with nothing kept, so that it knows its layers' digests from then on."""
        for ref in refs:
            if (image := self.engine.image(ref)) and image.tags:  # one without a name would go with the one for the push
                known = Known.read(self.host, self.engine.info().id)
                sink = Sink(known, frozenset(image.layers)).decide(frozenset())
                self.pusher.push(ref, sink, known, lambda _done, _total: None)

    def _teach_later(self, moved: Sequence[Moved]) -> None:
        """On the classic store the first push of a layer packs it: have that done while nobody waits for it."""
        refs = [m.move.ref for m in moved if m.move.way is Way.ARCHIVE]
        if refs and self.engine.info().local and not self.engine.info().containerd_store:
            argv = [sys.executable, "-m", "devenv", "reload-image", "--teach", "--name", self.cluster, *refs]
            self.host.spawn(argv, self.host.state_dir() / "teach.log")

    def _restart(self, users: Users, plan: Plan, moved: Sequence[Moved]) -> tuple[str, ...]:
        """Restart what does not run the image yet, in the profile's order, each gated before the next."""
        digests = {m.move.name: m.digest for m in moved}
        ids = digests | Records(self.host).ids(self.cluster, self.profile)  # as `up` notes them
        names = []
        for user in plan.users:
            if not self._stale(users, user, digests, plan.nodes):
                continue
            if user.component and (user.made_by_gateway or _leads(user)):
                self.restart.run([user.component])
            else:
                with step(self.reporter, f"restart {user.name}"):
                    users.roll(user, images_note(user.obj, ids))
                    users.await_rollout(user)
            names.append(user.name)
        return tuple(names)

    def _stale(self, users: Users, user: User, digests: dict[str, str], nodes: Collection[str]) -> list[str]:
        """Return the user's pods on these nodes that don't run these images, or run nothing. An init container has ended."""
        by_pod = self._running_images()
        wrong = []
        for pod in users.pods(user, nodes):
            for container in user.containers():
                name = normalise(str(container.get("image")))
                runs = by_pod.get((pod["metadata"]["uid"], container["name"]))
                ended = runs is None and container["name"] in user.init
                if name in digests and runs != digests[name] and not ended:
                    wrong.append(pod["metadata"]["name"])
        return wrong

    def _running_images(self) -> dict[tuple[str, str], str]:
        """Return what every running container runs: (the pod's UID, the container's name) → the config's digest."""
        found = {}
        for node in (n for n in self.containers.nodes(self.cluster) if n.status == "running"):
            for container in Nodes(self.containers).running(node.name):
                labels = container.get("labels") or {}
                key = (labels.get("io.kubernetes.pod.uid", ""), labels.get("io.kubernetes.container.name", ""))
                found[key] = str(container.get("imageRef") or "")
        return found

    def _prove_pods(self, users: Users, plan: Plan, moved: Sequence[Moved]) -> list[str]:
        """Return the pods whose running containers have the new image's very config. Raises DevenvError where one has not."""
        digests = {m.move.name: m.digest for m in moved}
        if not plan.users:
            return []

        def missing() -> str:
            return ", ".join(pod for user in plan.users for pod in self._stale(users, user, digests, plan.nodes))

        with step(self.reporter, "compare running images") as note:
            until("The new image in every pod", missing, Deadline(self.clock, _PODS), "See `devenv doctor`.")
            pods = [p["metadata"]["name"] for user in plan.users for p in users.pods(user, plan.nodes)]
            note.append(f"{len(pods)} pods run it")
        return pods

    def _prove(self) -> list[Proof]:
        return prove(self.reporter, self.prober, _PROOF, "Look at it with `devenv doctor`.")

    def _roll_back(self, users: Users, plan: Plan) -> None:
        """Give the name back to the image of before, and restart what uses it."""
        with step(self.reporter, "roll back"):
            for move in plan.moves:
                self._loader().note(move, "")
                for node, digest in move.old:
                    if node in move.nodes:
                        Nodes(self.containers).tag(node, kept(digest), move.name)
            for user in plan.users:
                users.roll(user, f"rollback{time.time_ns()}")
                users.await_rollout(user)

    def _forget_old(self, plan: Plan, moved: Sequence[Moved]) -> None:
        """Remove the superseded images' last names, also those that a killed run has left; containerd then frees them.

        That waits until no container has them. Where one goes on using its image, its name stays: the next run looks again.
        """
        self.pusher.forget_leftovers()
        names = {*plan.superseded, *((node, kept(d)) for m in plan.moves for node, d in m.old if node in m.lacks)}
        if not names:
            return
        new = [m.digest for m in moved]

        def used() -> str:
            running = {kept(digest) for digest in self._running_images().values() if digest not in new}
            self._still = running & {name for _, name in names}
            return ", ".join(sorted(self._still))

        with step(self.reporter, "remove the old image"):
            with suppress(DevenvError):
                until("The end of the old containers", used, Deadline(self.clock, _PODS if self.options.restart else 0))
            for node, name in sorted(names):
                if name not in self._still:
                    Nodes(self.containers).untag(node, name)


def _fits(plan: Plan) -> bool:
    """Whether a push that has begun is the one that is planned."""
    return len(plan.moves) == 1 and plan.moves[0].way is Way.PUSH and len(plan.moves[0].groups()) == 1


def _leads(user: User) -> bool:
    return (user.obj["metadata"].get("labels") or {}).get("control-plane") == "envoy-gateway"
