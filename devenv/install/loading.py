"""Load the profile's images into the nodes, in the profile's order.

Loading begins as soon as containerd answers, while kubeadm is still at work. Images go in batches:
what several images of a batch share is sent once. A batch is small, so that nothing waits long for
the images that come first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.image_names import DigestsByName, normalise
from devenv.base.wait import Deadline, until
from devenv.disk.history import History
from devenv.disk.keep import short_name
from devenv.images.nodes.containerd import Nodes, by_name
from devenv.images.nodes.image_import import image_names
from devenv.images.nodes.transfer import transfer
from devenv.images.sources.provider import Source
from devenv.images.sources.stamp import of_labels
from devenv.install.context import Context, is_running, node_ids, node_names
from devenv.install.manifests import node_configs
from devenv.install.replacing import without_empty
from devenv.ports.containers import Node
from devenv.ports.engine import Image, ImagesByRef
from devenv.ports.names import Names
from devenv.state.proven import is_undone
from devenv.state.record import Record

# Bytes of images, as the engine counts them.
_BATCH_SIZE = 512 << 20
# Seconds for the node's containerd. It answers 2 s after kind begins, but kind may have to pull the
# node image first.
_CONTAINERD_SECONDS = 120.0


@dataclass(frozen=True)
class _Comparison:
    """A node's images compared with the engine's."""

    # What must be loaded into the node.
    missing_sources: Sequence[Source]
    # Names of those that are missing because another tool loaded a different image under the name.
    foreign_names: Sequence[str] = ()


@dataclass(frozen=True)
class _LoadedImage:
    """An image that nodes have just got."""

    # The name that it has in the nodes.
    name: str
    # The engine's image.
    image: Image
    # The digest of its config, "" if the engine's ID of the image is that digest.
    digest: str


@dataclass(frozen=True)
class Loading:
    """Loads the images that nodes lack."""

    context: Context

    def run(self, sources: dict[str, Source], note: list[str]) -> None:
        """Return when every node has every image.

        Each image is announced to the steps that wait for it as soon as every node has it.
        """
        context = self.context
        self._await_containerd()
        context.proven.finish()
        self._finish_killed_load()
        profile_sources = [sources[image.name] for image in context.profile.cluster_images]
        engine_sources, node_sources = _split_by_place(profile_sources)
        self._announce_images_of_nodes(node_sources)
        loaded_count = self._load_batches(engine_sources)
        present_count = len(profile_sources) - loaded_count
        note.append(f"{loaded_count} loaded, {present_count} already there")
        self._note_undone_images(engine_sources)
        refs = {_name_in_nodes(source): source.ref for source in engine_sources}
        context.records.note_refs(context.cluster, refs)

    def complete(self, sources: Iterable[Source]) -> bool:
        """Whether every node has every image, under its name.

        If another tool loaded a different image under a name, that is noted in the record, so that
        the pods that use the image are replaced.
        """
        engine_sources, _ = _split_by_place(sources)
        images = self._images_by_ref(engine_sources)
        try:
            for node in self.context.nodes():
                comparison = self._compare(node, engine_sources, images)
                self._note_foreign_images(node, comparison.foreign_names)
                if comparison.missing_sources:
                    return False
        except NotReachableError:
            raise
        except DevenvError:
            # The CRI is busy. Loading waits for it.
            return False
        return True

    def _images_by_ref(self, sources: Iterable[Source]) -> dict[str, Image]:
        return {source.ref: self.context.image(source) for source in sources}

    # Before the load

    def _await_containerd(self) -> None:
        """Wait until containerd answers in every node. Nodes are noted as kind makes them."""
        context = self.context

        def find_missing() -> str:
            nodes = context.nodes()
            self._note_nodes(node_ids(nodes))
            return self._find_silent_node(nodes)

        deadline = Deadline(context.clock, _CONTAINERD_SECONDS)
        until("The node's containerd", find_missing, deadline, pause=0.1)

    def _find_silent_node(self, nodes: Sequence[Node]) -> str:
        """Say what is missing until every node's containerd answers, "" if all do."""
        node_count = len(node_configs(self.context.profile))
        if sum(map(is_running, nodes)) < node_count:
            return "running nodes"
        for node in nodes:
            answer = self.context.containers.exec(node.name, ["crictl", "images", "--quiet"])
            if answer.failed:
                return f"an answer from {node.name}"
        return ""

    def _note_nodes(self, ids: Names) -> None:
        """Note each node as soon as it appears, while kind is still at work.

        The run after a killed one must know which nodes are its own.
        """

        def change(record: Record) -> Record:
            if record.made:
                return record
            return replace(record, nodes=ids)

        if ids:
            self.context.records.update(self.context.cluster, change)

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed. Raises DevenvError if that fails in a node."""
        if problems := self.context.replacing.undo():
            what = "An interrupted load could not be undone."
            raise DevenvError(what, "\n".join(problems), "Run `devenv up` again.")

    def _announce_images_of_nodes(self, sources: Sequence[Source]) -> None:
        """Announce the images that only the nodes need to have.

        Raises DevenvError if a node lacks one: the engine may not have it either.
        """
        context = self.context
        if not sources:
            return
        for node in context.nodes():
            self._require_images(node, sources)
        for source in sources:
            context.arrivals.arrive(_name_in_nodes(source))

    def _require_images(self, node: Node, sources: Sequence[Source]) -> None:
        """Raise DevenvError if a node has lost an image that it was said to hold."""
        names = image_names(self.context.containers, node.name)
        missing_refs = [s.image.ref for s in sources if _name_in_nodes(s) not in names]
        if missing_refs:
            refs = ", ".join(missing_refs)
            what = f"{node.name} no longer has {refs}."
            raise DevenvError(what, next_step="Run `devenv up` again.")

    # The load

    def _load_batches(self, sources: Sequence[Source]) -> int:
        """Load the images batch by batch; return how many images any node lacked."""
        context = self.context
        loaded_count = 0
        for batch in self._batches(sources):
            context.clock.check()
            context.reporter.update("images", loaded_count, len(sources), "images")
            names = ", ".join(_profile_names(batch))
            context.reporter.detail("images", names)
            loaded_count += self._load_batch(batch)
            for source in batch:
                context.arrivals.arrive(_name_in_nodes(source))
        return loaded_count

    def _batches(self, sources: Sequence[Source]) -> list[list[Source]]:
        """Divide the images, in their order, into batches."""
        batches: list[list[Source]] = [[]]
        free_bytes = _BATCH_SIZE
        for source in sources:
            size = self.context.image(source).size
            if size > free_bytes and batches[-1]:
                batches.append([])
                free_bytes = _BATCH_SIZE
            batches[-1].append(source)
            free_bytes -= size
        return batches

    def _load_batch(self, batch: Sequence[Source]) -> int:
        """Load a batch into the nodes that lack it; return how many images any node lacked."""
        images = self._images_by_ref(batch)
        # The profile's names of images → the nodes that lack exactly those.
        groups: dict[Names, list[Node]] = {}
        for node in self.context.nodes():
            comparison = self._compare(node, batch, images)
            self._note_foreign_images(node, comparison.foreign_names)
            missing_names = _profile_names(comparison.missing_sources)
            groups.setdefault(missing_names, []).append(node)
        for missing_names, nodes in groups.items():
            sources = [source for source in batch if source.image.name in missing_names]
            if sources:
                self._load_into(nodes, sources, images)
        return len(set(chain.from_iterable(groups)))

    def _load_into(
        self, nodes: Sequence[Node], sources: Sequence[Source], images: ImagesByRef
    ) -> None:
        """Load the images into all of these nodes, or into none, and note it."""
        context = self.context
        names = list(map(_name_in_nodes, sources))
        names_by_ref: dict[str, list[str]] = {}
        for source, name in zip(sources, names, strict=True):
            names_by_ref.setdefault(source.ref, []).append(name)
        with context.replacing.all_or_nothing():
            self._begin_replacing(nodes, names)
            batch_images = {ref: images[ref] for ref in names_by_ref}
            digests = transfer(
                context.containers,
                context.engine,
                node_names(nodes),
                batch_images,
                names_by_ref,
            )
        loaded_images: list[_LoadedImage] = []
        for source, name in zip(sources, names, strict=True):
            digest = digests.get(name, "")
            loaded_image = _LoadedImage(name, images[source.ref], digest)
            loaded_images.append(loaded_image)
        self._note_loaded_images(nodes, loaded_images)
        context.replacing.end(names)

    def _begin_replacing(self, nodes: Sequence[Node], names: Sequence[str]) -> None:
        """Make the nodes keep what they have under these names.

        A failed load and a later `--undo` return to it.
        """
        for node in nodes:
            digests = self._digests_in(node)
            previous_digests = {name: digests.get(name, "") for name in names}
            self.context.replacing.begin(node, previous_digests)

    def _digests_in(self, node: Node) -> DigestsByName:
        """Return the config digests of the images that the node has, by name."""
        images = Nodes(self.context.containers).images(node.name)
        return by_name(images)

    def _compare(self, node: Node, sources: Sequence[Source], images: ImagesByRef) -> _Comparison:
        """Find the images that the node lacks, and those that another tool replaced there.

        An engine's image from which the user returned to an earlier one is not missing.
        """
        context = self.context
        record = context.record
        if record is None or not record.loaded.get(node.id):
            return _Comparison(sources)
        recorded_ids = record.loaded[node.id]
        recorded_digests = self._recorded_digests(record, node)
        node_digests = self._digests_in(node)
        missing_sources: list[Source] = []
        foreign_names: list[str] = []
        for source in sources:
            name = _name_in_nodes(source)
            engine_id = images[source.ref].id
            node_digest = node_digests.get(name)
            if node_digest is None:
                missing_sources.append(source)
            elif recorded_digests.get(name) not in {None, "", node_digest}:
                missing_sources.append(source)
                foreign_names.append(name)
            elif recorded_ids.get(name) != engine_id and not is_undone(record, name, engine_id):
                missing_sources.append(source)
        return _Comparison(missing_sources, foreign_names)

    def _recorded_digests(self, record: Record, node: Node) -> DigestsByName:
        """Return the config digests that the node has according to the record, by name."""
        recorded_digests = dict(record.there.get(node.id, {}))
        if self.context.engine.info().containerd_store:
            return recorded_digests
        # On the engine's classic store an image ID is the digest of the config.
        recorded_ids = record.loaded.get(node.id, {})
        return {**recorded_ids, **without_empty(recorded_digests)}

    # What is remembered of it

    def _note_foreign_images(self, node: Node, names: Sequence[str]) -> None:
        """Note that another tool loaded images under these names, so that pods are replaced."""
        context = self.context
        for name in names:
            context.records.note_others(context.cluster, node.id, name)
            context.reporter.say(
                f"{name}: {node.name} has a different image from the one that devenv loaded;"
                " devenv replaces it with the engine's."
            )

    def _note_loaded_images(
        self, nodes: Sequence[Node], loaded_images: Sequence[_LoadedImage]
    ) -> None:
        """Note which images the nodes have, and from which state of a checkout they were built."""
        records, cluster = self.context.records, self.context.cluster
        for loaded in loaded_images:
            stamp = of_labels(loaded.image.labels)
            state = stamp.state if stamp else ""
            records.note_built(cluster, loaded.name, state)
        self._note_former_names(loaded_images)
        for node in nodes:
            for loaded in loaded_images:
                image_id = loaded.image.id
                records.note_image(cluster, node.id, loaded.name, image_id, loaded.digest)

    def _note_former_names(self, loaded_images: Iterable[_LoadedImage]) -> None:
        """Remember the images' names: once a newer image has a name, nothing else tells it."""
        context = self.context
        names_by_id: dict[str, str] = {}
        for loaded in loaded_images:
            name = short_name(loaded.name)
            names_by_id[loaded.image.id] = name
            names_by_id[loaded.digest] = name
        # The digest of a loaded image may be "".
        names_by_id.pop("", None)
        engine_id = context.engine.info().id
        History(context.host, context.clock).former_names(engine_id, names_by_id)

    def _note_undone_images(self, sources: Sequence[Source]) -> None:
        """Note the IDs of the engine's images that are not loaded, and say which they are.

        They are those from which the user returned to an earlier image.
        """
        context = self.context
        record = context.record
        if record is None:
            return
        for source in sources:
            name = _name_in_nodes(source)
            engine_id = context.image(source).id
            if is_undone(record, name, engine_id):
                context.proven.note_undone(name, engine_id)
                profile_name = source.image.name
                context.reporter.say(
                    f"{profile_name}: keeps the image that you returned to."
                    f" `devenv reload-image {profile_name}` loads Docker's."
                )


def _split_by_place(sources: Iterable[Source]) -> tuple[list[Source], list[Source]]:
    """Return the images that come from the engine, and those that only the nodes need to have."""
    engine_sources: list[Source] = []
    node_sources: list[Source] = []
    for source in sources:
        if source.how == "node":
            node_sources.append(source)
        else:
            engine_sources.append(source)
    return engine_sources, node_sources


def _profile_names(sources: Iterable[Source]) -> Names:
    return tuple(source.image.name for source in sources)


def _name_in_nodes(source: Source) -> str:
    return normalise(source.image.ref)
