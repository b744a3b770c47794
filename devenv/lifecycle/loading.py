"""Images into the nodes, in the profile's order, from the moment that containerd answers: kubeadm works on meanwhile.

They go in batches, since what several share goes once within one; a batch is small enough that nobody waits for long for
what comes first.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from devenv.disk.history import History
from devenv.disk.keep import short_name
from devenv.errors import DevenvError, NotReachableError
from devenv.images.innode import Nodes, by_name
from devenv.images.load import normalise, present
from devenv.images.sources import Source
from devenv.images.stamp import of_labels
from devenv.images.transfer import transfer
from devenv.lifecycle.context import Context
from devenv.lifecycle.proven import is_undone
from devenv.lifecycle.record import Record
from devenv.ports import Image, Node
from devenv.wait import Deadline, until

# Bytes of images, as the engine counts them.
_BATCH = 512 << 20
# Seconds for the node's containerd: it answers 2 s after kind begins; kind may have to pull first.
_NODE = 120.0


@dataclass(frozen=True)
class Loading:
    """Loads what the nodes lack."""

    context: Context

    def run(self, sources: dict[str, Source], note: list[str]) -> None:
        """Return when every node has every image; each is announced to those who wait for it as soon as it is there."""
        context = self.context
        until(
            "The node's containerd",
            self._containerd_missing,
            Deadline(context.clock, _NODE),
            pause=0.1,
        )
        context.proven.finish()
        self._finish_killed_load()
        loaded, images = (
            0,
            [i for i in context.profile.cluster_images if sources[i.name].how != "node"],
        )
        self._require([i.ref for i in context.profile.cluster_images if i not in images])
        for image in context.profile.cluster_images:
            if image not in images:
                context.arrivals.arrive(normalise(image.ref))
        for batch in self._batches([sources[i.name] for i in images]):
            context.clock.check()
            context.reporter.update("images", loaded, len(images), "images")
            context.reporter.detail("images", ", ".join(s.image.name for s in batch))
            loaded += self._load(batch)
            for source in batch:
                context.arrivals.arrive(normalise(source.image.ref))
        note.append(f"{loaded} loaded, {len(context.profile.cluster_images) - loaded} were there")
        self._keep_undone([sources[i.name] for i in images])
        context.records.note_refs(
            context.cluster, {normalise(i.ref): sources[i.name].ref for i in images}
        )

    def _require(self, refs: Sequence[str]) -> None:
        """Raise DevenvError if a node lacks one of these images: the engine may not have them either."""
        context = self.context
        for node in context.nodes() if refs else ():
            names = present(context.containers, node.name)
            if missing_refs := [ref for ref in refs if normalise(ref) not in names]:
                raise DevenvError(
                    f"{node.name} has lost {', '.join(missing_refs)}.",
                    next_step="Run `devenv up` again.",
                )

    def _keep_undone(self, sources: Sequence[Source]) -> None:
        """Say which images of the engine are not loaded, since the user returned to the one before; note their IDs."""
        context = self.context
        record = context.records.read(context.cluster)
        for source in sources:
            name, engine_id = normalise(source.image.ref), context.image(source).id
            if record and is_undone(record, name, engine_id):
                context.proven.note_undone(name, engine_id)
                how = f"`devenv reload-image {source.image.name}` loads Docker's."
                context.reporter.say(
                    f"{source.image.name}: keeps the image that was returned to. {how}"
                )

    def _batches(self, sources: Sequence[Source]) -> list[list[Source]]:
        """Divide the images, in their order, into batches."""
        batches: list[list[Source]] = [[]]
        room = _BATCH
        for source in sources:
            size = self.context.image(source).size
            if size > room and batches[-1]:
                batches.append([])
                room = _BATCH
            batches[-1].append(source)
            room -= size
        return batches

    def _containerd_missing(self) -> str:
        nodes = self.context.nodes()
        self._note_nodes(tuple(n.id for n in nodes))
        node_count = len(self.context.profile.cluster.kind.get("nodes") or [1])
        if len([n for n in nodes if n.status == "running"]) < node_count:
            return "running nodes"
        for node in nodes:
            if self.context.containers.exec(node.name, ["crictl", "images", "--quiet"]).code != 0:
                return f"an answer from {node.name}"
        return ""

    def _note_nodes(self, ids: tuple[str, ...]) -> None:
        """While kind is still at it, note each node as soon as it is seen: a killed run must know its own."""

        def change(record: Record) -> Record:
            return record if record.made else replace(record, nodes=ids)

        if ids:
            self.context.records.update(self.context.cluster, change)

    def _load(self, batch: list[Source]) -> int:
        """Load into the nodes what they lack of the batch; return how many images any node lacked."""
        context = self.context
        images = {s.ref: context.image(s) for s in batch}
        groups: dict[
            tuple[str, ...], list[Node]
            # Images by their names in the profile → the nodes that lack just those.
        ] = {}
        for node in context.nodes():
            missing_names = tuple(s.image.name for s in self._lacking(node, batch, images))
            groups.setdefault(missing_names, []).append(node)
        for group, nodes in groups.items():
            sources = [s for s in batch if s.image.name in group]
            if sources:
                names: dict[str, list[str]] = {}
                for source in sources:
                    names.setdefault(source.ref, []).append(normalise(source.image.ref))
                in_nodes = [normalise(s.image.ref) for s in sources]
                with context.replacing.all_or_nothing():
                    self._begin_replacing(nodes, in_nodes)
                    group_images = {ref: images[ref] for ref in names}
                    digests = transfer(
                        context.containers,
                        context.engine,
                        [n.name for n in nodes],
                        group_images,
                        names,
                    )
                for source in sources:
                    state = of_labels(images[source.ref].labels)
                    context.records.note_built(
                        context.cluster, normalise(source.image.ref), state.state if state else ""
                    )
                self._remember_names(sources, images, digests)
                for node in nodes:
                    for source in sources:
                        name = normalise(source.image.ref)
                        context.records.note_image(
                            context.cluster,
                            node.id,
                            name,
                            images[source.ref].id,
                            digests.get(name, ""),
                        )
                context.replacing.end(in_nodes)
        return len({name for group in groups for name in group})

    def _begin_replacing(self, nodes: Sequence[Node], names: Sequence[str]) -> None:
        """Have the nodes keep what they have under these names, for a failed load or a later `--undo`."""
        for node in nodes:
            digests = by_name(Nodes(self.context.containers).images(node.name))
            self.context.replacing.begin(node, {name: digests.get(name, "") for name in names})

    def _remember_names(
        self,
        sources: Sequence[Source],
        images: Mapping[str, Image],
        digests: Mapping[str, str],
    ) -> None:
        """Remember the images' names: once newer images have them, nothing else tells."""
        context = self.context
        names_by_id: dict[str, str] = {}
        for source in sources:
            name = normalise(source.image.ref)
            names_by_id |= dict.fromkeys(
                (images[source.ref].id, digests.get(name, "")), short_name(name)
            )
        names_by_id.pop("", None)
        History(context.host, context.clock).former_names(context.engine.info().id, names_by_id)

    def _finish_killed_load(self) -> None:
        """Undo a load that was killed. Raises DevenvError if that fails in a node."""
        if problems := self.context.replacing.undo():
            reason = "\n".join(problems)
            raise DevenvError(
                "An interrupted load could not be undone.", reason, "Run `devenv up` again."
            )

    def complete(self, sources: Iterable[Source]) -> bool:
        """Whether every node has every image, and nobody has loaded another one under its name."""
        engine_sources = [s for s in sources if s.how != "node"]
        images = {s.ref: self.context.image(s) for s in engine_sources}
        try:
            return not any(
                self._lacking(node, engine_sources, images) for node in self.context.nodes()
            )
        except NotReachableError:
            raise
        except DevenvError:
            # A CRI that is busy: who loads waits for it.
            return False

    def _lacking(
        self, node: Node, sources: Sequence[Source], images: Mapping[str, Image]
    ) -> list[Source]:
        """Return the images that the node has not. Another one under the name is noted, so that pods are made anew."""
        context = self.context
        record = context.records.read(context.cluster)
        recorded_ids, recorded_digests = (
            (record.loaded.get(node.id, {}), record.there.get(node.id, {})) if record else ({}, {})
        )
        digests = by_name(Nodes(context.containers).images(node.name)) if recorded_ids else {}
        # There an image's ID is its config's digest.
        if not context.engine.info().containerd_store:
            recorded_digests = {
                **recorded_ids,
                **{name: digest for name, digest in recorded_digests.items() if digest},
            }
        missing_sources = []
        for source in sources:
            name, engine_id = normalise(source.image.ref), images[source.ref].id
            is_left = record is not None and is_undone(record, name, engine_id)
            if name in digests and recorded_digests.get(name) not in {None, "", digests[name]}:
                context.records.note_others(context.cluster, node.id, name)
                context.reporter.say(
                    f"{name}: {node.name} has another image than devenv loaded; the engine's replaces it."
                )
            elif name in digests and (recorded_ids.get(name) == engine_id or is_left):
                continue
            missing_sources.append(source)
        return missing_sources
