"""What is to be moved of an image, how, and who uses it; all that is wrong is said before anything moves."""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from devenv import DEFAULT_CLUSTER
from devenv.disk.budget import marks, taken
from devenv.errors import DevenvError, Exit
from devenv.images.innode import NodeImages, Nodes
from devenv.images.layers import lacking, sizes
from devenv.images.load import normalise
from devenv.images.stamp import of_labels, own_ref
from devenv.images.stored import StoredImage, is_file, read
from devenv.lifecycle.record import Records, own_context, own_nodes
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Containers, Engine, Host, Image, Kube, Node, Reporter
from devenv.profiles.model import Budget, Profile, ProfileImage
from devenv.profiles.quantities import show
from devenv.profiles.references import is_image_id
from devenv.reload.push import Known, Pusher
from devenv.reload.users import User, Users
from devenv.userfiles import near_it

_NAME = re.compile(
    r"(?:sha256:)?[a-z0-9][a-z0-9._/:-]*(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?", re.ASCII
)
_BY_CONTENT = re.compile(r":[0-9a-f]{16}(?:-unloaded)?$")
# Bytes that a node keeps beside what comes.
_SPARE = 64 << 20
# Containerd keeps a layer's blob until it is unpacked.
_COPIES = 2


class Way(StrEnum):
    """How an image comes into the nodes."""

    # Nothing to move.
    PRESENT = "present"
    # It is there under another name.
    RETAG = "retag"
    # The engine pushes what is missing, blob by blob, to this machine's loopback.
    PUSH = "push"
    # The engine's stream, with only the layers that are missing.
    ARCHIVE = "archive"
    # A file's layers, only those that are missing.
    FILE = "file"


@dataclass(frozen=True)
class Source:
    """Where an image comes from: the engine, or a file. `sizes`: at most how many bytes each layer has."""

    ref: str
    image: Image
    sizes: tuple[int, ...] = ()
    stored: StoredImage | None = None


@dataclass(frozen=True)
class Move:
    """One image, as it is to come into the nodes. `lacks`: which diff IDs each node lacks; a node that is not there has it."""

    source: Source
    # In the nodes.
    name: str
    way: Way
    lacks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # (node, config digest of what had the name)
    old: tuple[tuple[str, str], ...] = ()

    @property
    def ref(self) -> str:
        """What the user called it."""
        return self.source.ref

    @property
    def image(self) -> Image:
        """The image."""
        return self.source.image

    @property
    def nodes(self) -> tuple[str, ...]:
        """Those that get something."""
        return tuple(self.lacks)

    @property
    def layers(self) -> frozenset[str]:
        """Diff IDs that some node lacks."""
        return frozenset().union(*self.lacks.values())

    @property
    def parts(self) -> dict[str, int]:
        """At most how many bytes each layer has, by its diff ID."""
        return dict(zip(self.image.layers, self.source.sizes, strict=True))

    def bytes(self, layers: AbstractSet[str]) -> int:
        """At most how many bytes these layers have."""
        return sum(size for diff, size in self.parts.items() if diff in layers)

    def groups(self) -> list[tuple[frozenset[str], tuple[str, ...]]]:
        """Return the nodes that lack the same, with what they lack."""
        layer_sets = dict.fromkeys(self.lacks.values())
        return [
            (
                layer_set,
                tuple(n for n, missing_layers in self.lacks.items() if missing_layers == layer_set),
            )
            for layer_set in layer_sets
        ]


@dataclass(frozen=True)
class Plan:
    """What would be done."""

    moves: tuple[Move, ...]
    users: tuple[User, ...]
    nodes: tuple[Node, ...]


def in_engine(argument: str, profile: Profile, has: Callable[[str], bool], *, built: bool) -> str:
    """Return the engine's name of an image, which may be called by its name in the profile; "" where it can't be one.

    By its name in the profile an image of a checkout is the one that devenv built from it, if the engine has that: what
    the engine calls as the manifests do may be another checkout's. `has`: whether the engine has an image of that name;
    `built`: whether devenv has just built it.
    """
    image = called(profile, argument)
    own_build = own_ref(image) if image else ""
    if image and own_build and (built or (argument == image.name and has(own_build))):
        return own_build
    ref = image.ref if image else argument
    return ref if _NAME.fullmatch(ref) else ""


def called(profile: Profile, argument: str) -> ProfileImage | None:
    """Return the profile's image of that name: the profile's, or the engine's, of which the tag may be left out."""
    for image in profile.images:
        profile_ref = normalise(image.ref)
        if argument == image.name or (
            _NAME.fullmatch(argument)
            and profile_ref in {normalise(argument), _tagged_like(argument, profile_ref)}
        ):
            return image
    return None


def _tagged_like(argument: str, tagged_name: str) -> str:
    """Return a name without a tag with the tag of another; "" where it has one."""
    bare = ":" not in argument.rsplit("/", 1)[-1] and "@" not in argument
    return (
        f"{normalise(argument).rpartition(':')[0]}:{tagged_name.rpartition(':')[2]}"
        if bare and "@" not in tagged_name
        else ""
    )


def choose(
    source: Source,
    name: str,
    have: Sequence[NodeImages],
    loaded_nodes: AbstractSet[str],
    quick: Callable[..., bool],
) -> Move:
    """Decide how an image comes into the nodes. Pure.

    `loaded_nodes`: nodes that got this very image under the name from devenv: an engine may call it otherwise than a node does.
    `quick`: whether the engine pushes quickly what is missing, such a part of all bytes.
    """
    image = source.image
    current_nodes = [
        h for h in have if h.id_of(name) and (h.node in loaded_nodes or h.id_of(name) == image.id)
    ]
    outdated_nodes = [h for h in have if h not in current_nodes]
    old = tuple((h.node, digest) for h in have if (digest := h.id_of(name)))
    if not outdated_nodes:
        return Move(source, name, Way.PRESENT, old=old)
    # An image without a name can't be given another.
    if all(h.images.get(image.id) for h in outdated_nodes):
        return Move(source, name, Way.RETAG, {h.node: frozenset() for h in outdated_nodes}, old)
    missing_layers = {h.node: lacking(image.layers, h.snapshots) for h in outdated_nodes}
    if source.stored:
        return Move(source, name, Way.FILE, missing_layers, old)
    move = Move(source, name, Way.ARCHIVE, missing_layers, old)
    all_layers = frozenset(image.layers)
    part = move.bytes(move.layers) / max(move.bytes(all_layers), 1)
    return (
        replace(move, way=Way.PUSH)
        if all(quick(layers, part) for layers in missing_layers.values())
        else move
    )


def room(moves: Sequence[Move], have: Sequence[NodeImages], budget: Budget) -> list[str]:
    """Return which nodes have too little room, by what is free and by their budget, as lines."""
    problems = []
    bytes_by_node = {target.node: _bytes_for(target.node, moves) for target in have}
    for target in (h for h in have if bytes_by_node[h.node]):
        # kind's nodes share the engine's disk: what all of them on one disk get must fit there together.
        comes = sum(bytes_by_node[h.node] for h in have if h.space.total == target.space.total)
        needed = comes * _COPIES + _SPARE
        if target.space.free < needed:
            problems.append(
                f"{target.node} has {show(target.space.free)} free; {show(needed)} are needed"
            )
        elif (limits := marks(budget, target.space)).over(target.space, comes):
            how = f"{show(taken(target.space))} are taken, {show(comes)} are needed"
            problems.append(f"{target.node}: {how}, and its budget ends at {show(limits.high)}")
    return problems


def _bytes_for(node: str, moves: Sequence[Move]) -> int:
    """Return the bytes of the layers that the node gets, each once."""
    return sum(
        {d: b for m in moves for d, b in m.parts.items() if d in m.lacks.get(node, ())}.values()
    )


@dataclass(frozen=True)
class Planner:
    """Looks, and refuses what can't be done. `only`: nodes by name; none means all."""

    cluster: str
    profile: Profile
    host: Host
    clock: Clock
    engine: Engine
    containers: Containers
    kube: Kube
    pusher: Pusher
    reporter: Reporter
    only: tuple[str, ...] = ()
    # Whether devenv has just built the images.
    built: bool = False

    def plan(
        self, arguments: Sequence[tuple[str, str]], *, restart: bool, fix_pull_policy: bool
    ) -> Plan:
        """Return what is to be done. `arguments`: (image of the engine or file, name in the nodes or "").

        Raises DevenvError with all that is wrong with the images, before anything moves.
        """
        # They wait for others, most of the time.
        with ThreadPoolExecutor(3) as pool:
            running = [n.name for n in self.containers.nodes(self.cluster) if n.status == "running"]
            looks = pool.submit(
                Nodes(self.containers).looks,
                [n for n in running if not self.only or n in self.only],
            )
            nodes = self.nodes()
            kube = pool.submit(own_context, self.kube, nodes, self.cluster) if restart else None
            sources = self._sources(arguments)
            if kube:
                kube.result()
            have = looks.result()
        moves = tuple(self.move(source, name, have) for source, name in sources)
        if problems := room(moves, have, self.profile.budgets.node):
            fix = "`devenv disk` shows what takes it; `devenv prune --free 2Gi` makes room."
            raise DevenvError("There is no room.", "\n".join(problems), fix, Exit.PREREQUISITE)
        users = self._users(moves, fix_pull_policy=fix_pull_policy) if restart else []
        return Plan(moves, tuple(users), tuple(nodes))

    def nodes(self) -> list[Node]:
        """Return the nodes that get something. Raises DevenvError where one does not run, or is unknown."""
        nodes = own_nodes(Records(self.host), self.engine, self.containers, self.cluster)
        if not nodes or any(n.status != "running" for n in nodes):
            what = (
                f"The cluster {self.cluster} is not running."
                if nodes
                else f"There is no cluster {self.cluster}."
            )
            raise DevenvError(what, next_step=f"Run `devenv up --name {self.cluster}`.")
        if unknown := [name for name in self.only if name not in {n.name for n in nodes}]:
            reason = f"The nodes of {self.cluster}: {', '.join(n.name for n in nodes)}."
            raise DevenvError(
                f"There is no node {', '.join(unknown)}.", reason, "Nothing was moved.", Exit.USAGE
            )
        return [n for n in nodes if not self.only or n.name in self.only]

    def _sources(self, arguments: Sequence[tuple[str, str]]) -> list[tuple[Source, str]]:
        """Find all images, or say of all what is wrong with them."""
        sources: list[tuple[Source, str]] = []
        problems: list[str] = []
        hints: dict[str, None] = {}
        for argument, name in arguments:
            try:
                sources += (
                    self._stored(argument, name)
                    if self._is_file(argument)
                    else [self._held(argument, name)]
                )
            except BadImageError as error:
                problems.append(str(error))
            except DevenvError as error:
                if error.exit_code != Exit.USAGE:
                    raise
                problems += filter(None, (error.what, error.why))
                hints |= dict.fromkeys(filter(None, [error.next_step]))
        repeated_names = sorted(
            {
                name
                for n, (_, name) in enumerate(sources)
                if name in [previous_name for _, previous_name in sources[:n]]
            }
        )
        problems += [f"{name} is given twice" for name in repeated_names]
        if problems:
            fix = " ".join(["Nothing was moved.", *hints])
            raise DevenvError("Images can't be loaded.", "\n".join(problems), fix, Exit.USAGE)
        return sources

    def _is_file(self, argument: str) -> bool:
        """An image of the engine comes before a file that happens to be called so."""
        if not is_file(argument):
            return False
        return argument.startswith((".", "/", "~")) or not (
            _NAME.fullmatch(argument) and self.engine.image(argument)
        )

    def _held(self, argument: str, name: str) -> tuple[Source, str]:
        ref = in_engine(argument, self.profile, self.has, built=self.built)
        if not ref or (name and not _NAME.fullmatch(name)):
            raise BadImageError(f"{(name if ref else argument)!r} is not a valid image name")
        image = self.engine.image(ref)
        if image is None:
            raise self.absent(ref)
        self._fits(ref, image)
        if not name and is_id_of(ref, image):
            argument = ref = only_name(ref, image)
        known_as = called(self.profile, name or argument)
        in_nodes = normalise(known_as.ref if known_as and not name else name or ref)
        self._same_checkout(ref, image, known_as)
        return Source(ref, image, sizes(self.engine.history(ref), len(image.layers))), in_nodes

    def absent(self, ref: str) -> DevenvError:
        """Return the error for an image that the engine lacks. No workload has the names that recipes give by content."""
        what, profile_refs = (
            f"{ref}: the engine has no such image",
            {image.ref for image in self.profile.images},
        )
        if ref in profile_refs:
            fix = f"Build it: `docker build -t {ref} .`. Or load another in its place: `devenv reload-image OTHER --as {ref}`."
            return DevenvError(what, next_step=fix, exit_code=Exit.USAGE)
        names = {name for name in self.engine.names() if not _BY_CONTENT.search(name)}
        return DevenvError(f"{what}{near_it(ref, names | profile_refs)}", exit_code=Exit.USAGE)

    def has(self, ref: str) -> bool:
        """Whether the engine has an image of that name."""
        return self.engine.image(ref) is not None

    def _same_checkout(self, ref: str, image: Image, known_as: ProfileImage | None) -> None:
        """Refuse what was built from another checkout. What has no mark the user built: that is said.

        `known_as`: what it is to be in the profile.
        """
        if known_as is None or not known_as.from_checkout:
            return
        mark = of_labels(image.labels)
        if mark and mark.folder != known_as.build_in:
            raise BadImageError(f"{ref} was built from {mark.folder}{self._instead(known_as)}")
        if not mark and known_as.build_in:
            self.reporter.say(f"{ref} was built outside devenv.")

    def _instead(self, image: ProfileImage) -> str:
        """Return what the cluster is made from, and the command that builds its own image."""
        if not image.build_in:
            return f"; the cluster {self.cluster} is made from a release, not from a checkout"
        where = "" if self.cluster == DEFAULT_CLUSTER else f" --name {self.cluster}"
        command = f"`devenv reload-image {image.name} --build{where}`"
        return (
            f"; the cluster {self.cluster} is made from {image.build_in}: {command} builds its own"
        )

    def _stored(self, path: str, name: str) -> list[tuple[Source, str]]:
        label = f"check {Path(path).name}"
        with step(self.reporter, label):
            progress = lambda size, total: self.reporter.update(label, size, total, "bytes")  # noqa: E731
            images = read(Path(path), self.engine.info().architecture, progress)
        if name and (len(images) > 1 or not _NAME.fullmatch(name)):
            raise BadImageError(
                f"{name!r} is not a valid image name"
                if len(images) == 1
                else f"{path} has several images"
            )
        sources = []
        for stored in images:
            self._fits(path, stored.image)
            names = (name,) if name else stored.names
            if not names:
                raise BadImageError(f"{path} does not name its image: name it with --as")
            sources += [
                (Source(path, stored.image, stored.sizes, stored), normalise(n)) for n in names
            ]
        return sources

    def _fits(self, ref: str, image: Image) -> None:
        architecture = self.engine.info().architecture
        if image.architecture != architecture:
            raise BadImageError(f"{ref} is for {image.architecture}; the nodes run {architecture}")

    def move(self, source: Source, name: str, have: Sequence[NodeImages]) -> Move:
        """Decide how an image comes into the nodes, from what they have."""
        record = (
            Records(self.host).read(self.cluster) if self.engine.info().containerd_store else None
        )
        # Else the engine calls an image as the node does, and the node knows best.
        loaded = record.loaded if record else {}
        ids = {node.id: node.name for node in self.containers.nodes(self.cluster)}
        loaded_nodes = {
            ids[i] for i, names in loaded.items() if i in ids and names.get(name) == source.image.id
        }
        recorded_digests = {
            ids[i]: names.get(name, "")
            for i, names in (record.there if record else {}).items()
            if i in ids
        }
        # Somebody else's by now.
        loaded_nodes -= {
            h.node for h in have if recorded_digests.get(h.node, "") not in {"", h.id_of(name)}
        }
        push_cache = Known.read(self.host, self.engine.info().id)
        return choose(
            source,
            name,
            have,
            loaded_nodes,
            lambda missing_layers, part: self.pusher.usable(
                source.image, missing_layers, part, push_cache
            ),
        )

    def _users(self, moves: Sequence[Move], *, fix_pull_policy: bool) -> list[User]:
        """Return who uses the images. Refuse an image that no workload names: it would be loaded, and nothing would run it."""
        users, names = Users(self.kube, self.clock, self.profile), {m.name for m in moves}
        image_users = users.of(names)
        without = [m.name for m in moves if not any(m.name in u.images for u in image_users)]
        if without:
            profile_names = ", ".join(normalise(i.ref) for i in self.profile.cluster_images)
            fix = f"Say the name that the workload has with --as, or --no-restart. The profile's images: {profile_names}."
            raise DevenvError(
                f"No workload uses {', '.join(without)}.", "Nothing was moved.", fix, Exit.USAGE
            )
        if not fix_pull_policy:
            users.refuse_always(users.always_pulling(image_users, names))
        return image_users


def is_id_of(ref: str, image: Image) -> bool:
    """Whether a user named the image by its ID, whole or cut, as `docker images` prints it."""
    digits = ref.removeprefix("sha256:")
    is_name = normalise(ref) in map(normalise, image.tags)
    return is_image_id(ref) and not is_name and image.id.removeprefix("sha256:").startswith(digits)


def only_name(ref: str, image: Image) -> str:
    """Return the name of an image that was given by its ID. Raises BadImageError if it has none, or several."""
    if len(image.tags) == 1:
        return image.tags[0]
    names = f"its names: {', '.join(image.tags)}" if image.tags else "it has no name"
    raise BadImageError(
        f"{ref} is an ID, and {names}: pass the name that it has in the nodes with --as"
    )


class BadImageError(Exception):
    """What is wrong with one image."""
