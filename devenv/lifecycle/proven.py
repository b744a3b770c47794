"""The images that were proven in a cluster, and the one for each name to which one can return.

Every name has the last image that was proven under it, and the last other one before that. What a node has under the name
may be a third, which never became ready. The node keeps the image to return to under a name of its own, `kept_name`, until
another takes its place; nothing else is kept.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from devenv import DEFAULT_CLUSTER
from devenv.errors import DevenvError
from devenv.images.innode import Nodes, by_name, kept_name, kept_names
from devenv.images.load import normalise
from devenv.lifecycle.record import ProvenImage, Record, Records
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Containers, Node, Reporter
from devenv.profiles.model import Profile
from devenv.wait import Deadline, until

# Seconds for the last old container to be gone.
_PODS = 60.0
_V = TypeVar("_V")
_ByNode = Mapping[str, Mapping[str, _V]]


@dataclass(frozen=True)
class Return:
    """One name in one node, and the image that it is to have again."""

    node: Node
    name: str
    image: ProvenImage


@dataclass(frozen=True)
class ProvenImages:
    """Notes what was proven in a cluster, and returns its nodes to it."""

    cluster: str
    records: Records
    containers: Containers
    clock: Clock
    reporter: Reporter

    def assume(self, node: Node, name: str, digest: str) -> None:
        """Before another image gets the name: take the one with this digest for proven, if nothing is recorded of it.

        That is so in a cluster of an older devenv, whose `up` proved all images together.
        """

        def change(record: Record) -> Record:
            if name in record.proven.get(node.id, {}) or not record.digest:
                return record
            image = ProvenImage(digest, record.loaded.get(node.id, {}).get(name, ""))
            return replace(record, proven=_with(record.proven, node.id, name, image))

        self.records.update(self.cluster, change)

    def prove(self, nodes: Sequence[Node], names: Iterable[str]) -> None:
        """Note that what the record says of these names in these nodes was proven just now."""
        pairs = [(node, name) for node in nodes for name in names]
        timestamp = self.clock.now()

        def change(record: Record) -> Record:
            for node, name in pairs:
                record = _proven(record, node.id, name, timestamp)
            remaining = tuple(n for n in record.returning if n not in {name for _, name in pairs})
            return replace(record, returning=remaining)

        self.records.update(self.cluster, change)

    def targets(self, node: Node) -> dict[str, ProvenImage]:
        """Return for each name the image in the node to which one would return from what the record says is there."""
        record = self.records.read(self.cluster)
        if record is None:
            return {}
        names = {*record.proven.get(node.id, {}), *record.earlier.get(node.id, {})}
        images = {name: target(record, node.id, name) for name in names}
        return {name: image for name, image in images.items() if image is not None}

    def kept_names(self, node: Node) -> set[str]:
        """Return the names under which the node keeps images to return to."""
        return {kept_name(image.digest) for image in self.targets(node).values()}

    def returns(self, nodes: Sequence[Node], names: Iterable[str]) -> list[Return]:
        """Return what is to be returned of these names in these nodes; raise DevenvError where a node no longer has it."""
        returns: list[Return] = []
        problems: list[str] = []
        for node in nodes:
            targets, images = self.targets(node), Nodes(self.containers).images(node.name)
            for name in names:
                image = targets.get(name)
                if image is None:
                    problems.append(f"{name}: no other image of it was proven in {node.name}")
                elif image.digest not in images:
                    removed = f"{node.name} no longer has {short(image)}"
                    problems.append(
                        f"{name}: {removed}; `devenv prune --history` lists what was removed"
                    )
                else:
                    returns.append(Return(node, name, image))
        if problems:
            fix = "Build the image that you want, and reload it."
            raise DevenvError("There is no image to return to.", "\n".join(problems), fix)
        return returns

    def unproven(self, nodes: Sequence[Node], names: Iterable[str]) -> list[str]:
        """Return those of the names under which one of these nodes has an image that was not proven."""
        record = self.records.read(self.cluster)
        if record is None:
            return []
        node_ids = [node.id for node in nodes]
        return [name for name in names if not is_proven(record, node_ids, name)]

    def begin(self, returns: Sequence[Return], engine_ids: Mapping[str, str]) -> None:
        """Give the names back. A run that is killed in between is finished by the next `finish`.

        `engine_ids`: name → ID of what the engine has for it, as far as it is known. That is noted as undone: `up` does
        not load it again.
        """

        def change(record: Record) -> Record:
            undone = dict(record.undone)
            for entry in returns:
                undone[entry.name] = engine_ids.get(entry.name, "")
                record = replace(
                    record,
                    loaded=_with(
                        record.loaded,
                        entry.node.id,
                        entry.name,
                        entry.image.image or entry.image.digest,
                    ),
                    there=_with(record.there, entry.node.id, entry.name, entry.image.digest),
                )
            names = dict.fromkeys([*record.returning, *(r.name for r in returns)])
            built = {name: state for name, state in record.built.items() if name not in names}
            return replace(record, undone=undone, built=built, returning=tuple(names), digest="")

        self._keep_current(returns)
        self.records.update(self.cluster, change)
        self.finish()

    def _keep_current(self, returns: Sequence[Return]) -> None:
        """Have the nodes keep what has the names now: pods run it yet, and one may want to return to it, too."""
        for node in {entry.node.name: entry.node for entry in returns}.values():
            digests = by_name(Nodes(self.containers).images(node.name))
            names = [
                entry.name for entry in returns if entry.node == node and entry.name in digests
            ]
            for name in names:
                Nodes(self.containers).keep(node.name, name, kept_name(digests[name]))

    def finish(self) -> tuple[str, ...]:
        """Give those names back whose return has begun, where a killed run did not; return the names."""
        record = self.records.read(self.cluster)
        if record is None or not record.returning:
            return ()
        for node in self.containers.nodes(self.cluster):
            images = Nodes(self.containers).images(node.name)
            for name in record.returning:
                digest = record.there.get(node.id, {}).get(name, "")
                if digest in images and name not in images[digest]:
                    Nodes(self.containers).tag(node.name, kept_name(digest), name)
        return record.returning

    def running_images(self) -> dict[tuple[str, str], str]:
        """Return what every running container runs: (the pod's UID, the container's name) → the config's digest."""
        images = {}
        for node in self._running_nodes():
            for container in Nodes(self.containers).running(node.name):
                labels = container.get("labels") or {}
                key = (
                    labels.get("io.kubernetes.pod.uid", ""),
                    labels.get("io.kubernetes.container.name", ""),
                )
                images[key] = str(container.get("imageRef") or "")
        return images

    def _running_nodes(self) -> list[Node]:
        return [n for n in self.containers.nodes(self.cluster) if n.status == "running"]

    def forget_superseded(
        self,
        nodes: Collection[str],
        seconds: float = _PODS,
        *,
        failed: bool = False,
    ) -> None:
        """Remove the names of superseded images, but of those to return to; containerd then frees the images.

        That waits for containers that have one to end. Where one goes on, its image keeps its name until the next time.
        `failed`: the one before the image to return to stays, too, for the time after the return.
        """
        record = self.records.read(self.cluster) if failed else None
        also_kept = {kept_name(i) for i in proven_images([record])} if record else set()
        into = Nodes(self.containers)
        superseded: dict[tuple[str, str], bool] = {}
        for node in self._running_nodes():
            if node.name in nodes:
                names = _superseded(into.images(node.name), self.kept_names(node) | also_kept)
                superseded |= {(node.name, name): is_last for name, is_last in names.items()}
        if not superseded:
            return
        last_names = {name for (_, name), is_last in superseded.items() if is_last}
        unended: set[str] = set()

        def used() -> str:
            running = {kept_name(digest) for digest in self.running_images().values()}
            unended.clear()
            unended.update(running & last_names)
            return ", ".join(sorted(unended))

        with step(self.reporter, "remove the old image"):
            with suppress(DevenvError):
                until("The end of the old containers", used, Deadline(self.clock, seconds))
            for node_name, name in sorted(superseded):
                if name not in unended:
                    into.untag(node_name, name)

    def note_undone(self, name: str, engine_id: str) -> None:
        """Note which image of the engine is the one that was undone: another one, built later, is not."""
        self.records.update(
            self.cluster, lambda r: replace(r, undone={**r.undone, name: engine_id})
        )

    def forget_undone(self, names: Iterable[str]) -> None:
        """The user asked for another image of these names: nothing that was undone keeps it away."""
        reloaded_names = set(names)

        def change(record: Record) -> Record:
            undone = {
                name: image for name, image in record.undone.items() if name not in reloaded_names
            }
            return replace(
                record,
                undone=undone,
                returning=tuple(n for n in record.returning if n not in reloaded_names),
            )

        self.records.update(self.cluster, change)


def _superseded(images: Mapping[str, Sequence[str]], targets: Collection[str]) -> dict[str, bool]:
    """Return the names under which superseded images are kept, but of the targets, and whether each is its image's last.

    `images`: config digest → names. An image that is there under a workload's name, too, is not superseded: only this
    name of it is.
    """
    superseded = {}
    for names in images.values():
        backup_names = kept_names({"": tuple(names)})
        for name in backup_names - set(targets):
            superseded[name] = backup_names == set(names)
    return superseded


def target(record: Record, node_id: str, name: str) -> ProvenImage | None:
    """Return the image that one would return to: the last one that was proven, other than what the record says is there."""
    current = current_digest(record, node_id, name)
    proven = (by_node.get(node_id, {}).get(name) for by_node in (record.proven, record.earlier))
    images = [image for image in proven if image]
    returning = name in record.returning
    return next((image for image in images if (image.digest == current) is returning), None)


def returnable_images(records: Iterable[Record]) -> frozenset[str]:
    """Return the engine's IDs of the images that one would return to in any of these clusters.

    Where the engine's ID is not known, it is the config's digest: so it is on the classic store.
    """
    images: set[str] = set()
    for record in records:
        for node_id in {*record.proven, *record.earlier}:
            for name in {*record.proven.get(node_id, {}), *record.earlier.get(node_id, {})}:
                image = target(record, node_id, name)
                images.update({image.image, image.digest} if image else ())
    return frozenset(images - {""})


def proven_images(records: Iterable[Record]) -> frozenset[str]:
    """Return the last two images that were proven of each name, by the engine's IDs and digests."""
    images: set[str] = set()
    for record in records:
        for images_by_name in (*record.proven.values(), *record.earlier.values()):
            for image in images_by_name.values():
                images.update((image.image, image.digest))
    return frozenset(images - {""})


def is_undone(record: Record, name: str, engine_id: str) -> bool:
    """Whether the user has left this image of the engine for the one before it."""
    return record.undone.get(name) in {"", engine_id}


def current_digest(record: Record, node_id: str, name: str) -> str:
    """Return the digest of the config that the record says the node has under the name, "" where it does not say.

    On the classic store an image's ID is its config's digest, and `there` may be empty.
    """
    return record.there.get(node_id, {}).get(name, "") or record.loaded.get(node_id, {}).get(
        name, ""
    )


def is_proven(record: Record, node_ids: Iterable[str], name: str) -> bool:
    """Whether all these nodes have, by the record, an image under the name that was proven there."""
    pairs = [
        (record.proven.get(i, {}).get(name), current_digest(record, i, name)) for i in node_ids
    ]
    return bool(pairs) and all(proven and proven.digest == current for proven, current in pairs)


def unproven_names(record: Record) -> list[str]:
    """Return the names under which some node has an image that was not proven, beside one to return to."""
    names = {name for images in record.proven.values() for name in images}
    return sorted(
        n for n in names if any(_is_unproven(record, node_id, n) for node_id in record.proven)
    )


def _is_unproven(record: Record, node_id: str, name: str) -> bool:
    proven, current = record.proven[node_id].get(name), current_digest(record, node_id, name)
    return bool(proven and current and proven.digest != current)


def undo_command(cluster: str, profile: Profile, names: Iterable[str]) -> str:
    """Return the command that returns to the images that were proven before. `names`: in the nodes."""
    of_profile = {normalise(image.ref): image.name for image in profile.images}
    arguments = " ".join(of_profile.get(name, name) for name in names)
    where = "" if cluster == DEFAULT_CLUSTER else f" --name {cluster}"
    return f"devenv reload-image {arguments} --undo{where}"


def short(image: ProvenImage) -> str:
    """Return an image's ID as Docker shows it."""
    return image.digest.removeprefix("sha256:")[:12]


def _proven(record: Record, node_id: str, name: str, timestamp: float) -> Record:
    digest = current_digest(record, node_id, name)
    if not digest:
        return record
    image = ProvenImage(digest, record.loaded.get(node_id, {}).get(name, ""), timestamp)
    previous = record.proven.get(node_id, {}).get(name)
    if previous and previous.digest != digest:
        record = replace(record, earlier=_with(record.earlier, node_id, name, previous))
    return replace(record, proven=_with(record.proven, node_id, name, image))


def _with(by_node: _ByNode[_V], node_id: str, name: str, value: _V) -> _ByNode[_V]:
    """Return the mapping with one value replaced."""
    return {**by_node, node_id: {**by_node.get(node_id, {}), name: value}}
