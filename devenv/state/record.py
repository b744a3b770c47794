"""What devenv remembers of a cluster: whose it is, its profile, and what its nodes hold."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from devenv.base.counting import ports_in_words
from devenv.base.errors import DevenvError
from devenv.base.image_names import IdsByName, normalise
from devenv.base.json_types import JsonMap
from devenv.base.userfiles import read_state
from devenv.ports.containers import Containers, Node
from devenv.ports.engine import Engine
from devenv.ports.host import Host
from devenv.ports.kube import Kube, ObjectKey
from devenv.ports.names import Names
from devenv.profiles.model import Profile
from devenv.profiles.variant import PLAIN, Variant

# The API server's port in kind's nodes.
_API_PORT = 6443
# Seconds from kind's start to that of its containers. 1 s is usual; the image is pulled before.
_BIRTH = 60.0
# Places in a broken record that its error names.
_SHOWN_PLACES = 5
_Value = TypeVar("_Value")
# A part of a saved record.
# Node ID → name in the node → value.
ByNode = Mapping[str, Mapping[str, _Value]]


@dataclass(frozen=True)
class ProvenImage:
    """An image that ran while every route was proven.

    `digest`: of its config. `image`: the engine's ID, "" if unknown. `time`: when it was proven, in
    seconds since 1970; 0 for an image that was there before anything was proven.
    """

    digest: str
    image: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Replaced:
    """What a node had under a name before a load.

    `digest`: of its config, "" if it had nothing. `image` and `noted`: what the record had in
    `loaded` and `there`.
    """

    digest: str = ""
    image: str = ""
    noted: str = ""


@dataclass(frozen=True)
class Record:
    """What devenv remembers of one cluster. The names of the fields are those of the saved file."""

    cluster: str
    # A name, or the absolute path of a file.
    profile: str
    # ID of the engine that the cluster is on.
    engine: str = ""
    # kind's config that the cluster was made from. It cannot be changed afterwards.
    config: str = ""
    # When kind was started, in seconds since 1970.
    began: float = 0.0
    # Whether kind finished the cluster.
    made: bool = False
    # IDs of its node containers, as far as devenv saw them.
    nodes: Names = ()
    # The engine's ID of the image that a node has under a name.
    loaded: ByNode[str] = field(default_factory=dict)
    # The digest of that image's config, "" if unknown.
    there: ByNode[str] = field(default_factory=dict)
    # Name → how often another tool's image was found under it, and replaced.
    again: Mapping[str, int] = field(default_factory=dict)
    # Of all that was installed, once it was proven.
    digest: str = ""
    # Another tool made the cluster. devenv removes what it put there, never the cluster.
    adopted: bool = False
    # Of an adopted cluster: the objects that devenv put there.
    objects: tuple[ObjectKey, ...] = ()
    # Of an adopted cluster: objects of others that devenv may change.
    agreed: tuple[ObjectKey, ...] = ()
    # Of an adopted cluster: names of images that its nodes had before.
    held: Names = ()
    # The profile that `profile` extends, and the version that was installed. Neither can be changed
    # in place.
    base: str = ""
    version: str = ""
    variant: Variant = PLAIN
    # The last proven image, and the last other one that was proven before it.
    proven: ByNode[ProvenImage] = field(default_factory=dict)
    earlier: ByNode[ProvenImage] = field(default_factory=dict)
    # Name → the state of the checkout from which its image was built, as
    # devenv/images/sources/stamp.py shows it.
    built: Mapping[str, str] = field(default_factory=dict)
    # Name in the nodes → the engine's IDs of what devenv's own builds made of it, the oldest first.
    built_images: Mapping[str, Names] = field(default_factory=dict)
    # Names whose return to an earlier image has begun and is not proven yet. `loaded` and `there`
    # have that image already.
    returning: Names = ()
    # Name → the engine's ID of the image that a return has left, "" until it is known. `up` does
    # not load that image.
    undone: IdsByName = field(default_factory=dict)
    # Name → the engine's name of the image that was loaded last.
    refs: Mapping[str, str] = field(default_factory=dict)
    # What the node had before a load that has begun and not ended.
    loading: ByNode[Replaced] = field(default_factory=dict)
    # When `devenv stop` had stopped the cluster, in seconds since 1970; 0 once it is started again.
    stopped: float = 0.0

    def engine_id_in(self, node_id: str, name: str) -> str:
        """Return the engine's ID of the image that the node has under the name, "" if unknown."""
        return self.loaded.get(node_id, {}).get(name, "")

    def engine_id_in_all(self, node_ids: Iterable[str], name: str) -> str:
        """Return the engine's ID of the image that all these nodes have, "" if they differ."""
        engine_ids = {self.engine_id_in(node_id, name) for node_id in node_ids}
        if len(engine_ids) != 1:
            return ""
        return engine_ids.pop()

    def digest_in(self, node_id: str, name: str) -> str:
        """Return the config digest of the image that the node has under the name, "" if unknown."""
        return self.there.get(node_id, {}).get(name, "")

    def proven_in(self, node_id: str, name: str) -> ProvenImage | None:
        """Return the last image that was proven under the name in the node."""
        return self.proven.get(node_id, {}).get(name)

    def earlier_in(self, node_id: str, name: str) -> ProvenImage | None:
        """Return the last other image that was proven under the name before `proven_in`."""
        return self.earlier.get(node_id, {}).get(name)

    def proven_names(self, node_id: str) -> set[str]:
        """Return the names under which any image was proven in the node."""
        names = set(self.proven.get(node_id, {}))
        return names.union(self.earlier.get(node_id, {}))

    def with_image(self, node_id: str, name: str, engine_id: str, digest: str) -> "Record":
        """Return the record with the image that the node now has under the name."""
        loaded = _with_value(self.loaded, node_id, name, engine_id)
        digests = _with_value(self.there, node_id, name, digest)
        return replace(self, loaded=loaded, there=digests)

    def with_proven(self, node_id: str, name: str, image: ProvenImage) -> "Record":
        """Return the record with the image proven. Another one that was proven is now earlier."""
        proven = _with_value(self.proven, node_id, name, image)
        record = replace(self, proven=proven)
        previous = self.proven_in(node_id, name)
        if previous is None or previous.digest == image.digest:
            return record
        earlier = _with_value(self.earlier, node_id, name, previous)
        return replace(record, earlier=earlier)

    def ids(self, names: Iterable[str]) -> IdsByName:
        """Return what identifies the images of these names, where all nodes have the same one.

        That is the engine's ID. If devenv replaced an image that another tool had loaded under the
        name, a count follows: the pods must then be rolled out again.
        """
        ids = {}
        for name in names:
            engine_id = self.engine_id_in_all(self.nodes, name)
            if not engine_id:
                continue
            ids[name] = engine_id
            if name in self.again:
                ids[name] += f" {self.again[name]}"
        return ids


_RECORD = TypeAdapter(Record)


def spell(record: Record) -> str:
    """Return the record as JSON, without a port if none was chosen: older ones have no such key."""
    content = asdict(record)
    if not record.variant.port:
        del content["variant"]["port"]
    return json.dumps(content, indent=1)


def parse(text: str) -> Record:
    """Return the record that `spell` wrote.

    Raises ValueError, TypeError, LookupError or AttributeError if the text is not a record.
    """
    return read_record(json.loads(text))


def read_record(content: Any) -> Record:
    """Return the record that JSON holds. Raises as `parse` does."""
    # A newer devenv may have written more fields.
    known_fields = [record_field.name for record_field in fields(Record)]
    values = {name: content[name] for name in known_fields if name in content}
    values["objects"] = _keys(content.get("objects", ()))
    values["agreed"] = _keys(content.get("agreed", ()))
    values["variant"] = _variant(_map_at(content, "variant"))
    values["proven"] = _images_by_node(_map_at(content, "proven"), ProvenImage)
    values["earlier"] = _images_by_node(_map_at(content, "earlier"), ProvenImage)
    values["loading"] = _images_by_node(_map_at(content, "loading"), Replaced)
    values["built_images"] = _built_images(_map_at(content, "built_images"))
    values["returning"] = _texts(content.get("returning", ()))
    values["nodes"] = tuple(content["nodes"])
    values["held"] = tuple(content.get("held", ()))
    record = Record(**values)
    return _RECORD.validate_python(asdict(record))


def _map_at(content: Any, key: str) -> JsonMap:
    """Return a map of the record, an empty one if the record is of an older devenv."""
    return content.get(key) or {}


def _describe_problem(error: Exception) -> str:
    """Return which part of a record is not as devenv wrote it."""
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False)
        places = [".".join(map(str, detail["loc"])) for detail in details]
        shown_places = ", ".join(places[:_SHOWN_PLACES])
        return f"{shown_places}: devenv did not write this."
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing."
    return "devenv did not write this record."


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))


def _keys(values: Iterable[Any]) -> tuple[ObjectKey, ...]:
    return tuple((key[0], key[1], key[2], key[3]) for key in values)


def _variant(content: JsonMap) -> Variant:
    return Variant(
        version=str(content.get("version", "")),
        checkout=str(content.get("checkout", "")),
        options=_texts(content.get("options", ())),
        manifests=_texts(content.get("manifests", ())),
        port=int(content.get("port", 0)),
    )


def _images_by_node(content: JsonMap, image_class: Callable[..., _Value]) -> ByNode[_Value]:
    """Return node ID → name → image. `image_class`: what an image's fields are given to."""
    by_node: dict[str, dict[str, _Value]] = {}
    for node_id, images in content.items():
        images_by_name = {name: image_class(**image) for name, image in images.items()}
        by_node[node_id] = images_by_name
    return by_node


def _built_images(content: JsonMap) -> dict[str, Names]:
    return {str(name): _texts(ids) for name, ids in content.items()}


def _with_value(by_node: ByNode[_Value], node_id: str, name: str, value: _Value) -> ByNode[_Value]:
    """Return the mapping with one value replaced."""
    values = {**by_node.get(node_id, {}), name: value}
    return {**by_node, node_id: values}


@dataclass(frozen=True)
class Records:
    """The records in the state folder: one file a cluster, each written whole or not at all."""

    host: Host
    _guard: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def _folder(self) -> Path:
        return self.host.state_dir() / "clusters"

    def path(self, cluster: str) -> Path:
        """The cluster's file."""
        return self._folder / f"{cluster}.json"

    def read(self, cluster: str) -> Record | None:
        """Return the cluster's record, None if it has none. Raises DevenvError if it is broken."""
        path = self.path(cluster)
        try:
            return read_record(read_state(path))
        except FileNotFoundError:
            return None
        except DevenvError as error:
            raise _broken(path, cluster, error.why) from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise _broken(path, cluster, f"{path}: {_describe_problem(error)}") from error

    def names(self) -> list[str]:
        """Return the names of all clusters that have a record, broken or not."""
        return [path.stem for path in sorted(self._folder.glob("*.json"))]

    def all(self) -> list[Record]:
        """Return the records of all clusters; broken ones are left out."""
        records = []
        for name in self.names():
            with suppress(DevenvError):
                if record := self.read(name):
                    records.append(record)
        return records

    def stop_time(self, cluster: str) -> float:
        """Return when `devenv stop` stopped the cluster, in seconds since 1970; 0 if it did not."""
        record = self.read(cluster)
        if record is None:
            return 0.0
        return record.stopped

    def write(self, record: Record) -> Record:
        """Save the record and return it."""
        path = self.path(record.cluster)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary_path = path.with_suffix(".new")
            temporary_path.write_text(spell(record))
            temporary_path.replace(path)
        except OSError as error:
            fix = "Check whether the disk is full."
            raise DevenvError(f"{path} can't be written.", str(error), fix) from error
        return record

    def remove(self, cluster: str) -> None:
        """Forget the cluster."""
        self.path(cluster).unlink(missing_ok=True)

    def update(self, cluster: str, change: Callable[[Record], Record]) -> None:
        """Change the record; nothing happens without one.

        Threads of this process take turns. The cluster's lock keeps other processes out.
        """
        with self._guard:
            if record := self.read(cluster):
                self.write(change(record))

    def ids(self, cluster: str, profile: Profile) -> IdsByName:
        """Return what identifies the profile's images in a cluster's nodes: see Record.ids."""
        record = self.read(cluster)
        if record is None:
            return {}
        names = [normalise(image.ref) for image in profile.cluster_images]
        return record.ids(names)

    def note_image(self, cluster: str, node: str, name: str, image: str, digest: str = "") -> None:
        """Note that the node has the engine's image under the name.

        `digest`: of its config, "" if unknown.
        """
        self.update(cluster, lambda record: record.with_image(node, name, image, digest))

    def note_refs(self, cluster: str, refs: Mapping[str, str]) -> None:
        """Note the engine's names of the images that were loaded: name in the nodes → ref."""

        def change(record: Record) -> Record:
            all_refs = {**record.refs, **refs}
            return replace(record, refs=all_refs)

        self.update(cluster, change)

    def note_built(self, cluster: str, name: str, state: str) -> None:
        """Note from which state of the checkout an image was built, "" if that is unknown."""

        def change(record: Record) -> Record:
            built = {**record.built, name: state}
            return replace(record, built=built)

        self.update(cluster, change)

    def note_others(self, cluster: str, node: str, name: str) -> None:
        """Note that another tool loaded an image under the name into the node.

        The cluster is then no longer proven.
        """
        self.note_image(cluster, node, name, "")

        def change(record: Record) -> Record:
            count = record.again.get(name, 0) + 1
            counts = {**record.again, name: count}
            return replace(record, digest="", again=counts)

        self.update(cluster, change)


def _broken(path: Path, cluster: str, reason: str) -> DevenvError:
    fix = (
        f"Move it to another folder, then run `devenv up --adopt --name {cluster}`: "
        "it recognises its own cluster."
    )
    return DevenvError(f"{path} is broken.", reason, fix)


def same_engine(record: Record | None, engine: Engine) -> None:
    """Raise DevenvError if the record's cluster is on another engine."""
    if record and record.engine and record.engine != engine.info().id:
        raise DevenvError(
            f"devenv made the cluster {record.cluster} on another Docker engine.",
            "DOCKER_HOST or the current Docker context was different then.",
            "Choose that engine again, or another name with --name.",
        )


def own_context(kube: Kube, nodes: Sequence[Node], cluster: str) -> None:
    """Raise DevenvError if the context `kind-NAME` leads to another cluster than these nodes.

    Nothing may be changed there. Another engine may have a cluster of the same name, and
    KUBECONFIG may name another file than before.
    """
    node_ports = api_ports(nodes)
    context_port = kube.server_port()
    if context_port not in node_ports:
        port = context_port or "none"
        raise DevenvError(
            f"The context kind-{cluster} does not lead to the nodes of {cluster}.",
            f"It leads to port {port}; the nodes' API server is at {ports_in_words(node_ports)}.",
            f"Write it again: kind export kubeconfig --name {cluster}",
        )


def api_ports(nodes: Sequence[Node]) -> set[int]:
    """Return the host's ports at which the nodes' API server listens."""
    ports = set()
    for node in nodes:
        for node_port, host_port in node.ports:
            if node_port == _API_PORT:
                ports.add(host_port)
    return ports


def own_nodes(records: Records, engine: Engine, containers: Containers, cluster: str) -> list[Node]:
    """Return the nodes of devenv's own cluster; an empty list if it does not exist.

    Raises DevenvError if a kind cluster has that name and devenv did not make it, or made it on
    another engine.
    """
    nodes = containers.nodes(cluster)
    record = records.read(cluster)
    same_engine(record, engine)
    foreign_nodes = [node.name for node in nodes if not _is_own_node(record, node)]
    if foreign_nodes:
        names = ", ".join(foreign_nodes)
        raise DevenvError(
            f"devenv did not make the kind cluster {cluster}.",
            f"Its node {names} is not in devenv's records; it was not touched.",
            "Choose another name with --name, "
            f"or see what `devenv up --adopt --name {cluster}` would change in it.",
        )
    return nodes


def _is_own_node(record: Record | None, node: Node) -> bool:
    """Whether devenv made the node.

    Nodes are recorded as soon as they are seen. If a run was killed before that, the node's age
    tells.
    """
    if record is None:
        return False
    if node.id in record.nodes:
        return True
    # A container's time of creation is in whole seconds.
    age_at_start = node.created + 1 - record.began
    return not record.made and 0 <= age_at_start <= _BIRTH
