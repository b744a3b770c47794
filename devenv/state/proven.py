"""The images that were proven in a cluster, and for each name the image to return to.

The record has for every name the last proven image and the last other one before it. The image
that a node has under the name now may be a third one, which never became ready. The node keeps the
image to return to under a name of its own, `kept_name`, until another image takes its place.
It keeps no other superseded image.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from devenv import name_flag
from devenv.base.errors import DevenvError
from devenv.base.image_names import DigestsByName, IdsByName, normalise
from devenv.base.steps import step
from devenv.base.wait import Deadline, until
from devenv.images.nodes.containerd import NamesByDigest, Nodes, by_name, kept_name, kept_names
from devenv.ports.clock import Clock
from devenv.ports.containers import Containers, Node
from devenv.ports.kube import ContainerKey
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter
from devenv.profiles.model import Profile
from devenv.state.record import ProvenImage, Record, Records

# Seconds for the last old container to end.
_PODS = 60.0


@dataclass(frozen=True)
class Return:
    """One name in one node, and the image that the name is to get again."""

    node: Node
    name: str
    image: ProvenImage


@dataclass(frozen=True, order=True)
class _SupersededName:
    """A name under which a node keeps a superseded image. `is_last`: the image has no other."""

    node: str
    name: str
    is_last: bool


@dataclass(frozen=True)
class ProvenImages:
    """Records what was proven in a cluster, and returns its nodes to it."""

    cluster: str
    records: Records
    containers: Containers
    clock: Clock
    reporter: Reporter

    @property
    def _nodes(self) -> Nodes:
        return Nodes(self.containers)

    @property
    def _record(self) -> Record | None:
        return self.records.read(self.cluster)

    def assume(self, node: Node, name: str, digest: str) -> None:
        """Before another image gets the name, take the present one for proven if nothing is known.

        That is so in a cluster of an older devenv, whose `up` proved all images together.
        `digest`: of the present image's config.
        """

        def change(record: Record) -> Record:
            if record.proven_in(node.id, name) or not record.digest:
                return record
            image = ProvenImage(digest, record.engine_id_in(node.id, name))
            return record.with_proven(node.id, name, image)

        self.records.update(self.cluster, change)

    def prove(self, nodes: Sequence[Node], names: Iterable[str]) -> None:
        """Record that the images that these nodes have under these names were proven just now."""
        proven_names = list(names)
        timestamp = self.clock.now()

        def change(record: Record) -> Record:
            for node in nodes:
                for name in proven_names:
                    record = _with_proven(record, node.id, name, timestamp)
            return _without_returning(record, proven_names)

        self.records.update(self.cluster, change)

    def targets(self, node: Node) -> dict[str, ProvenImage]:
        """Return for each name the image to return to in the node, if there is one."""
        record = self._record
        if record is None:
            return {}
        return _targets(record, node.id)

    def kept_names(self, node: Node) -> set[str]:
        """Return the names under which the node keeps images to return to."""
        return {kept_name(image.digest) for image in self.targets(node).values()}

    def returns(self, nodes: Sequence[Node], names: Iterable[str]) -> list[Return]:
        """Return the image to return to for each of these names in each of these nodes.

        Raises DevenvError with all names that have no such image, or whose node has lost it.
        """
        returns = []
        problems: list[str] = []
        for node in nodes:
            targets = self.targets(node)
            images = self._nodes.images(node.name)
            for name in names:
                image = targets.get(name)
                if image is None:
                    problems.append(f"{name}: no other image was proven in {node.name}")
                elif image.digest not in images:
                    problems.append(f"{name}: {_explain_removal(node, image)}")
                else:
                    returns.append(Return(node, name, image))
        if problems:
            fix = "Build the image that you want, and reload it."
            what = "The cluster cannot return to an earlier image."
            raise DevenvError(what, "\n".join(problems), fix)
        return returns

    def unproven(self, nodes: Sequence[Node], names: Iterable[str]) -> list[str]:
        """Return those names under which one of these nodes has an image that was not proven."""
        record = self._record
        if record is None:
            return []
        node_ids = [node.id for node in nodes]
        return [name for name in names if not is_proven(record, node_ids, name)]

    def begin(self, returns: Sequence[Return], engine_ids: IdsByName) -> None:
        """Give the names back to the earlier images.

        If the run is killed meanwhile, the next `finish` completes it.
        `engine_ids`: name → ID of the engine's image of that name, as far as known. It is recorded
        as undone: `up` does not load it again.
        """
        self._keep_current(returns)

        def change(record: Record) -> Record:
            return _with_returns(record, returns, engine_ids)

        self.records.update(self.cluster, change)
        self.finish()

    def _keep_current(self, returns: Sequence[Return]) -> None:
        """Have the nodes keep the images that have the names now.

        Pods still run them, and the user may want to return to them later.
        """
        digests_by_node: dict[str, DigestsByName] = {}
        for entry in returns:
            node = entry.node.name
            if node not in digests_by_node:
                digests_by_node[node] = by_name(self._nodes.images(node))
            digest = digests_by_node[node].get(entry.name)
            if digest:
                self._nodes.keep(node, entry.name, kept_name(digest))

    def finish(self) -> Names:
        """Complete every return that has begun, also in a killed run; return the names."""
        record = self._record
        if record is None or not record.returning:
            return ()
        for node in self.containers.nodes(self.cluster):
            names_by_digest = self._nodes.images(node.name)
            for name in record.returning:
                digest = record.digest_in(node.id, name)
                present_names = names_by_digest.get(digest)
                if present_names is not None and name not in present_names:
                    self._nodes.tag(node.name, kept_name(digest), name)
        return record.returning

    def running_images(self) -> dict[ContainerKey, str]:
        """Return what every running container runs.

        (UID of the pod, name of the container) → digest of the image's config.
        """
        images = {}
        for node in self._running_nodes():
            for container in self._nodes.running(node.name):
                labels = container.get("labels") or {}
                pod_uid = labels.get("io.kubernetes.pod.uid", "")
                container_name = labels.get("io.kubernetes.container.name", "")
                digest = str(container.get("imageRef") or "")
                images[pod_uid, container_name] = digest
        return images

    def _running_nodes(self) -> list[Node]:
        nodes = self.containers.nodes(self.cluster)
        return [node for node in nodes if node.status == "running"]

    def forget_superseded(
        self, nodes: Collection[str], seconds: float = _PODS, *, failed: bool = False
    ) -> None:
        """Remove the names of superseded images, except those to return to.

        containerd then frees the images. This waits for containers that run one to end. If one
        goes on, its image keeps its name until the next time.
        `failed`: also keep the image before the one to return to, for the time after the return.
        """
        also_kept_names = self._proven_kept_names() if failed else set()
        superseded = self._find_superseded(nodes, also_kept_names)
        if not superseded:
            return
        last_names = {entry.name for entry in superseded if entry.is_last}
        with step(self.reporter, "remove the old image"):
            used_names = self._await_end(last_names, seconds)
            for entry in sorted(superseded):
                if entry.name not in used_names:
                    self._nodes.untag(entry.node, entry.name)

    def _proven_kept_names(self) -> set[str]:
        """Return the names under which nodes keep the last two images that were proven."""
        record = self._record
        if record is None:
            return set()
        return set(map(kept_name, proven_images([record])))

    def _find_superseded(
        self, nodes: Collection[str], also_kept_names: Collection[str]
    ) -> list[_SupersededName]:
        """Return the names of superseded images to which no return is possible."""
        superseded = []
        for node in self._running_nodes():
            if node.name in nodes:
                images = self._nodes.images(node.name)
                needed_names = self.kept_names(node).union(also_kept_names)
                superseded += _superseded_names(node.name, images, needed_names)
        return superseded

    def _await_end(self, names: Collection[str], seconds: float) -> set[str]:
        """Wait until no container runs the images of these names; return those still in use."""
        used_names: set[str] = set()

        def find_used_names() -> str:
            running_names = set(map(kept_name, self.running_images().values()))
            used_names.clear()
            used_names.update(running_names.intersection(names))
            return ", ".join(sorted(used_names))

        with suppress(DevenvError):
            deadline = Deadline(self.clock, seconds)
            until("The end of the old containers", find_used_names, deadline)
        return used_names

    def note_undone(self, name: str, engine_id: str) -> None:
        """Record which image of the engine was undone. One that is built later is not."""

        def change(record: Record) -> Record:
            undone = {**record.undone, name: engine_id}
            return replace(record, undone=undone)

        self.records.update(self.cluster, change)

    def forget_undone(self, names: Iterable[str]) -> None:
        """Let `up` load images of these names again: the user asked for other ones."""
        reloaded_names = set(names)

        def change(record: Record) -> Record:
            undone = _without(record.undone, reloaded_names)
            return replace(_without_returning(record, reloaded_names), undone=undone)

        self.records.update(self.cluster, change)


def _explain_removal(node: Node, image: ProvenImage) -> str:
    history = "`devenv prune --history` lists what was removed"
    return f"{node.name} no longer has {short(image)}; {history}"


def _superseded_names(
    node: str, images: NamesByDigest, needed_names: Collection[str]
) -> list[_SupersededName]:
    """Return the names under which the node keeps images that are not needed any more.

    `images`: config digest → names. An image that also has a workload's name is not superseded:
    only its own name of devenv's is.
    """
    superseded = []
    for names in images.values():
        own_names = kept_names({"": tuple(names)})
        is_last = own_names == set(names)
        unneeded_names = own_names.difference(needed_names)
        superseded += [_SupersededName(node, name, is_last) for name in unneeded_names]
    return superseded


def target(record: Record, node_id: str, name: str) -> ProvenImage | None:
    """Return the image to return to: the last proven one other than what the node has.

    While a return is under way, the node already has that image, by the record.
    """
    current = current_digest(record, node_id, name)
    is_returning = name in record.returning
    for image in (record.proven_in(node_id, name), record.earlier_in(node_id, name)):
        if image and (image.digest == current) is is_returning:
            return image
    return None


def _targets(record: Record, node_id: str) -> dict[str, ProvenImage]:
    """Return for each name the image to return to in the node, if there is one."""
    targets = {}
    for name in record.proven_names(node_id):
        image = target(record, node_id, name)
        if image:
            targets[name] = image
    return targets


def returnable_images(records: Iterable[Record]) -> frozenset[str]:
    """Return the images to return to in any of these clusters, by the engine's IDs and digests.

    If the engine's ID is unknown, the config's digest stands for it: on the classic store they are
    the same.
    """
    images: list[ProvenImage] = []
    for record in records:
        for node_id in {*record.proven, *record.earlier}:
            images += _targets(record, node_id).values()
    return _ids(images)


def proven_images(records: Iterable[Record]) -> frozenset[str]:
    """Return the last two proven images of each name, by the engine's IDs and digests."""
    images: list[ProvenImage] = []
    for record in records:
        for images_by_name in (*record.proven.values(), *record.earlier.values()):
            images += images_by_name.values()
    return _ids(images)


def _ids(images: Iterable[ProvenImage]) -> frozenset[str]:
    """Return the engine's IDs and the config digests of images, as far as known."""
    ids: set[str] = set()
    for image in images:
        ids.update((image.image, image.digest))
    return frozenset(ids - {""})


def is_undone(record: Record, name: str, engine_id: str) -> bool:
    """Whether the user has returned from this image of the engine to an earlier one."""
    return record.undone.get(name) in {"", engine_id}


def current_digest(record: Record, node_id: str, name: str) -> str:
    """Return the config digest that the node has under the name by the record, "" if unknown.

    On the classic store an image's ID is its config's digest, and `there` may be empty.
    """
    return record.digest_in(node_id, name) or record.engine_id_in(node_id, name)


def is_proven(record: Record, node_ids: Iterable[str], name: str) -> bool:
    """Whether all these nodes have a proven image under the name, by the record.

    Without any node this is False.
    """
    checks = [_has_proven_image(record, node_id, name) for node_id in node_ids]
    return bool(checks) and all(checks)


def _has_proven_image(record: Record, node_id: str, name: str) -> bool:
    image = record.proven_in(node_id, name)
    return image is not None and image.digest == current_digest(record, node_id, name)


def unproven_names(record: Record) -> list[str]:
    """Return the names under which a node has an unproven image, and a proven one to return to."""
    names = set()
    for node_id, images in record.proven.items():
        for name, image in images.items():
            current = current_digest(record, node_id, name)
            if current and current != image.digest:
                names.add(name)
    return sorted(names)


def undo_command(cluster: str, profile: Profile, names: Iterable[str]) -> str:
    """Return the command that returns to the images proven before. `names`: in the nodes."""
    profile_names = {normalise(image.ref): image.name for image in profile.images}
    arguments = " ".join(profile_names.get(name, name) for name in names)
    return f"devenv reload-image {arguments} --undo{name_flag(cluster)}"


def short(image: ProvenImage) -> str:
    """Return an image's ID as Docker shows it."""
    return image.digest.removeprefix("sha256:")[:12]


def _without(values: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Return the mapping without these names."""
    return {name: value for name, value in values.items() if name not in names}


def _without_returning(record: Record, names: Collection[str]) -> Record:
    """Return the record without a return under way for these names."""
    returning = tuple(name for name in record.returning if name not in names)
    return replace(record, returning=returning)


def _with_returns(record: Record, returns: Sequence[Return], engine_ids: IdsByName) -> Record:
    """Return the record with the earlier images under their names, not proven again yet.

    The images that they replace are undone. `engine_ids`: see `ProvenImages.begin`.
    """
    undone = dict(record.undone)
    for entry in returns:
        image = entry.image
        engine_id = image.image or image.digest
        record = record.with_image(entry.node.id, entry.name, engine_id, image.digest)
        undone[entry.name] = engine_ids.get(entry.name, "")
    names = [entry.name for entry in returns]
    returning = tuple(dict.fromkeys([*record.returning, *names]))
    built = _without(record.built, returning)
    return replace(record, undone=undone, built=built, returning=returning, digest="")


def _with_proven(record: Record, node_id: str, name: str, timestamp: float) -> Record:
    """Return the record with the node's present image as the proven one."""
    digest = current_digest(record, node_id, name)
    if not digest:
        return record
    image = ProvenImage(digest, record.engine_id_in(node_id, name), timestamp)
    return record.with_proven(node_id, name, image)
