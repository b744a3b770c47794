"""Lists what a node keeps: images by their snapshots and blobs, logs and ballast."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devenv.base.errors import DevenvError
from devenv.base.image_names import NamesById, ReturnNames
from devenv.base.measures import Sizes, Times
from devenv.disk.ballast import IN_NODE
from devenv.disk.keep import KeepRules, short_name, tags_among
from devenv.disk.plan import Thing, Worth, nameless_label, select_parts
from devenv.facts.df import DF, parse
from devenv.images.formats.layers import chain_ids
from devenv.images.nodes.containerd import MARK, Nodes, as_json, is_own_name
from devenv.ports.containers import Containers
from devenv.ports.host import Space
from devenv.ports.names import Names

_CONTENT = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"
# KiB. Manifests and configs are smaller; of layers, only empty ones are read.
_SMALL = 512
_LOGS = "/var/log"
_FIND_SNAPSHOTTER = (
    "snapshotter=$(containerd config dump 2>/dev/null"
    r""" | sed -n 's/^ *snapshotter = //p' | head -n 1 | tr -d "\"'")"""
)
# One exec takes 0.08 s, whatever it runs, so one script asks for everything. containerd noted the
# sizes of snapshots when it committed them, so only the logs make the script walk the disk.
_LOOK = f"""exec 2>&1
mark() {{ echo; echo '{MARK}'; }}
{_FIND_SNAPSHOTTER}
{" ".join(DF)} || exit; mark
stat -c %d /var; mark
timeout 5 du -s --block-size=1 {_LOGS}; mark
stat -c %b {IN_NODE}; mark
crictl images -o json; mark
crictl ps -a -o json; mark
ctr --namespace k8s.io snapshots --snapshotter "${{snapshotter:-overlayfs}}" usage -b; mark
cd {_CONTENT} || exit
find . -type f -printf '%f %s %T@\\n'; mark
find . -type f -size -{_SMALL}k -printf '%f\\n' | while read -r f; do
  IFS= read -r -n 1 -d '' c < "$f"
  if [ "$c" = '{{' ]; then echo "$f"; cat "$f"; mark; fi
done
"""
# Parts of the script's output before the small blobs.
_PARTS = 8


@dataclass(frozen=True)
class NodeImage:
    """An image in a node.

    `layers`: bytes by chain ID. `blobs`: bytes by digest. `unpacked`: digests of packed layers
    that are unpacked too. `came`: when its config was written, in seconds since 1970, 0 if unknown.
    `read`: whether its manifest and its config could be read.
    """

    id: str
    names: Names
    layers: Sizes
    blobs: Sizes
    unpacked: frozenset[str]
    came: float
    pinned: bool
    read: bool = True


@dataclass(frozen=True)
class NodeInventory:
    """What a node has. Sizes in bytes.

    `device`: as the kernel under the node numbers it. `used`: image ID → when the image last got a
    container, in seconds since 1970; it has every image that a container uses.
    """

    node: str
    space: Space
    device: str
    logs: int
    ballast: int
    content: int
    snapshots: int
    images: tuple[NodeImage, ...]
    used: Times

    @property
    def spare_blobs(self) -> Sizes:
        """Packed layers, with their bytes, that every image which has them has unpacked too.

        Empty if the manifest or config of any image could not be read.
        """
        sizes: dict[str, int] = {}
        unpacked: set[str] = set()
        needed: set[str] = set()
        for image in self.images:
            if not image.read:
                return {}
            sizes |= image.blobs
            unpacked |= image.unpacked
            needed |= image.blobs.keys() - image.unpacked
        return select_parts(sizes, unpacked - needed)

    @property
    def image_ids(self) -> list[str]:
        """The IDs of the images."""
        return [image.id for image in self.images]

    def names_by_id(self) -> NamesById:
        """Return the first tag of each image, by the image's ID. devenv's own names don't count."""
        names: dict[str, str] = {}
        for image in self.images:
            for tag in tags_among(image.names):
                if not is_own_name(tag):
                    names.setdefault(image.id, short_name(tag))
        return names


@dataclass(frozen=True)
class NodeStock:
    """Asks nodes, and deletes from them exactly what it is told."""

    containers: Containers

    def look(self, node: str) -> NodeInventory:
        """Return what the node has. Raises DevenvError if it does not say."""
        result = self.containers.exec(node, ["bash", "-c", _LOOK])
        parts = result.output.split(f"\n{MARK}\n")
        if len(parts) < _PARTS + 1:
            output_end = parts[-1][-500:]
            raise DevenvError(f"{node} does not say what it keeps.", output_end)
        return _read_inventory(node, parts)

    def used_images(self, node: str) -> frozenset[str]:
        """Return the IDs of the images that a container of the node uses, in any state."""
        output = Nodes(self.containers).run(node, ["crictl", "ps", "-a", "-o", "json"])
        image_ids: set[str] = set()
        for container in _json_list(node, output, "containers"):
            image_ids.update(map(str, _image_ids_of(container)))
        return frozenset(image_ids)

    def remove_image(self, node: str, image: str) -> None:
        """Delete an image by its ID, with all its names.

        containerd collects what only this image had before this returns.
        """
        Nodes(self.containers).run(node, ["crictl", "rmi", image])

    def remove_blobs(self, node: str, digests: Sequence[str]) -> None:
        """Delete those of the packed layers that are still unpacked too."""
        spare_now = self.look(node).spare_blobs
        spare_digests = [digest for digest in digests if digest in spare_now]
        if spare_digests:
            command = ["ctr", "--namespace", "k8s.io", "content", "rm", *spare_digests]
            Nodes(self.containers).run(node, command)


@dataclass(frozen=True)
class NodeThings:
    """Turns a node's inventory into things.

    `arrivals`: image ID → when the image came, in seconds since 1970. `returnable`: name of a
    superseded image → the name to which it can return. `former_names`: image ID → its last name.
    """

    inventory: NodeInventory
    rules: KeepRules
    arrivals: Times
    current_time: float
    returnable: ReturnNames = field(default_factory=dict)
    former_names: NamesById = field(default_factory=dict)

    def list_all(self) -> list[Thing]:
        """Return the node's images, and as one more thing the packed layers that it can spare."""
        things = []
        for image in self.inventory.images:
            if is_waste(image, self.returnable):
                things.append(self._waste(image))
            else:
                things.append(self._image(image))
        return things + self._spare_blobs()

    def _waste(self, image: NodeImage) -> Thing:
        """Return an image that no workload can name. It goes whatever its age."""
        is_used = image.id in self.inventory.used
        former_name = self.former_names.get(image.id, "")
        return Thing(
            name=nameless_label(image.id, former_name),
            worth=Worth.DANGLING,
            parts=self._parts(image),
            used=max(image.came, self._last_container(image)),
            kept=self.rules.why_keep_nameless(used=is_used, pinned=image.pinned),
            place=self.inventory.node,
            id=image.id,
            names=image.names,
            former_name=former_name,
        )

    def _image(self, image: NodeImage) -> Thing:
        """Return an image that has a name, or that `reload-image --undo` returns to."""
        arrival = self.arrivals.get(image.id, 0.0)
        last_use = max(image.came, arrival, self._last_container(image))
        reason = self.rules.why_keep_in_node(
            image.names,
            used=image.id in self.inventory.used,
            pinned=image.pinned,
            age=self.current_time - last_use,
        )
        return Thing(
            name=self._label(image),
            worth=_worth(image),
            parts=self._parts(image),
            used=last_use,
            kept=reason,
            place=self.inventory.node,
            id=image.id,
            names=image.names,
        )

    def _last_container(self, image: NodeImage) -> float:
        """Return when an image last got a container, 0 if no container uses it."""
        return self.inventory.used.get(image.id, 0.0)

    def _label(self, image: NodeImage) -> str:
        """Return what a list calls an image: if one can return to it, what that is for."""
        for name in image.names:
            if name in self.returnable:
                return f"image of {self.returnable[name]} to return to (reload-image --undo)"
        if tags := tags_among(image.names):
            return ", ".join(tags)
        if image.names:
            return image.names[0]
        return nameless_label(image.id, "")

    def _spare_blobs(self) -> list[Thing]:
        """Return the packed layers that the node can spare, as one thing, if there are any."""
        node, blobs = self.inventory.node, self.inventory.spare_blobs
        if sum(blobs.values()) == 0:
            return []
        return [
            Thing(
                name=f"{len(blobs)} packed layers that are unpacked beside them",
                worth=Worth.BLOB,
                parts=_prefix_parts(node, blobs),
                place=node,
                id="blobs",
                names=tuple(sorted(blobs)),
            )
        ]

    def _parts(self, image: NodeImage) -> Sizes:
        """Return an image's parts. Blobs that the node can spare are a thing of their own."""
        needed_blobs = image.blobs.keys() - self.inventory.spare_blobs.keys()
        blobs = select_parts(image.blobs, needed_blobs)
        return _prefix_parts(self.inventory.node, {**image.layers, **blobs})


def is_waste(image: NodeImage, returnable: ReturnNames) -> bool:
    """Whether an image has only a superseded image's name, and `--undo` does not return to it."""
    return all(is_own_name(name) and name not in returnable for name in image.names)


def _prefix_parts(node: str, parts: Sizes) -> Sizes:
    """Put the node's name before each part: nodes don't share layers and blobs."""
    return {f"{node} {part}": size for part, size in parts.items()}


def _worth(image: NodeImage) -> Worth:
    if all(map(is_own_name, image.names)):
        return Worth.SUPERSEDED
    return Worth.IMAGE


# Reading what the script prints

_Document = Mapping[str, Any]


@dataclass(frozen=True)
class _ContentStore:
    """A node's content store and its snapshots. Sizes in bytes.

    `blobs`: digest → size. `written`: digest → when it was written, in seconds since 1970.
    `chains`: config digest → the chain IDs of its layers. `manifests`: config digest → the image
    manifests that name the config, by their own digests. `snapshots`: chain ID → size.
    """

    blobs: Sizes
    written: Times
    chains: Mapping[str, Sequence[str]]
    manifests: Mapping[str, Mapping[str, _Document]]
    snapshots: Sizes

    def image(self, listed: _Document) -> NodeImage:
        """Return an image as crictl lists it, with its layers and blobs."""
        image_id = listed["id"]
        chains = self.chains.get(image_id, ())
        manifests = self.manifests.get(image_id, {})
        packed_layers = _packed_layers(manifests.values(), chains)
        digests = {image_id, *manifests, *packed_layers}
        return NodeImage(
            id=image_id,
            names=_listed_names(listed),
            layers=select_parts(self.snapshots, chains),
            blobs=select_parts(self.blobs, digests),
            unpacked=self._unpacked(packed_layers),
            came=self.written.get(image_id, 0.0),
            pinned=bool(listed.get("pinned")),
            read=bool(manifests and chains),
        )

    def _unpacked(self, packed_layers: Mapping[str, set[str]]) -> frozenset[str]:
        """Return the packed layers that are here, and that have a snapshot too."""
        return frozenset(
            digest
            for digest, chains in packed_layers.items()
            if digest in self.blobs and not chains.isdisjoint(self.snapshots)
        )


def _listed_names(listed: _Document) -> Names:
    """Return an image's tags and digests as crictl lists them; either may be null."""
    tags = listed.get("repoTags") or ()
    digests = listed.get("repoDigests") or ()
    return (*tags, *digests)


def _packed_layers(manifests: Iterable[_Document], chains: Sequence[str]) -> dict[str, set[str]]:
    """Return the digests of packed layers, each with the chain IDs that it is unpacked as."""
    packed_layers: dict[str, set[str]] = {}
    for manifest in manifests:
        for layer, chain in zip(manifest["layers"], chains, strict=False):
            digest = layer["digest"]
            packed_layers.setdefault(digest, set()).add(chain)
    return packed_layers


def _read_inventory(node: str, parts: Sequence[str]) -> NodeInventory:
    """Read the parts of what the node's commands wrote, in the order of `_LOOK`."""
    space, device, logs, ballast, images, containers, snapshots, blobs, *small_blobs = parts
    snapshot_sizes = dict(_read_sizes(snapshots))
    store = _read_content(snapshot_sizes, blobs, small_blobs)
    last_containers = _last_containers(_json_list(node, containers, "containers"))
    node_images = tuple(map(store.image, _json_list(node, images, "images")))
    return NodeInventory(
        node=node,
        space=parse(node, space),
        device=device.split()[-1],
        logs=_first_number(logs),
        # In blocks of 512 bytes.
        ballast=_first_number(ballast) * 512,
        content=sum(store.blobs.values()),
        snapshots=sum(snapshot_sizes.values()),
        images=node_images,
        used=last_containers,
    )


def _read_content(snapshots: Sizes, blobs: str, small_blobs: Sequence[str]) -> _ContentStore:
    """Read the blobs' sizes and times, and the small ones that are configs or image manifests."""
    sizes: dict[str, int] = {}
    written: dict[str, float] = {}
    for digest, size, time in _read_blobs(blobs):
        sizes[digest] = size
        written[digest] = time
    chains: dict[str, Sequence[str]] = {}
    manifests: dict[str, dict[str, _Document]] = {}
    for digest, document in _read_documents(small_blobs):
        if "rootfs" in document:
            chains[digest] = _chains(document)
        is_manifest = isinstance(document.get("layers"), list) and document.get("config")
        if is_manifest:
            config_digest = document["config"].get("digest")
            manifests.setdefault(config_digest, {})[digest] = document
    return _ContentStore(
        blobs=sizes,
        written=written,
        chains=chains,
        manifests=manifests,
        snapshots=snapshots,
    )


def _json_list(node: str, output: str, key: str) -> Sequence[_Document]:
    """Return what crictl lists under a key, which may be null."""
    return as_json(node, output).get(key) or ()


def _last_containers(containers: Iterable[_Document]) -> Times:
    """Return when each image last got a container. `createdAt` is in nanoseconds."""
    last_uses: dict[str, float] = {}
    for container in containers:
        created = int(container.get("createdAt") or 0) / 1e9
        for image in _images_of(container):
            last_uses[image] = max(created, last_uses.get(image, 0.0))
    return last_uses


def _images_of(container: _Document) -> Iterator[str]:
    """Give all by which a container's image is named."""
    yield from _image_ids_of(container)
    image = container.get("image") or {}
    if name := image.get("image"):
        yield name


def _image_ids_of(container: _Document) -> Iterator[str]:
    for key in ("imageRef", "imageId"):
        if image_id := container.get(key):
            yield image_id


def _read_documents(texts: Iterable[str]) -> Iterator[tuple[str, _Document]]:
    """Give the blobs that are JSON objects, by their digests."""
    for text in texts:
        name, _, content = text.strip().partition("\n")
        try:
            document = json.loads(content)
        except ValueError:
            continue
        if isinstance(document, dict):
            yield f"sha256:{name}", document


def _chains(config: _Document) -> tuple[str, ...]:
    """Return the chain IDs of the layers that an image config names."""
    root_filesystem = config.get("rootfs") or {}
    return chain_ids(root_filesystem.get("diff_ids") or ())


def _read_sizes(output: str) -> Iterator[tuple[str, int]]:
    """Read lines of KEY SIZE INODES. Skips others, such as the header."""
    for line in output.splitlines():
        match line.split():
            case [key, size, *_] if size.isdigit():
                yield key, int(size)


def _read_blobs(output: str) -> Iterator[tuple[str, int, float]]:
    """Read lines of NAME SIZE TIME. Gives (digest, bytes, seconds since 1970)."""
    for line in output.splitlines():
        match line.split():
            case [name, size, time]:
                yield f"sha256:{name}", int(size), float(time)


def _first_number(output: str) -> int:
    """Return the number that the output begins with, 0 if it begins otherwise."""
    match output.split():
        case [number, *_] if number.isdigit():
            return int(number)
    return 0
