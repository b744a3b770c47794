"""What devenv remembers of a cluster: that it is its own, from which profile, and what is in its nodes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import TypeAdapter, ValidationError

from devenv.errors import DevenvError
from devenv.images.load import normalise
from devenv.ports import Containers, Engine, Host, Kube, Node
from devenv.profiles.model import Profile
from devenv.profiles.variant import PLAIN, Variant
from devenv.userfiles import read_state

# By which the API server finds an object: apiVersion, kind, namespace, name.
Key = tuple[str, str, str, str]
# In kind's nodes.
_API_PORT = 6443
# Seconds from kind's start to its containers'; 1 s is usual, pulling the node image comes before.
_BIRTH = 60.0


@dataclass(frozen=True)
class ProvenImage:
    """An image that ran while every route was proven. `digest`: of its config; `image`: the engine's ID, "" if unknown.

    `time`: when it was proven, in seconds since 1970; 0 for one that was there before anything was proven.
    """

    digest: str
    image: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Replaced:
    """What a node had under a name before a load. `digest`: of its config, "" where it had nothing.

    `image` and `noted` are what the record said of it in `loaded` and `there`.
    """

    digest: str = ""
    image: str = ""
    noted: str = ""


@dataclass(frozen=True)
class Record:
    """One cluster. `nodes` has the IDs of its containers, as far as they were seen; `made` says that kind finished it."""

    cluster: str
    # A name, or the absolute path of a file.
    profile: str
    # ID of the engine that it is on.
    engine: str = ""
    # kind's config that it was made from, which cannot be changed afterwards.
    config: str = ""
    # When kind was started, in seconds since 1970.
    began: float = 0.0
    made: bool = False
    nodes: tuple[str, ...] = ()
    # Node ID → name in the node → image's ID.
    loaded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # The same → its config's digest, "" where not told.
    there: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    # Name → how often another image was found under it, and replaced.
    again: Mapping[str, int] = field(default_factory=dict)
    # Of all that was installed, once it was proven.
    digest: str = ""
    # Somebody else made it: what is in it may be removed, it itself may not.
    adopted: bool = False
    # Of an adopted cluster: those that devenv brought.
    objects: tuple[Key, ...] = ()
    # Of an adopted cluster: others' objects that devenv may change.
    agreed: tuple[Key, ...] = ()
    # Of an adopted cluster: names of images that its nodes had before.
    held: tuple[str, ...] = ()
    # The profile beneath the profile, and what it installed, which can't be changed in place.
    base: str = ""
    version: str = ""
    variant: Variant = PLAIN
    # node ID → name in the node → the last image that was proven, and the last other one before it
    proven: Mapping[str, Mapping[str, ProvenImage]] = field(default_factory=dict)
    earlier: Mapping[str, Mapping[str, ProvenImage]] = field(default_factory=dict)
    # name → from which state of the checkout its image was built, as devenv/images/stamp.py tells it to a person
    built: Mapping[str, str] = field(default_factory=dict)
    # name in the nodes → the engine's IDs of what devenv's own builds made of it, the oldest first
    built_images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # names whose return to such an image has begun and is not proven yet; `loaded` and `there` have the image
    returning: tuple[str, ...] = ()
    # name → the engine's ID of the image that was left by a return, "" until it is known: `up` does not load that one
    undone: Mapping[str, str] = field(default_factory=dict)
    # name → the engine's name of the image that was loaded last
    refs: Mapping[str, str] = field(default_factory=dict)
    # node ID → name in the node → what it had before a load that has begun and has not ended
    loading: Mapping[str, Mapping[str, Replaced]] = field(default_factory=dict)
    # when `devenv stop` had stopped it, in seconds since 1970; 0 once it was started again
    stopped: float = 0.0

    def ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return what tells the images of these names in the nodes from those before them: only where all nodes have the same.

        That is the engine's ID, and how often it has replaced another image that somebody had loaded under the name.
        """
        ids, nodes = {}, [self.loaded.get(node, {}) for node in self.nodes]
        for name in names:
            image_ids = {images.get(name, "") for images in nodes}
            if len(image_ids) == 1 and (image := image_ids.pop()):
                ids[name] = f"{image} {self.again[name]}" if name in self.again else image
        return ids


_RECORD = TypeAdapter(Record)


def spell(record: Record) -> str:
    """Return the record as JSON."""
    return json.dumps(asdict(record), indent=1)


def parse(text: str) -> Record:
    """Return the record that `spell` spelt. Raises ValueError, TypeError or KeyError where it is none."""
    return read_record(json.loads(text))


def read_record(content: Any) -> Record:
    """Return the record that JSON holds. Raises as `parse` does."""
    # A newer devenv may have written more.
    values = {f.name: content[f.name] for f in fields(Record) if f.name in content}
    for name in ("objects", "agreed"):
        values[name] = tuple((o[0], o[1], o[2], o[3]) for o in content.get(name, ()))
    values["variant"] = _variant(content.get("variant") or {})
    for name in ("proven", "earlier"):
        values[name] = _proven_images(content.get(name) or {})
    values["loading"] = _replaced_images(content.get("loading") or {})
    built_images = content.get("built_images") or {}
    values["built_images"] = {str(name): tuple(map(str, ids)) for name, ids in built_images.items()}
    values["returning"] = tuple(map(str, content.get("returning", ())))
    record = Record(
        **{**values, "nodes": tuple(content["nodes"]), "held": tuple(content.get("held", ()))}
    )
    return _RECORD.validate_python(asdict(record))


def _odd_part(error: Exception) -> str:
    """Return which part of a record is not as devenv wrote it."""
    if isinstance(error, ValidationError):
        places = [".".join(map(str, detail["loc"])) for detail in error.errors(include_url=False)]
        return f"{', '.join(places[:5])}: this is not what devenv wrote."
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing."
    return "devenv did not write this record."


def _variant(content: Mapping[str, Any]) -> Variant:
    lists = {name: tuple(map(str, content.get(name, ()))) for name in ("options", "manifests")}
    return Variant(
        version=str(content.get("version", "")), checkout=str(content.get("checkout", "")), **lists
    )


def _proven_images(content: Mapping[str, Any]) -> dict[str, dict[str, ProvenImage]]:
    return {
        node: {name: ProvenImage(**image) for name, image in images.items()}
        for node, images in content.items()
    }


def _replaced_images(content: Mapping[str, Any]) -> dict[str, dict[str, Replaced]]:
    return {
        node: {name: Replaced(**image) for name, image in images.items()}
        for node, images in content.items()
    }


@dataclass(frozen=True)
class Records:
    """The records in the state folder, a file a cluster, each written whole or not at all."""

    host: Host
    _guard: Lock = field(default_factory=Lock, repr=False, compare=False)

    def path(self, cluster: str) -> Path:
        """The cluster's file."""
        return self.host.state_dir() / "clusters" / f"{cluster}.json"

    def read(self, cluster: str) -> Record | None:
        """Return the cluster's record, None where there is none. Raises DevenvError where it can't be read."""
        path = self.path(cluster)
        try:
            return read_record(read_state(path))
        except FileNotFoundError:
            return None
        except (DevenvError, ValueError, TypeError, LookupError, AttributeError) as error:
            reason = error.why if isinstance(error, DevenvError) else f"{path}: {_odd_part(error)}"
            fix = f"Move it away; `devenv up --adopt --name {cluster}` knows its own cluster again."
            raise DevenvError(f"{path} is broken.", reason, fix) from error

    def all(self) -> list[Record]:
        """Return the records of all clusters; one that is broken is left out."""
        records = []
        for path in sorted((self.host.state_dir() / "clusters").glob("*.json")):
            with suppress(DevenvError):
                if record := self.read(path.stem):
                    records.append(record)
        return records

    def write(self, record: Record) -> Record:
        """Keep the record and return it."""
        path = self.path(record.cluster)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary_path = path.with_suffix(".new")
            temporary_path.write_text(spell(record))
            temporary_path.replace(path)
        except OSError as error:
            raise DevenvError(
                f"{path} can't be written.", str(error), "Is the disk full?"
            ) from error
        return record

    def remove(self, cluster: str) -> None:
        """Forget the cluster."""
        self.path(cluster).unlink(missing_ok=True)

    def update(self, cluster: str, change: Callable[[Record], Record]) -> None:
        """Change the record as one step among the threads of this process; the cluster's lock keeps other processes out."""
        with self._guard:
            if record := self.read(cluster):
                self.write(change(record))

    def ids(self, cluster: str, profile: Profile) -> dict[str, str]:
        """Return what tells the profile's images in a cluster's nodes from those before them: see Record.ids."""
        record = self.read(cluster)
        return record.ids(normalise(i.ref) for i in profile.cluster_images) if record else {}

    def note_image(self, cluster: str, node: str, name: str, image: str, digest: str = "") -> None:
        """Note that the node has the engine's image under the name; `digest`: of its config, "" where not known."""

        def noted(
            by_node: Mapping[str, Mapping[str, str]], value: str
        ) -> Mapping[str, Mapping[str, str]]:
            return {**by_node, node: {**by_node.get(node, {}), name: value}}

        def change(record: Record) -> Record:
            return replace(
                record, loaded=noted(record.loaded, image), there=noted(record.there, digest)
            )

        self.update(cluster, change)

    def note_refs(self, cluster: str, refs: Mapping[str, str]) -> None:
        """Note from which of the engine's names the images of these names were loaded."""
        self.update(cluster, lambda record: replace(record, refs={**record.refs, **refs}))

    def note_built(self, cluster: str, name: str, state: str) -> None:
        """Note from which state of the checkout the image of that name was built; "" where it is not known."""
        self.update(cluster, lambda r: replace(r, built={**r.built, name: state}))

    def note_others(self, cluster: str, node: str, name: str) -> None:
        """Note that somebody has loaded another image under the name into the node: what was proven is so no more."""
        self.note_image(cluster, node, name, "")
        self.update(
            cluster,
            lambda r: replace(r, digest="", again={**r.again, name: r.again.get(name, 0) + 1}),
        )


def same_engine(record: Record | None, engine: Engine) -> None:
    """Raise DevenvError where the record is of a cluster on another engine."""
    if record and record.engine and record.engine != engine.info().id:
        raise DevenvError(
            f"devenv made the cluster {record.cluster} on another Docker engine.",
            "DOCKER_HOST, or the current Docker context, was another one then.",
            "Choose that engine again, or another name with --name.",
        )


def own_context(kube: Kube, nodes: Sequence[Node], cluster: str) -> None:
    """Raise DevenvError where the context `kind-NAME` leads to another cluster than these nodes: nothing may be changed there.

    Another engine may have a cluster of the same name, and KUBECONFIG may name another file than before.
    """
    if kube.server_port() not in api_ports(nodes):
        raise DevenvError(
            f"The context kind-{cluster} does not lead to the nodes of {cluster}.",
            f"It leads to port {kube.server_port() or 'none'}; the nodes' API server is at {sorted(api_ports(nodes)) or 'none'}.",
            f"Have it written again: kind export kubeconfig --name {cluster}",
        )


def api_ports(nodes: Sequence[Node]) -> set[int]:
    """Return the ports of this machine at which the nodes' API server is."""
    return {outside for node in nodes for inside, outside in node.ports if inside == _API_PORT}


def own_nodes(records: Records, engine: Engine, containers: Containers, cluster: str) -> list[Node]:
    """Return the nodes of devenv's own cluster, none where there is none.

    Raises DevenvError where a kind cluster has that name and devenv did not make it, or made it on another engine.
    """
    nodes, record = containers.nodes(cluster), records.read(cluster)
    same_engine(record, engine)
    foreign = [n.name for n in nodes if not (record and _is_ours(record, n))]
    if foreign:
        raise DevenvError(
            f"devenv did not make the kind cluster {cluster}.",
            f"Its node {', '.join(foreign)} is not in devenv's records; it is left alone.",
            f"Choose another name with --name, or see what `devenv up --adopt --name {cluster}` would change in it.",
        )
    return nodes


def _is_ours(record: Record, node: Node) -> bool:
    """Nodes are noted as soon as they are seen. A killed run may have died before: then the time of birth tells."""
    born_of_it = not record.made and 0 <= node.created + 1 - record.began <= _BIRTH
    return node.id in record.nodes or born_of_it
