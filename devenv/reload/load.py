"""Moves images into the nodes, each in the way that the plan chose.

A move ends when the CRI of every node knows the image.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.disk.history import History
from devenv.disk.keep import short_name
from devenv.images.formats.conversion import LayoutConverter, rename_images
from devenv.images.nodes.containerd import Nodes, has_lost_content, incoming_name
from devenv.install.replacing import Replacing
from devenv.ports.containers import Node
from devenv.ports.names import Names
from devenv.ports.processes import ResultsByNode
from devenv.profiles.quantities import show
from devenv.reload.moves import Move, NodeGroup, Way
from devenv.reload.push import Pusher, Sink, Target, failure_lines
from devenv.session import Session
from devenv.state.proven import ProvenImages
from devenv.state.record import Records

# Seconds for the CRI to know what containerd has.
_CRI = 30.0
# How often an image is sent again if nodes lose layers meanwhile.
_RETRIES = 3

# Config digest → names.
_Images = Mapping[str, Names]
# By node: the images that its CRI knows.
_CriImages = Mapping[str, _Images]


@dataclass(frozen=True)
class Moved:
    """The result of moving one image. `sent`: bytes of layers. `seconds`: by part."""

    move: Move
    # Of the image's config.
    digest: str
    sent: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Transfer:
    """What went into the nodes: bytes of layers, and the digest of the image's config.

    `cri_images`: what the nodes' CRIs knew right after the import.
    """

    sent: int
    digest: str
    cri_images: _CriImages = field(default_factory=dict)


@dataclass(frozen=True)
class StartedPush:
    """A push that the engine has begun."""

    ref: str
    sink: Sink
    pool: ThreadPoolExecutor
    pushed: Future[None]

    def end(self) -> None:
        """End the push. It is cancelled if it still goes on."""
        self.sink.refuse()
        self.pool.shutdown()
        self.sink.close()


def loading_step(ref: str) -> str:
    """Return the name of the step in which an image is loaded."""
    return f"load {ref}"


@dataclass(frozen=True)
class Loader:
    """Moves images into the nodes of one cluster."""

    session: Session
    pusher: Pusher
    # A push that the engine began while the plan was made.
    started_push: StartedPush | None = None

    @property
    def replacing(self) -> Replacing:
        """Restores the nodes' previous images if a load fails."""
        session = self.session
        records = Records(session.host)
        proven = ProvenImages(
            session.cluster,
            records,
            session.containers,
            session.clock,
            session.reporter,
        )
        return Replacing(session.cluster, records, session.containers, proven)

    @property
    def _nodes(self) -> Nodes:
        return Nodes(self.session.containers)

    def begin(self, ref: str, layers: frozenset[str]) -> StartedPush:
        """Have the engine begin to push.

        Its first request waits until the sink is told which layers are missing.
        """
        push_cache = self.pusher.read_cache()
        sink = Sink(push_cache, layers)

        def progress(sent: int, total: int) -> None:
            self.session.reporter.update(loading_step(ref), sent, max(total, 1), "bytes")

        pool = ThreadPoolExecutor(1)
        pushed = pool.submit(self.pusher.push, ref, sink, push_cache, progress)
        return StartedPush(ref, sink, pool, pushed)

    def run(self, move: Move) -> Moved:
        """Move an image, and return when every node's CRI has it under its name.

        Raises DevenvError; `replacing` then restores the nodes' previous images.
        """
        session = self.session
        began = session.clock.monotonic()
        with step(session.reporter, loading_step(move.ref)) as note:
            transfer = self._move(move)
            self._await_cri(move, transfer)
            self._note(move, transfer.digest)
            self._remember_name(move, transfer.digest)
            sent, size = show(transfer.sent), show(move.image.size)
            note.append(f"{move.way}, {sent} of {size} sent")
        seconds = {"move": session.clock.monotonic() - began}
        return Moved(move, transfer.digest, transfer.sent, seconds)

    def _move(self, move: Move) -> _Transfer:
        """Move an image in the planned way."""
        if move.way is Way.PRESENT:
            digest, *_ = move.old_digests.values()
            return _Transfer(0, digest)
        self._assume_proven(move)
        # The engine may begin to push meanwhile.
        with ThreadPoolExecutor(1) as pool:
            keeping = pool.submit(self._begin_replacing, move)
            if move.way is Way.RETAG:
                keeping.result()
                self._retag(move)
                return _Transfer(0, move.image.id)
            return self._move_layers(move, keeping.result)

    def _move_layers(self, move: Move, await_keeping: Callable[[], None]) -> _Transfer:
        """Send each group of nodes the layers that they lack.

        `await_keeping` returns once the nodes keep their previous image under another name.
        """
        sent = 0
        digest = ""
        cri_images: dict[str, _Images] = {}
        for group in move.groups():
            if move.way is Way.PUSH:
                transfer = self._push(move, group, await_keeping)
            else:
                await_keeping()
                transfer = self._send(move, group)
            sent += transfer.sent
            digest = transfer.digest
            cri_images |= transfer.cri_images
        return _Transfer(sent, digest, cri_images)

    def _changed_nodes(self, move: Move) -> list[Node]:
        """Return the nodes that something moves into."""
        nodes = self.session.containers.nodes(self.session.cluster)
        return [node for node in nodes if node.name in move.nodes]

    def _note(self, move: Move, digest: str) -> None:
        """Record what the nodes have under the name, as `up` does."""
        records = Records(self.session.host)
        cluster = self.session.cluster
        for node in self._changed_nodes(move):
            records.note_image(cluster, node.id, move.name, move.image.id, digest)

    def _begin_replacing(self, move: Move) -> None:
        """Have the nodes keep the image that has the name now.

        They keep it until the new one is proven, and for `--undo`.
        """
        for node in self._changed_nodes(move):
            old_digest = move.old_digests.get(node.name, "")
            self.replacing.begin(node, {move.name: old_digest})

    def _remember_name(self, move: Move, digest: str) -> None:
        """Remember the image's name: once a newer image has it, nothing else tells."""
        session = self.session
        name = short_name(move.name)
        names_by_id = {move.image.id: name, digest: name}
        history = History(session.host, session.clock)
        engine_id = session.engine.info().id
        history.former_names(engine_id, names_by_id)

    def _assume_proven(self, move: Move) -> None:
        """Take the old image for proven in a cluster of an older devenv."""
        for node in self._changed_nodes(move):
            old_digest = move.old_digests.get(node.name)
            if old_digest is not None:
                self.replacing.proven.assume(node, move.name, old_digest)

    def _retag(self, move: Move) -> None:
        """Give the image its name besides the one that the node has it under."""
        for node in move.nodes:
            images = self._nodes.images(node)
            first_name = images[move.image.id][0]
            self._nodes.tag(node, first_name, move.name)

    def _send(self, move: Move, group: NodeGroup, retries: int = _RETRIES) -> _Transfer:
        """Stream layers into the nodes. If one has lost a layer meanwhile, send all of them."""
        name = incoming_name(move.name)
        names_by_ref = {move.ref: [name]}
        layout = LayoutConverter(names_by_ref, move.image_layers, group.layers)
        size = move.bytes(group.layers)
        archive = self._stream(move, group.layers, layout)
        stream = self._with_progress(move, archive, size)
        results = self._nodes.receive(group.nodes, stream, [move.name])
        if has_lost_content(results) and retries:
            return self._send_all_layers(move, group, retries - 1)
        _check_results(move, results)
        digest = layout.configs.get(name, move.image.id)
        return _Transfer(layout.sent or size, digest, _cri_images_in(results))

    def _send_all_layers(self, move: Move, group: NodeGroup, retries: int = _RETRIES) -> _Transfer:
        return self._send(move, group._replace(layers=move.image_layers), retries)

    def _stream(
        self, move: Move, layers: frozenset[str], layout: LayoutConverter
    ) -> Iterator[bytes]:
        """Return the image with these layers, as a tar archive. `layout` converts the engine's."""
        session = self.session
        name = incoming_name(move.name)
        if move.source.stored:
            return move.source.stored.layout(name, layers)
        engine = session.engine.info()
        platform = f"linux/{engine.architecture}"
        saved = session.engine.save([move.ref], platform)
        has_all_layers = layers == move.image_layers
        if has_all_layers and not engine.containerd_store:
            return rename_images(saved, {move.ref: [name]})
        return layout.convert(saved)

    def _push(
        self,
        move: Move,
        group: NodeGroup,
        await_keeping: Callable[[], None],
        *,
        is_retry: bool = False,
    ) -> _Transfer:
        """Have the engine push, and pass layers on while they arrive.

        If a node has lost a layer meanwhile, the engine pushes again: it may be a layer that had
        just arrived, to which nothing referred yet. If that does not help, all layers are sent as
        an archive.
        """
        push = self._find_or_begin_push(move, is_retry=is_retry)

        def open_in_nodes() -> Target:
            return self._nodes.ingest(group.nodes, group.layers)

        sink = push.sink.decide(group.layers, open_in_nodes)
        try:
            push.pushed.result()
            await_keeping()
            layout = sink.layout(incoming_name(move.name))
            results = self._nodes.receive(group.nodes, layout, [move.name])
        except NotReachableError:
            raise
        except DevenvError as error:
            # For example, the engine can't reach this host's loopback.
            self.session.reporter.say(f"{error.what} Sending the image as an archive instead.")
            return self._send(move, group)
        finally:
            push.end()
        if has_lost_content(results) and not is_retry:
            return self._push(move, group, await_keeping, is_retry=True)
        if has_lost_content(results):
            return self._send_all_layers(move, group)
        _check_results(move, results)
        return _Transfer(sink.sent, sink.config, _cri_images_in(results))

    def _find_or_begin_push(self, move: Move, *, is_retry: bool) -> StartedPush:
        """Return the push that has begun, if it is this image's and can serve all nodes."""
        started_push = self.started_push
        if started_push and not is_retry:
            serves_all_nodes = len(move.groups()) == 1
            if started_push.ref == move.ref and serves_all_nodes:
                return started_push
        return self.begin(move.ref, move.image_layers)

    def _with_progress(self, move: Move, stream: Iterator[bytes], size: int) -> Iterator[bytes]:
        """Pass the stream on, and report how much went by. `size`: the bytes expected."""
        sent = 0
        for chunk in stream:
            sent += len(chunk)
            total = max(size, sent)
            self.session.reporter.update(loading_step(move.ref), sent, total, "bytes")
            yield chunk

    def _await_cri(self, move: Move, transfer: _Transfer) -> None:
        """Wait until every node's CRI has the image under its name.

        The CRIs mostly know it right after the import; those that do not are asked again.
        """
        imported_images = dict(transfer.cri_images)

        def has_image(node: str) -> bool:
            images = imported_images.pop(node, None)
            if not images:
                images = self._nodes.images(node)
            return move.name in images.get(transfer.digest, ())

        def find_nodes_without() -> str:
            try:
                return ", ".join(node for node in move.nodes if not has_image(node))
            except NotReachableError:
                raise
            except DevenvError as error:
                # A CRI that is busy may answer next time.
                return error.what

        what = f"{move.name} in the nodes"
        deadline = Deadline(self.session.clock, _CRI)
        until(what, find_nodes_without, deadline)


def _check_results(move: Move, results: ResultsByNode) -> None:
    """Raise DevenvError if the import failed in a node."""
    lines = failure_lines(results, 500)
    if lines:
        raise DevenvError(f"{move.ref} could not be loaded.", "\n".join(lines))


def _cri_images_in(results: ResultsByNode) -> _CriImages:
    """Return what each node's CRI knew right after its import."""
    return {node: Nodes.images_after_import(node, result) for node, result in results.items()}
