"""`reload-image`: what changed of an image goes into every node, once; what uses it is restarted; what runs is proven.

The old image keeps a name until the new one is proven, so that there is a way back, and a run that is killed leaves the
node with the old image or the new one, whole.
"""

import difflib
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.facts.live import Proof
from devenv.gates.live import Prober
from devenv.images.load import normalise
from devenv.lifecycle.record import Records, own_context, own_nodes
from devenv.lifecycle.restart import Restart
from devenv.lifecycle.steps import prove, step
from devenv.ports import Clock, Containers, Engine, Host, Image, Kube, Node, Reporter
from devenv.profiles.model import Profile
from devenv.profiles.quantities import show
from devenv.reload.build import Build
from devenv.reload.layers import lacking
from devenv.reload.layout import Layout
from devenv.reload.node import KEPT, NodeImages, Nodes
from devenv.reload.push import Known, Pusher, Sink
from devenv.reload.users import User, Users
from devenv.wait import Deadline, locked, until

_NAME = re.compile(r"(?:sha256:)?[a-z0-9][a-z0-9._/:-]*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?", re.ASCII)
_NEAR = 0.6  # of 1: how much of a name must be alike to be named
_CRI = 30.0  # seconds for the CRI to know what containerd has
_PROOF = 60.0
_PODS = 60.0  # seconds for the last old container to be gone
_SPARE = 64 << 20  # bytes that a node keeps beside what comes


class Way(StrEnum):
    """How an image comes into the nodes."""

    PRESENT = "present"  # nothing to move
    RETAG = "retag"  # it is there under another name
    PUSH = "push"  # the engine pushes what is missing, blob by blob, to this machine's loopback
    ARCHIVE = "archive"  # the engine's stream, with only the layers that are missing


@dataclass(frozen=True)
class Move:
    """One image, as it is to come into the nodes. `layers`: diff IDs that some node lacks; `bytes`: at most, if all come."""

    ref: str
    name: str  # in the nodes
    image: Image
    way: Way
    nodes: tuple[str, ...]  # those that lack something
    layers: frozenset[str] = frozenset()
    old: tuple[tuple[str, str], ...] = ()  # (node, config digest of what had the name)


@dataclass(frozen=True)
class Moved:
    """What became of one image. `sent` in bytes of layers; times in seconds."""

    move: Move
    digest: str  # of its config
    sent: int
    seconds: dict[str, float]


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
class Plan:
    """What would be done."""

    moves: tuple[Move, ...]
    users: tuple[User, ...]


@dataclass(frozen=True)
class Options:
    """How it is done."""

    restart: bool = True
    fix_pull_policy: bool = False
    rollback: bool = False
    build: bool = False


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
    options: Options = field(default_factory=Options)

    def plan(self, wanted: Sequence[tuple[str, str]]) -> Plan:
        """Look, and return what is to be done. `wanted`: (image in the engine, name in the nodes or "").

        Raises DevenvError with all that is wrong with the images, before anything moves.
        """
        nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
        self._running(nodes)
        own_context(self.kube, nodes, self.cluster)
        images = self._images(wanted)
        have = [Nodes(self.containers).look(n.name) for n in nodes]
        moves = tuple(self._move(ref, name, image, have) for ref, name, image in images)
        self._room(moves, have)
        users = Users(self.kube, self.clock, self.profile)
        found = users.of({m.name for m in moves})
        if self.options.restart:
            self._used(moves, found)
        if self.options.restart and not self.options.fix_pull_policy:
            users.refuse_always(users.always_pulling(found, {m.name for m in moves}))
        return Plan(moves, tuple(found))

    def _running(self, nodes: list[Node]) -> None:
        if not nodes or any(n.status != "running" for n in nodes):
            what = f"The cluster {self.cluster} is not running." if nodes else f"There is no cluster {self.cluster}."
            raise DevenvError(what, next_step=f"Run `devenv up --name {self.cluster}`.")

    def _images(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[str, str, Image]]:
        found, problems = [], []
        architecture = self.engine.info().architecture
        own = {i.name: i.ref for i in self.profile.images}
        for asked, name in wanted:
            ref = own.get(asked, asked)  # an image of the profile may be called by its name there
            if bad := [n for n in (ref, name) if n and not _NAME.fullmatch(n)]:
                problems.append(f"{bad[0]!r} is no name of an image")
                continue
            image = self.engine.image(ref)
            if image is None:
                near = difflib.get_close_matches(ref, self.engine.names(), 3, _NEAR)
                problems.append(f"{ref}: the engine has no such image{'; near it: ' + ', '.join(near) if near else ''}")
            elif image.architecture != architecture:
                problems.append(f"{ref} is for {image.architecture}; the nodes run {architecture}")
            elif not name and ref.startswith("sha256:"):
                problems.append(f"{ref} is an ID: say under which name the nodes know it, with --as")
            else:
                found.append((ref, normalise(name or ref), image))
        if problems:
            raise DevenvError("Images can't be loaded.", "\n".join(problems), "Nothing was moved.", Exit.USAGE)
        return found

    def _move(self, ref: str, name: str, image: Image, have: Sequence[NodeImages]) -> Move:
        record = Records(self.host).read(self.cluster)
        loaded = record.loaded if record else {}
        ids = {node.id: node.name for node in self.containers.nodes(self.cluster)}
        known = {ids[i] for i, names in loaded.items() if i in ids and names.get(name) == image.id}
        lacks = [h for h in have if not (h.id_of(name) and (h.node in known or h.id_of(name) == image.id))]
        old = tuple((h.node, digest) for h in have if (digest := h.id_of(name)))
        if not lacks:
            return Move(ref, name, image, Way.PRESENT, (), old=old)
        nodes = tuple(h.node for h in lacks)
        if all(h.images.get(image.id) for h in lacks):  # one without a name can't be given another
            return Move(ref, name, image, Way.RETAG, nodes, old=old)
        layers = frozenset().union(*(lacking(image.layers, h.snapshots) for h in lacks))
        quick = self.pusher.usable(frozenset(image.layers), layers, self._known())
        return Move(ref, name, image, Way.PUSH if quick else Way.ARCHIVE, nodes, layers, old)

    def _known(self) -> Known:
        return Known.read(self.host, self.engine.info().id)

    def _used(self, moves: Sequence[Move], users: Sequence[User]) -> None:
        """Refuse an image that no workload names: it would be loaded, and nothing would run it."""
        without = [m.name for m in moves if not any(m.name in u.images for u in users)]
        if without:
            names = ", ".join(normalise(i.ref) for i in self.profile.cluster_images)
            fix = f"Say the name that the workload has with --as, or --no-restart. The profile's images: {names}."
            raise DevenvError(f"No workload uses {', '.join(without)}.", "Nothing was moved.", fix, Exit.USAGE)

    def _room(self, moves: Sequence[Move], have: Sequence[NodeImages]) -> None:
        """Refuse what would fill a node's disk. How large a layer is only the image's size bounds."""
        problems = []
        for look in have:
            wanted = sum(m.image.size for m in moves if look.node in m.nodes and len(m.layers) == len(m.image.layers))
            if wanted and look.space.free < wanted + _SPARE:
                problems.append(f"{look.node} has {show(look.space.free)} free; {show(wanted + _SPARE)} are needed")
        if problems:
            fix = "`devenv doctor` shows what is full; `docker system df` what takes it."
            raise DevenvError("There is no room.", "\n".join(problems), fix, Exit.PREREQUISITE)

    # Doing it

    def run(self, wanted: Sequence[tuple[str, str]], wait: float) -> Result:
        """Move, restart, prove, clean up. `wait`: seconds for whoever holds the cluster's lock."""
        with locked(self.host, self.clock, f"cluster-{self.cluster}", self.reporter.say, wait):
            began = self.clock.monotonic()
            if self.options.build:
                Build(self.host, self.profile, self.reporter).run([name or ref for ref, name in wanted])
            built = self.clock.monotonic()
            plan = self.plan(wanted)
            users = Users(self.kube, self.clock, self.profile)
            if self.options.fix_pull_policy:
                users.fix_pull_policy(users.always_pulling(plan.users, {m.name for m in plan.moves}))
            moved = tuple(self._do(m) for m in plan.moves)
            loaded = self.clock.monotonic()
            restarted: tuple[str, ...] = ()
            pods: list[str] = []
            proofs: list[Proof] = []
            if self.options.restart:
                try:
                    restarted = self._restart(users, plan, moved)
                    pods = self._prove_pods(users, plan.users, moved)
                    proofs = self._prove()
                except DevenvError:
                    if self.options.rollback:
                        self._roll_back(users, plan)
                    raise
            proven = self.clock.monotonic()
            self._forget_old(moved)
            self._teach_later(moved)
            seconds = {"build": built - began, "move": loaded - built, "restart": proven - loaded}
            return Result(self.cluster, moved, restarted, tuple(pods), tuple(proofs), seconds)

    def _do(self, move: Move) -> Moved:
        began = self.clock.monotonic()
        with step(self.reporter, f"load {move.ref}") as note:
            self._keep_old(move)
            sent, digest = 0, move.image.id
            if move.way is Way.RETAG:
                for node in move.nodes:
                    self._retag(node, move)
            elif move.way is Way.PUSH:
                sent, digest = self._push(move)
            elif move.way is Way.ARCHIVE:
                sent, digest = self._send(move, move.layers)
            elif move.old:
                digest = move.old[0][1]
            self._await_cri(move, digest)
            self._note(move.name, move.image.id)
            note.append(f"{move.way}, {show(sent)} of {show(move.image.size)} sent")
        return Moved(move, digest, sent, {"move": self.clock.monotonic() - began})

    def _note(self, name: str, image: str) -> None:
        """Remember what every node has under the name, as `up` does."""
        for node in self.containers.nodes(self.cluster):
            Records(self.host).note_image(self.cluster, node.id, name, image)

    def _keep_old(self, move: Move) -> None:
        """Give what has the name now another one, so that it stays until the new one is proven."""
        for node, digest in move.old:
            if node in move.nodes:
                Nodes(self.containers).tag(node, move.name, _kept(digest))

    def _retag(self, node: str, move: Move) -> None:
        nodes = Nodes(self.containers)
        names = nodes.look(node).images[move.image.id]
        nodes.tag(node, names[0], move.name)

    def _send(self, move: Move, layers: frozenset[str]) -> tuple[int, str]:
        """Stream into all nodes; return bytes of layers and the config's digest.

        Where a node has lost a layer in between, everything is sent again.
        """
        layout = Layout(move.name, move.image.layers, layers)
        stream = self.engine.save([move.ref], f"linux/{self.engine.info().architecture}")
        shown = self._shown(f"load {move.ref}", layout.convert(stream), move.image.size)
        done = Nodes(self.containers).receive(move.nodes, shown)
        failed = {node: d for node, d in done.items() if d.code != 0}
        if failed and layers != frozenset(move.image.layers) and all("not found" in d.output for d in failed.values()):
            return self._send(move, frozenset(move.image.layers))
        if failed:
            why = "\n".join(f"{node}: {d.output[-500:].strip()}" for node, d in failed.items())
            raise DevenvError(f"{move.ref} could not be loaded.", why, "The nodes keep the image that they had.")
        return layout.sent, layout.config

    def _push(self, move: Move) -> tuple[int, str]:
        """Have the engine push, and pass on what came; return bytes of layers and the config's digest.

        Where a node has lost a layer in between, everything is sent, the other way.
        """
        known, name = self._known(), f"load {move.ref}"
        sink = Sink(known, frozenset(move.image.layers), move.layers)

        def progress(done: int, total: int) -> None:
            self.reporter.update(name, done, max(total, 1), "bytes")

        try:
            with self.pusher.pushed(move.ref, sink, known, progress):
                sent, config = sink.sent, sink.config
                done = Nodes(self.containers).receive(move.nodes, sink.layout(move.name))
        except NotReachableError:
            raise
        except DevenvError as error:  # an engine that can't reach this machine's loopback, for one
            self.reporter.say(f"{error.what} It goes by archive.")
            return self._send(move, move.layers)
        if all(d.code == 0 for d in done.values()):
            return sent, config
        return self._send(move, frozenset(move.image.layers))

    def teach(self, refs: Sequence[str]) -> None:
        """Have the engine push once with nothing kept, so that it knows its layers' digests from then on."""
        for ref in refs:
            if image := self.engine.image(ref):
                known = self._known()
                sink = Sink(known, frozenset(image.layers), frozenset())
                with self.pusher.pushed(ref, sink, known, lambda _done, _total: None):
                    pass

    def _teach_later(self, moved: Sequence[Moved]) -> None:
        """On the classic store the first push of a layer packs it: have that done while nobody waits for it."""
        refs = [m.move.ref for m in moved if m.move.way is Way.ARCHIVE]
        if refs and self.engine.info().local and not self.engine.info().containerd_store:
            argv = [sys.executable, "-m", "devenv", "reload-image", "--teach", "--name", self.cluster, *refs]
            self.host.spawn(argv, self.host.state_dir() / "teach.log")

    def _shown(self, name: str, stream: Iterator[bytes], size: int) -> Iterator[bytes]:
        sent = 0
        for chunk in stream:
            sent += len(chunk)
            self.reporter.update(name, sent, max(size, sent), "bytes")
            yield chunk

    def _await_cri(self, move: Move, digest: str) -> None:
        def missing() -> str:
            nodes = Nodes(self.containers)
            return ", ".join(node for node in move.nodes if move.name not in nodes.images(node).get(digest, ()))

        until(f"{move.name} in the nodes", missing, Deadline(self.clock, _CRI))

    def _restart(self, users: Users, plan: Plan, moved: Sequence[Moved]) -> tuple[str, ...]:
        """Restart what does not run the image yet, in the profile's order, each gated before the next."""
        digests = {m.move.name: m.digest for m in moved}
        names = []
        for user in plan.users:
            mine = {digests[n] for n in user.images if n in digests}
            if not self._stale(users, user, digests):
                continue
            if user.component and (user.made_by_gateway or _leads(user)):
                self.restart.run([user.component])
            else:
                with step(self.reporter, f"restart {user.name}"):
                    users.roll(user, "".join(sorted(mine)))
                    users.await_rollout(user)
            names.append(user.name)
        return tuple(names)

    def _stale(self, users: Users, user: User, digests: dict[str, str]) -> list[str]:
        """Return the user's pods that run something else than these images."""
        by_pod = self._running_images()
        wrong = []
        for pod in users.pods(user):
            for container in user.containers():
                name = normalise(str(container.get("image")))
                runs = by_pod.get((pod["metadata"]["uid"], container["name"]))
                if name in digests and runs is not None and runs != digests[name]:
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

    def _prove_pods(self, users: Users, every: Sequence[User], moved: Sequence[Moved]) -> list[str]:
        """Return the pods whose running containers have the new image's very config. Raises DevenvError where one has not."""
        digests = {m.move.name: m.digest for m in moved}
        if not every:
            return []

        def missing() -> str:
            return ", ".join(pod for user in every for pod in self._stale(users, user, digests))

        with step(self.reporter, "compare running images") as note:
            until("The new image in every pod", missing, Deadline(self.clock, _PODS), "See `devenv doctor`.")
            pods = [p["metadata"]["name"] for user in every for p in users.pods(user)]
            note.append(f"{len(pods)} pods run it")
        return pods

    def _prove(self) -> list[Proof]:
        return prove(self.reporter, self.prober, _PROOF, "Look at it with `devenv doctor`.")

    def _roll_back(self, users: Users, plan: Plan) -> None:
        """Give the name back to the image of before, and restart what uses it."""
        with step(self.reporter, "roll back"):
            for move in plan.moves:
                for node, digest in move.old:
                    if node in move.nodes:
                        Nodes(self.containers).tag(node, _kept(digest), move.name)
            for user in plan.users:
                users.roll(user, f"rollback{time.time_ns()}")
                users.await_rollout(user)
            for move in plan.moves:
                self._note(move.name, "")

    def _forget_old(self, moved: Sequence[Moved]) -> None:
        """Remove the superseded images' last names, also those that a killed run has left; containerd then frees them.

        That waits until no container has them. Where one goes on using its image, its name stays: the next run looks again.
        """
        names = self._leftovers()
        if not names:
            return
        new = [m.digest for m in moved]

        def used() -> str:
            running = [d for d in self._running_images().values() if d not in new]
            return ", ".join(sorted(n for _, n in names if any(_kept(d) == n for d in running)))

        with step(self.reporter, "remove the old image"), suppress(DevenvError):
            until("The end of the old containers", used, Deadline(self.clock, _PODS))
            for node, name in names:
                Nodes(self.containers).untag(node, name)

    def _leftovers(self) -> list[tuple[str, str]]:
        """Return the names under which nodes keep superseded images, as (node, name)."""
        running = [n.name for n in self.containers.nodes(self.cluster) if n.status == "running"]
        return [(node, name) for node in running for name in Nodes(self.containers).leftovers(node)]


def _kept(digest: str) -> str:
    return f"{KEPT}:{digest.removeprefix('sha256:')[:32]}"


def _leads(user: User) -> bool:
    return (user.obj["metadata"].get("labels") or {}).get("control-plane") == "envoy-gateway"
