"""Loads that put another image under a name: in all nodes, or in none.

What the nodes had is noted before anything moves, and gets a name of its own there, so that it
stays. A load that fails gives the names back. If a run was killed, the next command that changes
the cluster's images gives them back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from devenv.base.errors import DevenvError
from devenv.base.image_names import DigestsByName
from devenv.images.nodes.containerd import Nodes, by_name, incoming_name, kept_name
from devenv.ports.containers import Containers, Node
from devenv.state.proven import ProvenImages
from devenv.state.record import Record, Records, Replaced

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Replacing:
    """Replaces images in one cluster's nodes. The caller holds the cluster's lock."""

    cluster: str
    records: Records
    containers: Containers
    proven: ProvenImages

    def begin(self, node: Node, digests: DigestsByName) -> None:
        """Note what the node has under these names, and make it keep that.

        `digests`: name → config digest, "" for a name that has no image. From now on the record no
        longer says that the node has the engine's images: a run that is killed must not leave it
        saying so.
        """

        def change(record: Record) -> Record:
            return _with_load(record, node.id, digests)

        self.records.update(self.cluster, change)
        for name, digest in digests.items():
            if digest:
                Nodes(self.containers).keep(node.name, name, kept_name(digest))

    def end(self, names: Iterable[str]) -> None:
        """Note that the nodes have the new images under these names."""
        loaded_names = set(names)

        def change(record: Record) -> Record:
            unfinished_loads = {}
            for node_id, images in record.loading.items():
                unfinished_images = _without_keys(images, loaded_names)
                if unfinished_images:
                    unfinished_loads[node_id] = unfinished_images
            return replace(record, loading=unfinished_loads)

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
        problems = []
        for node in self.containers.nodes(self.cluster):
            images = record.loading.get(node.id, {})
            try:
                self._give_back(node, images)
            except DevenvError as error:
                problems.append(f"{node.name}: {error.what}")
        self._forget_gone_nodes()
        return problems

    def _give_back(self, node: Node, images: Mapping[str, Replaced]) -> None:
        """Give the names back to the images that the node had. `images`: by these names."""
        if not images:
            return
        containerd = Nodes(self.containers)
        node_images = containerd.images(node.name)
        digests = by_name(node_images)
        for name, previous in images.items():
            names_of_previous = node_images.get(previous.digest)
            if names_of_previous is not None and digests.get(name) != previous.digest:
                previous_image = next(iter(names_of_previous), previous.digest)
                containerd.tag(node.name, previous_image, name)
            elif not previous.digest and name in digests:
                containerd.untag(node.name, name)
            containerd.untag(node.name, incoming_name(name))

        def change(record: Record) -> Record:
            return _without_load(record, node.id, images)

        self.records.update(self.cluster, change)
        self._remove_kept_names(node, images.values())

    def _remove_kept_names(self, node: Node, images: Iterable[Replaced]) -> None:
        """Remove the names under which the node kept these images.

        Proven images keep theirs.
        """
        names = {kept_name(image.digest) for image in images if image.digest}
        for name in names - self.proven.kept_names(node):
            Nodes(self.containers).untag(node.name, name)

    def _forget_gone_nodes(self) -> None:
        """Forget the loads into nodes that are gone: they have nothing to give back."""
        node_ids = {node.id for node in self.containers.nodes(self.cluster)}

        def change(record: Record) -> Record:
            gone_ids = record.loading.keys() - node_ids
            return replace(record, loading=_without_keys(record.loading, gone_ids))

        self.records.update(self.cluster, change)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo the loads of the block if it fails or is interrupted.

        The error's next step then says what the nodes have.
        """
        try:
            yield
        except BaseException as error:
            problems = self._undo_now()
            if isinstance(error, DevenvError):
                steps = (_describe_undo(problems), error.next_step)
                error.next_step = "\n".join(filter(None, steps))
            raise

    def _undo_now(self) -> list[str]:
        """Undo, and return every problem instead of raising it: the load's own error counts."""
        try:
            return self.undo()
        except DevenvError as error:
            return [error.what]


def _describe_undo(problems: Sequence[str]) -> str:
    """Say whether all nodes have what they had before."""
    if not problems:
        return "All nodes still have their old image."
    return (
        f"Some nodes do not have their old image back yet ({'; '.join(problems)})."
        " The next `devenv up` restores it."
    )


def _with_load(record: Record, node_id: str, digests: DigestsByName) -> Record:
    """Note a load into the node, and what it had before under these names.

    If an earlier load of a name has not ended, what the node had before that one counts.
    """
    recorded_ids = record.loaded.get(node_id, {})
    recorded_digests = record.there.get(node_id, {})
    previous_images = dict(record.loading.get(node_id, {}))
    for name, digest in digests.items():
        recorded_id = recorded_ids.get(name, "")
        recorded_digest = recorded_digests.get(name, "")
        previous = Replaced(digest, recorded_id, recorded_digest)
        previous_images.setdefault(name, previous)
    unknown = dict.fromkeys(digests, "")
    ids = {**recorded_ids, **unknown}
    noted_digests = {**recorded_digests, **unknown}
    return replace(
        record,
        loading={**record.loading, node_id: previous_images},
        loaded={**record.loaded, node_id: ids},
        there={**record.there, node_id: noted_digests},
    )


def _without_load(record: Record, node_id: str, images: Mapping[str, Replaced]) -> Record:
    """Return the record as it was before the load of these images into the node."""
    ids = dict(record.loaded.get(node_id, {}))
    digests = dict(record.there.get(node_id, {}))
    for name, previous in images.items():
        ids[name] = previous.image
        digests[name] = previous.noted
    return replace(
        record,
        loading=_without_keys(record.loading, {node_id}),
        loaded={**record.loaded, node_id: without_empty(ids)},
        there={**record.there, node_id: without_empty(digests)},
    )


def _without_keys(mapping: Mapping[str, _Value], keys: Collection[str]) -> dict[str, _Value]:
    return {key: value for key, value in mapping.items() if key not in keys}


def without_empty(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out the names with an empty value: devenv never loaded an image of such a name."""
    return {name: value for name, value in values.items() if value}
