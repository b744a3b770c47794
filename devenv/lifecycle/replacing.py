"""Loads that put another image under a name: in all nodes, or in none.

What the nodes had is noted before anything moves, and keeps a name of its own. A load that fails gives the names back;
where a run was killed, the next command that changes the cluster's images does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from devenv.errors import DevenvError
from devenv.images.innode import Nodes, by_name, incoming_name, kept_name
from devenv.lifecycle.proven import ProvenImages
from devenv.lifecycle.record import Record, Records, Replaced
from devenv.ports import Containers, Node


@dataclass(frozen=True)
class Replacing:
    """Replaces images in one cluster's nodes. The caller holds the cluster's lock."""

    cluster: str
    records: Records
    containers: Containers
    proven: ProvenImages

    def begin(self, node: Node, digests: Mapping[str, str]) -> None:
        """Note what the node has under these names, and have it keep that. `digests`: name → config digest, "" for none.

        The record no longer says that the node has the engine's images: a run that is killed must not leave word of it.
        """

        def change(record: Record) -> Record:
            recorded_ids, recorded_digests = (
                record.loaded.get(node.id, {}),
                record.there.get(node.id, {}),
            )
            previous_images = dict(record.loading.get(node.id, {}))
            for name, digest in digests.items():
                previous_images.setdefault(
                    name,
                    Replaced(digest, recorded_ids.get(name, ""), recorded_digests.get(name, "")),
                )
            unknown = dict.fromkeys(digests, "")
            return replace(
                record,
                loading={**record.loading, node.id: previous_images},
                loaded={**record.loaded, node.id: {**recorded_ids, **unknown}},
                there={**record.there, node.id: {**recorded_digests, **unknown}},
            )

        self.records.update(self.cluster, change)
        for name, digest in digests.items():
            if digest:
                Nodes(self.containers).keep(node.name, name, kept_name(digest))

    def end(self, names: Iterable[str]) -> None:
        """The nodes have the new images under these names."""
        ended = set(names)

        def change(record: Record) -> Record:
            remaining = {
                node: {name: previous for name, previous in images.items() if name not in ended}
                for node, images in record.loading.items()
            }
            return replace(
                record, loading={node: images for node, images in remaining.items() if images}
            )

        self.records.update(self.cluster, change)

    def is_open(self) -> bool:
        """Whether a load has begun and not ended: the run that began it was killed."""
        record = self.records.read(self.cluster)
        return bool(record and record.loading)

    def undo(self) -> list[str]:
        """Undo every load that has not ended; return what could not be undone, as lines.

        What a node can't do now stays noted for the next time.
        """
        record = self.records.read(self.cluster)
        if record is None or not record.loading:
            return []
        problems: list[str] = []
        for node in self.containers.nodes(self.cluster):
            images = record.loading.get(node.id, {})
            try:
                self._give_back(node, images)
            except DevenvError as error:
                problems.append(f"{node.name}: {error.what}")
        self._forget_other_nodes()
        return problems

    def _give_back(self, node: Node, images: Mapping[str, Replaced]) -> None:
        if not images:
            return
        into = Nodes(self.containers)
        node_images = into.images(node.name)
        digests = by_name(node_images)
        for name, previous in images.items():
            if previous.digest in node_images and digests.get(name) != previous.digest:
                into.tag(node.name, next(iter(node_images[previous.digest]), previous.digest), name)
            elif not previous.digest and name in digests:
                into.untag(node.name, name)
            into.untag(node.name, incoming_name(name))
        self.records.update(self.cluster, lambda record: _restored(record, node.id, images))
        superseded = {kept_name(previous.digest) for previous in images.values() if previous.digest}
        for name in superseded - self.proven.kept_names(node):
            into.untag(node.name, name)

    def _forget_other_nodes(self) -> None:
        """A node that is gone has nothing to give back."""
        node_ids = {node.id for node in self.containers.nodes(self.cluster)}

        def change(record: Record) -> Record:
            return replace(
                record, loading={node: i for node, i in record.loading.items() if node in node_ids}
            )

        self.records.update(self.cluster, change)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo the loads of the block if it fails or is interrupted; the error says what the nodes have then."""
        try:
            yield
        except BaseException as error:
            problems = self._undo_now()
            if isinstance(error, DevenvError):
                error.next_step = "\n".join(filter(None, (_outcome(problems), error.next_step)))
            raise

    def _undo_now(self) -> list[str]:
        """Undo, and return every problem instead of raising it: the error of the load itself counts."""
        try:
            return self.undo()
        except DevenvError as error:
            return [error.what]


def _outcome(problems: Sequence[str]) -> str:
    if not problems:
        return "All nodes still have their old image."
    reasons = "; ".join(problems)
    return f"Some nodes do not have their old image back yet ({reasons}). The next `devenv up` restores it."


def _restored(record: Record, node_id: str, images: Mapping[str, Replaced]) -> Record:
    """Return the record as it was before the load of these images into the node."""
    image_ids = {name: previous.image for name, previous in images.items()}
    digests = {name: previous.noted for name, previous in images.items()}
    return replace(
        record,
        loading={node: i for node, i in record.loading.items() if node != node_id},
        loaded={**record.loaded, node_id: _noted({**record.loaded.get(node_id, {}), **image_ids})},
        there={**record.there, node_id: _noted({**record.there.get(node_id, {}), **digests})},
    )


def _noted(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out empty values: such a name was never loaded by devenv."""
    return {name: value for name, value in values.items() if value}
