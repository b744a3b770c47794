"""What a node keeps: images by their snapshots and blobs, logs, ballast; as things that may go or must stay."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from devenv.disk.ballast import IN_NODE
from devenv.disk.keep import Keep, short_name
from devenv.disk.plan import Thing, Worth, nameless_label
from devenv.errors import DevenvError
from devenv.facts.df import DF, parse
from devenv.images.innode import MARK, Nodes, as_json, is_own_name
from devenv.images.layers import chain_ids
from devenv.ports import Containers, Space

_CONTENT = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256"
# KiB: manifests and configs are smaller, layers with content are not read.
_SMALL = 512
_LOGS = "/var/log"
# One exec takes 0.08 s, whatever it runs, so everything is asked with one. Sizes of snapshots are containerd's own notes of
# them, made when they were committed: nothing walks the disk but for the logs.
_LOOK = f"""exec 2>&1
mark() {{ echo; echo '{MARK}'; }}
snapshotter=$(containerd config dump 2>/dev/null | sed -n 's/^ *snapshotter = //p' | head -n 1 | tr -d "\\"'")
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
# Before the small blobs.
_PARTS = 8


@dataclass(frozen=True)
class NodeImage:
    """An image in a node. `layers`: bytes by chain ID; `blobs`: bytes by digest; `loose`: blobs that snapshots make needless."""

    id: str
    names: tuple[str, ...]
    layers: Mapping[str, int]
    blobs: Mapping[str, int]
    loose: frozenset[str]
    came: float
    pinned: bool
    # Whether its manifest and config were.
    read: bool = True


@dataclass(frozen=True)
class Kept:
    """What a node has. Sizes in bytes; `device` as the kernel under the node numbers it; `used` has images' last use by ID."""

    node: str
    space: Space
    device: str
    logs: int
    ballast: int
    content: int
    snapshots: int
    images: tuple[NodeImage, ...]
    used: Mapping[str, float]

    @property
    def loose(self) -> dict[str, int]:
        """Blobs, with their bytes, that every image which has them has unpacked; none where an image does not say what it has."""
        if not all(image.read for image in self.images):
            return {}
        needed = {blob for image in self.images for blob in image.blobs if blob not in image.loose}
        return {
            blob: image.blobs[blob]
            for image in self.images
            for blob in image.loose
            if blob not in needed
        }


@dataclass(frozen=True)
class NodeStock:
    """Asks nodes, and deletes from them exactly what it is told."""

    containers: Containers

    def look(self, node: str) -> Kept:
        """Return what the node has. Raises DevenvError where it does not say."""
        result = self.containers.exec(node, ["bash", "-c", _LOOK])
        parts = result.output.split(f"\n{MARK}\n")
        if len(parts) < _PARTS + 1:
            raise DevenvError(f"{node} does not say what it keeps.", parts[-1][-500:])
        return _read(node, parts)

    def users(self, node: str) -> frozenset[str]:
        """Return the IDs of the images that a container of the node has, in any state."""
        listed = (
            as_json(
                node, Nodes(self.containers).run(node, ["crictl", "ps", "-a", "-o", "json"])
            ).get("containers")
            or ()
        )
        return frozenset(
            str(c[key]) for c in listed for key in ("imageRef", "imageId") if c.get(key)
        )

    def remove_image(self, node: str, image: str) -> None:
        """Delete an image by its ID, with all its names. containerd collects what only it had before this returns."""
        Nodes(self.containers).run(node, ["crictl", "rmi", image])

    def remove_blobs(self, node: str, digests: Sequence[str]) -> None:
        """Delete those of the blobs that snapshots still make needless."""
        if loose := [d for d in digests if d in self.look(node).loose]:
            Nodes(self.containers).run(
                node, ["ctr", "--namespace", "k8s.io", "content", "rm", *loose]
            )


def things(
    inventory: Kept,
    keep: Keep,
    uses: Mapping[str, float],
    current_time: float,
    returnable: Mapping[str, str] = MappingProxyType({}),
    former_names: Mapping[str, str] = MappingProxyType({}),
) -> list[Thing]:
    """Return the node's images, and beside them, as one thing, the blobs that their snapshots make needless.

    `uses`: when images came, by node and ID; `returnable`: name of a superseded image → the name to
    which it can return; `former_names`: image's ID → the name that it had last.
    """
    things = []
    for image in inventory.images:
        if is_waste(image, returnable):
            things.append(_waste(inventory, image, keep, former_names))
        else:
            thing = _image(
                inventory, image, keep, uses.get(f"{inventory.node} {image.id}", 0.0), current_time
            )
            things.append(replace(thing, name=_returnable_name(thing, returnable)))
    loose = inventory.loose
    if sum(loose.values()):
        label = f"{len(loose)} packed layers that are unpacked beside them"
        things.append(
            Thing(
                label,
                Worth.BLOB,
                _of(inventory.node, loose),
                0,
                "",
                inventory.node,
                "blobs",
                tuple(sorted(loose)),
            )
        )
    return things


def names_by_id(inventory: Kept) -> dict[str, str]:
    """Return a name of each image that has one of its own, by the image's ID."""
    names = {}
    for image in inventory.images:
        tags = [name for name in image.names if "@" not in name and not is_own_name(name)]
        if tags:
            names[image.id] = short_name(tags[0])
    return names


def is_waste(image: NodeImage, returnable: Mapping[str, str]) -> bool:
    """Whether an image has only the name of a superseded one, and `--undo` does not return to it."""
    return all(is_own_name(name) and name not in returnable for name in image.names)


def _waste(inventory: Kept, image: NodeImage, keep: Keep, former_names: Mapping[str, str]) -> Thing:
    reason = keep.nameless(used=image.id in inventory.used, pinned=image.pinned)
    former_name = former_names.get(image.id, "")
    label = nameless_label(image.id, former_name)
    last_use = max(image.came, inventory.used.get(image.id, 0.0))
    parts = _parts(inventory, image)
    thing = Thing(
        label, Worth.DANGLING, parts, last_use, reason, inventory.node, image.id, image.names
    )
    return replace(thing, former_name=former_name)


def _returnable_name(thing: Thing, returnable: Mapping[str, str]) -> str:
    """Return what a list calls the thing: of an image to return to, what that is for."""
    name = next((returnable[n] for n in thing.names if n in returnable), "")
    return f"image of {name} to return to (reload-image --undo)" if name else thing.name


def _image(
    inventory: Kept, image: NodeImage, keep: Keep, arrival: float, current_time: float
) -> Thing:
    label = (
        ", ".join(n for n in image.names if "@" not in n)
        or next(iter(image.names), "")
        or f"image {image.id[7:19]}"
    )
    last_use = max(image.came, arrival, inventory.used.get(image.id, 0.0))
    reason = keep.node(
        image.names,
        used=image.id in inventory.used,
        pinned=image.pinned,
        age=current_time - last_use,
    )
    parts = _parts(inventory, image)
    return Thing(
        label, _worth(image), parts, last_use, reason, inventory.node, image.id, image.names
    )


def _parts(inventory: Kept, image: NodeImage) -> dict[str, int]:
    blobs = {blob: size for blob, size in image.blobs.items() if blob not in inventory.loose}
    return {**_of(inventory.node, image.layers), **_of(inventory.node, blobs)}


def _of(node: str, parts: Mapping[str, int]) -> dict[str, int]:
    return {f"{node} {part}": size for part, size in parts.items()}


def _worth(image: NodeImage) -> Worth:
    return Worth.SUPERSEDED if all(map(is_own_name, image.names)) else Worth.IMAGE


def _read(node: str, parts: Sequence[str]) -> Kept:
    space, device, logs, ballast, images, containers, snapshots, blobs, *small = parts
    by_chain = {chain: size for chain, size in _sizes(snapshots) if chain.startswith("sha256:")}
    stored = {f"sha256:{name}": (int(size), float(mtime)) for name, size, mtime in _fields(blobs)}
    documents = list(_documents(small))
    configs = {digest: _chains(d) for digest, d in documents if "rootfs" in d}
    manifests = [
        (digest, d)
        for digest, d in documents
        if isinstance(d.get("layers"), list) and d.get("config")
    ]
    used = _used(as_json(node, containers).get("containers") or ())
    node_images = []
    for listed in as_json(node, images).get("images") or ():
        image_manifests = [
            (digest, d) for digest, d in manifests if d["config"].get("digest") == listed["id"]
        ]
        node_images.append(
            _node_image(listed, configs.get(listed["id"], ()), image_manifests, by_chain, stored)
        )
    return Kept(
        node, parse(node, space), device.split()[-1], _first(logs), _first(ballast) * 512,
        sum(size for size, _ in stored.values()), sum(size for _, size in _sizes(snapshots)), tuple(node_images), used,
    )  # fmt: skip


def _node_image(
    listed: Mapping[str, Any],
    chains: Sequence[str],
    manifests: Sequence[tuple[str, Mapping[str, Any]]],
    snapshots: Mapping[str, int],
    stored: Mapping[str, tuple[int, float]],
) -> NodeImage:
    blobs = {listed["id"], *(digest for digest, _ in manifests)}
    loose = set()
    for _, manifest in manifests:
        for layer, chain in zip(manifest["layers"], chains, strict=False):
            blobs.add(layer["digest"])
            if chain in snapshots and layer["digest"] in stored:
                loose.add(layer["digest"])
    names = (*(listed.get("repoTags") or ()), *(listed.get("repoDigests") or ()))
    return NodeImage(
        listed["id"], names, {c: snapshots[c] for c in chains if c in snapshots},
        {b: stored[b][0] for b in blobs if b in stored}, frozenset(loose),
        stored[listed["id"]][1] if listed["id"] in stored else 0.0, bool(listed.get("pinned")), bool(manifests and chains),
    )  # fmt: skip


def _used(containers: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return when each image last got a container. `createdAt` is in nanoseconds."""
    last_uses: dict[str, float] = {}
    for container in containers:
        created = int(container.get("createdAt") or 0) / 1e9
        for image in (
            container.get("imageRef"),
            container.get("imageId"),
            (container.get("image") or {}).get("image"),
        ):
            if image:
                last_uses[image] = max(created, last_uses.get(image, 0.0))
    return last_uses


def _documents(texts: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the blobs that are JSON objects, by their digests."""
    for text in texts:
        name, _, content = text.strip().partition("\n")
        try:
            document = json.loads(content)
        except ValueError:
            continue
        if isinstance(document, dict):
            yield f"sha256:{name}", document


def _chains(config: Mapping[str, Any]) -> tuple[str, ...]:
    return chain_ids((config.get("rootfs") or {}).get("diff_ids") or ())


def _sizes(output: str) -> Iterator[tuple[str, int]]:
    """Read lines of KEY SIZE INODES."""
    for line in output.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():  # noqa: PLR2004
            yield words[0], int(words[1])


def _fields(output: str) -> Iterator[list[str]]:
    for line in output.splitlines():
        if len(words := line.split()) == 3:  # noqa: PLR2004 - name, size, time
            yield words


def _first(output: str) -> int:
    """Return the number that a line begins with; 0 where there is none."""
    words = output.split()
    return int(words[0]) if words and words[0].isdigit() else 0
