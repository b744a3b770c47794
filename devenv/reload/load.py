"""Moves images into the nodes, each by the way that the plan chose, and waits until the CRI knows them."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from devenv.disk.history import History
from devenv.disk.keep import short_name
from devenv.errors import DevenvError, NotReachableError
from devenv.images.innode import Nodes, incoming_name, lost
from devenv.images.layout import Layout, renamed
from devenv.lifecycle.proven import ProvenImages
from devenv.lifecycle.record import Records
from devenv.lifecycle.replacing import Replacing
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Completed, Containers, Engine, Host, Reporter
from devenv.profiles.quantities import show
from devenv.reload.plan import Move, Way
from devenv.reload.push import Known, Pusher, Sink
from devenv.wait import Deadline, until

# Seconds for the CRI to know what containerd has.
_CRI = 30.0
# How often an image is sent where nodes lose layers meanwhile.
_AGAIN = 3


# Node → config digest → names.
_Known = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Moved:
    """What became of one image. `sent` in bytes of layers; times in seconds."""

    move: Move
    # Of its config.
    digest: str
    sent: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class Early:
    """A push that has begun."""

    ref: str
    sink: Sink
    pool: ThreadPoolExecutor
    pushed: Future[None]

    def end(self) -> None:
        """Let go of it; where nothing was decided, the engine is refused."""
        self.sink.refuse()
        self.pool.shutdown()
        self.sink.close()


@dataclass(frozen=True)
class Loader:
    """Moves images."""

    cluster: str
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    pusher: Pusher
    reporter: Reporter
    # A push that has begun.
    early: Early | None = None

    @property
    def replacing(self) -> Replacing:
        """What gives the nodes back the images that they had."""
        records = Records(self.host)
        proven = ProvenImages(self.cluster, records, self.containers, self.clock, self.reporter)
        return Replacing(self.cluster, records, self.containers, proven)

    def begin(self, ref: str, layers: frozenset[str]) -> Early:
        """Have the engine begin to push; it waits for the decision what is wanted."""
        push_cache = Known.read(self.host, self.engine.info().id)
        sink = Sink(push_cache, layers)

        def progress(sent: int, total: int) -> None:
            self.reporter.update(f"load {ref}", sent, max(total, 1), "bytes")

        pool = ThreadPoolExecutor(1)
        return Early(
            ref, sink, pool, pool.submit(self.pusher.push, ref, sink, push_cache, progress)
        )

    def run(self, move: Move) -> Moved:
        """Return when every node's CRI has the image under its name.

        Raises DevenvError; `replacing` then gives the nodes back what they had.
        """
        began = self.clock.monotonic()
        with step(self.reporter, f"load {move.ref}") as note:
            sent, digest, cri_images = self._move(move)
            self._await_cri(move, digest, cri_images)
            self._note(move, move.image.id, digest)
            self._remember_name(move, digest)
            note.append(f"{move.way}, {show(sent)} of {show(move.image.size)} sent")
        return Moved(move, digest, sent, {"move": self.clock.monotonic() - began})

    def _move(self, move: Move) -> tuple[int, str, _Known]:
        """Return bytes of layers, the config's digest, and which images the nodes' CRIs know."""
        if move.way is Way.PRESENT:
            return 0, move.old[0][1], {}
        self._assume_proven(move)
        # Meanwhile the engine begins.
        with ThreadPoolExecutor(1) as pool:
            keeping = pool.submit(self._begin_replacing, move)
            if move.way is Way.RETAG:
                keeping.result()
                self._retag(move)
                return 0, move.image.id, {}
            cri_images: _Known = {}
            sent, digest = 0, ""
            for layers, nodes in move.groups():
                if move.way is Way.PUSH:
                    group_sent, digest, group_images = self._push(
                        move, layers, nodes, keeping.result
                    )
                else:
                    keeping.result()
                    group_sent, digest, group_images = self._send(move, layers, nodes)
                sent += group_sent
                cri_images |= group_images
        return sent, digest, cri_images

    def _note(self, move: Move, image: str, digest: str) -> None:
        """Remember what the nodes have under the name, as `up` does."""
        for node in self.containers.nodes(self.cluster):
            if node.name in move.lacks:
                Records(self.host).note_image(self.cluster, node.id, move.name, image, digest)

    def _begin_replacing(self, move: Move) -> None:
        """Have the nodes keep the image that has the name now, until the new one is proven and for `--undo`."""
        digests = dict(move.old)
        for node in self.containers.nodes(self.cluster):
            if node.name in move.lacks:
                self.replacing.begin(node, {move.name: digests.get(node.name, "")})

    def _remember_name(self, move: Move, digest: str) -> None:
        """Remember the image's name: once a newer image has it, nothing else tells."""
        names = dict.fromkeys((move.image.id, digest), short_name(move.name))
        History(self.host, self.clock).former_names(self.engine.info().id, names)

    def _assume_proven(self, move: Move) -> None:
        digests = dict(move.old)
        for node in self.containers.nodes(self.cluster):
            if node.name in move.lacks and node.name in digests:
                self.replacing.proven.assume(node, move.name, digests[node.name])

    def _retag(self, move: Move) -> None:
        nodes = Nodes(self.containers)
        for node in move.nodes:
            nodes.tag(node, nodes.images(node)[move.image.id][0], move.name)

    def _send(
        self, move: Move, layers: frozenset[str], nodes: tuple[str, ...], tries: int = _AGAIN
    ) -> tuple[int, str, _Known]:
        """Stream into the nodes. Where one has lost a layer in between, everything is sent again."""
        all_layers = frozenset(move.image.layers)
        name = incoming_name(move.name)
        layout = Layout({move.ref: [name]}, all_layers, layers)
        digest, size = move.image.id, move.bytes(layers)
        if stored := move.source.stored:
            stream = stored.layout(name, layers)
        elif layers == all_layers and not self.engine.info().containerd_store:
            stream = renamed(self._saved(move), {move.ref: [name]})
        else:
            stream = layout.convert(self._saved(move))
        shown = self._shown(move, stream, size)
        results = Nodes(self.containers).receive(nodes, shown, [move.name])
        if lost(results) and tries:
            return self._send(move, all_layers, nodes, tries - 1)
        self._refuse(move, results)
        return layout.sent or size, layout.configs.get(name, digest), _known(results)

    def _saved(self, move: Move) -> Iterator[bytes]:
        return self.engine.save([move.ref], f"linux/{self.engine.info().architecture}")

    def _push(
        self,
        move: Move,
        layers: frozenset[str],
        nodes: tuple[str, ...],
        ready: Callable[[], None],
        *,
        retry: bool = True,
    ) -> tuple[int, str, _Known]:
        """Have the engine push, and pass on what comes while it comes.

        Where a node has lost a layer in between, the engine pushes once more: it may have been what had just come, to which
        nothing referred yet. Where that does not help, everything is sent, the other way.
        """
        begun = (
            retry
            and self.early is not None
            and self.early.ref == move.ref
            and len(move.groups()) == 1
        )
        early = (
            self.early
            if self.early and begun
            else self.begin(move.ref, frozenset(move.image.layers))
        )
        into = Nodes(self.containers)
        sink = early.sink.decide(layers, lambda: into.ingest(nodes, layers))
        try:
            early.pushed.result()
            ready()
            results = into.receive(nodes, sink.layout(incoming_name(move.name)), [move.name])
        except NotReachableError:
            raise
        except DevenvError as error:
            # An engine that can't reach this machine's loopback, for one.
            self.reporter.say(f"{error.what} It goes by archive.")
            return self._send(move, layers, nodes)
        finally:
            early.end()
        if lost(results) and retry:
            return self._push(move, layers, nodes, ready, retry=False)
        if lost(results):
            return self._send(move, frozenset(move.image.layers), nodes)
        self._refuse(move, results)
        return sink.sent, sink.config, _known(results)

    @staticmethod
    def _refuse(move: Move, results: dict[str, Completed]) -> None:
        if failed := {node: d for node, d in results.items() if d.code != 0}:
            reason = "\n".join(f"{node}: {d.output[-500:].strip()}" for node, d in failed.items())
            raise DevenvError(f"{move.ref} could not be loaded.", reason)

    def _shown(self, move: Move, stream: Iterator[bytes], size: int) -> Iterator[bytes]:
        sent = 0
        for chunk in stream:
            sent += len(chunk)
            self.reporter.update(f"load {move.ref}", sent, max(size, sent), "bytes")
            yield chunk

    def _await_cri(self, move: Move, digest: str, cri_images: _Known) -> None:
        """`cri_images`: what the nodes' CRIs knew right after the import, which mostly is it already."""

        def missing() -> str:
            try:
                images_in = Nodes(self.containers).images
                return ", ".join(
                    n
                    for n in move.nodes
                    if move.name not in (cri_images.pop(n, None) or images_in(n)).get(digest, ())
                )
            except NotReachableError:
                raise
            except DevenvError as error:
                # A CRI that is busy may answer next time.
                return error.what

        until(f"{move.name} in the nodes", missing, Deadline(self.clock, _CRI))


def _known(results: dict[str, Completed]) -> _Known:
    return {node: Nodes.told(node, d) for node, d in results.items()}
