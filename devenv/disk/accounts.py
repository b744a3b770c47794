"""What an engine keeps, as a ledger lists it: each thing with its size and its present or former owner."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.engine import Stored
from devenv.disk.history import Owner
from devenv.disk.plan import nameless_label
from devenv.ports import ListedContainer, ListedImage

# Bytes.
_LONG_LOG = 50 << 20
# Bytes that a container has written, from which on it is listed.
_WRITTEN = 1 << 20
# Prefix of the folder with etcd's logs in a node; the node's name follows.
_ETCD = "kube-system_etcd-"


@dataclass(frozen=True)
class Share:
    """What one kind of thing takes.

    `size` in bytes, None where it is not known; `alone`: of that, what nothing else has; `included`:
    its bytes are in another share too; `command`: removes it, where devenv itself may not.
    """

    what: str
    size: int | None
    note: str = ""
    alone: int | None = None
    included: bool = False
    command: str = ""


def image_shares(stored: Stored, former_names: Mapping[str, str]) -> Iterator[Share]:
    """Give all images together, the build cache, and each image, the largest first."""
    layers: dict[str, int] = {}
    for image in stored.images:
        layers.update(stored.layers.get(image.id, {}))
    nameless = [image for image in stored.images if not image.names]
    yield Share(
        "images",
        sum(layers.values()),
        f"{len(stored.images)}, {len(nameless)} of them without a name",
    )
    if stored.cache is None:
        yield Share("build cache", None, "the engine did not say in time")
    else:
        size = sum(record.size for record in stored.cache if not record.shared)
        yield Share("build cache", size, f"{len(stored.cache)} records")
    alone = _alone(stored)
    for image in sorted(stored.images, key=lambda i: -alone.get(i.id, 0)):
        size = sum(stored.layers.get(image.id, {}).values())
        yield Share(_label(image, former_names), size, alone=alone.get(image.id), included=True)


def _label(image: ListedImage, former_names: Mapping[str, str]) -> str:
    tags = ", ".join(name for name in image.names if "@" not in name)
    return f"image {tags}" if tags else nameless_label(image.id, former_names.get(image.id, ""))


def _alone(stored: Stored) -> dict[str, int]:
    """Return the bytes of each image that no other image has."""
    holders: dict[str, int] = {}
    for layers in stored.layers.values():
        for chain in layers:
            holders[chain] = holders.get(chain, 0) + 1
    alone = {}
    for image in stored.images:
        layers = stored.layers.get(image.id, {})
        alone[image.id] = sum(size for chain, size in layers.items() if holders[chain] == 1)
    return alone


def container_shares(stored: Stored) -> Iterator[Share]:
    """Give what containers have written, if the engine has measured it.

    kind's nodes write most of it into a volume instead.
    """
    written = stored.measured.containers if stored.measured else {}
    for container in stored.containers:
        size = written.get(container.name, 0)
        if size >= _WRITTEN:
            ended = container.status in {"exited", "dead", "created"} and not container.cluster
            command = f"docker rm {container.name}" if ended else ""
            yield Share(f"container {container.name}", size, container.status, command=command)


def mounts(containers: Iterable[ListedContainer]) -> dict[str, Owner]:
    """Return, for each volume, the container that uses it, running or not."""
    return {volume: Owner(c.name, c.cluster) for c in containers for volume in c.volumes}


def volume_shares(
    stored: Stored,
    owners: Mapping[str, Owner],
    node_of: Mapping[str, str],
    surveyed: Collection[str],
) -> Iterator[Share]:
    """Give each volume, with its present or former owner.

    `owners`: of those that are or were seen mounted; `node_of`: volume → the node that its content
    shows; `surveyed`: nodes with a ledger of their own, in which their volumes are.
    """
    mounted = mounts(stored.containers)
    existing = {container.name for container in stored.containers}
    sizes = stored.measured.volumes if stored.measured else {}
    for volume in stored.volumes:
        size = sizes.get(volume)
        if owner := mounted.get(volume):
            yield Share(
                f"volume {volume[:12]}",
                size,
                f"of {owner.container}",
                included=owner.container in surveyed,
            )
            continue
        note = _whose(owners.get(volume), node_of.get(volume, ""), existing)
        yield Share(f"volume {volume[:12]}", size, note, command=f"docker volume rm {volume}")


def _whose(owner: Owner | None, node: str, existing: Collection[str]) -> str:
    """Return the former owner of a volume that no container uses."""
    kind_of_owner = "kind node" if node or (owner and owner.cluster) else "container"
    name = owner.container if owner else node
    if not name:
        return "of no container"
    if name in existing:
        return f"of an earlier {kind_of_owner} {name}"
    return f"{kind_of_owner} {name}, which no longer exists"


def node_in(volume: Path) -> str:
    """Return the name of the control-plane node whose /var a volume was.

    "" where it was no node's, or only root may look.
    """
    try:
        folders = [folder.name for folder in (volume / "_data" / "log" / "pods").iterdir()]
    except OSError:
        return ""
    logs_of_etcd = next((name for name in folders if name.startswith(_ETCD)), "")
    return logs_of_etcd.removeprefix(_ETCD).rpartition("_")[0]


def log_shares(containers: Path, stored: Stored) -> Iterator[Share]:
    """Give the containers' logs together, and each long one.

    `containers`: the engine's folder of them, which is root's.
    """
    sizes: dict[str, tuple[int, Path]] = {}
    try:
        for container in stored.containers:
            path = containers / container.id / f"{container.id}-json.log"
            with suppress(FileNotFoundError):
                sizes[container.name] = (path.stat().st_blocks * 512, path)
    except OSError:
        yield Share("containers' logs", None, "only root may look")
        return
    total = sum(size for size, _ in sizes.values())
    yield Share("containers' logs", total, f"of {len(sizes)} containers")
    for name, (size, path) in sorted(sizes.items(), key=lambda item: -item[1][0]):
        if size > _LONG_LOG:
            command = f"sudo truncate --size 0 {path}"
            yield Share(f"log of {name}", size, included=True, command=command)
