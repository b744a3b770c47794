"""Lists what an engine keeps: each thing with its size and its present or former owner."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devenv.base.counting import counted
from devenv.base.image_names import NamesById
from devenv.base.measures import Sizes
from devenv.disk.engine import EngineInventory
from devenv.disk.history import Owner
from devenv.disk.keep import tags_among
from devenv.disk.plan import nameless_label
from devenv.ports.engine import ListedContainer, ListedImage

# Bytes. Longer logs are listed one by one.
_LONG_LOG = 50 << 20
# Bytes. A container that has written fewer is not listed.
_MUCH_WRITTEN = 1 << 20
# The folder of etcd's logs in a node begins so; the node's name follows.
_ETCD = "kube-system_etcd-"
_ENDED = {"exited", "dead", "created"}


@dataclass(frozen=True)
class Share:
    """What one kind of thing takes.

    `size`: in bytes, None if unknown. `alone`: the bytes of it that nothing else has. `included`:
    its bytes are in another share too. `command`: removes it, if devenv itself may not.
    """

    what: str
    size: int | None
    note: str = ""
    alone: int | None = None
    included: bool = False
    command: str = ""


def image_shares(inventory: EngineInventory, former_names: NamesById) -> Iterator[Share]:
    """Give all images together, the build cache, and each image, the largest first."""
    yield _all_images(inventory)
    yield _build_cache(inventory)
    alone = _bytes_alone(inventory)
    for image in sorted(inventory.images, key=lambda image: -alone[image.id]):
        layers = inventory.layers_of(image.id)
        yield Share(
            what=_label(image, former_names),
            size=sum(layers.values()),
            alone=alone[image.id],
            included=True,
        )


def _all_images(inventory: EngineInventory) -> Share:
    """Return all images as one share, in which layers that images share count once."""
    layers: dict[str, int] = {}
    for image in inventory.images:
        layers.update(inventory.layers_of(image.id))
    total_count = len(inventory.images)
    nameless_count = sum(not image.names for image in inventory.images)
    note = f"{total_count}, all with a name"
    if nameless_count:
        note = f"{total_count}, including {nameless_count} without a name"
    return Share("images", sum(layers.values()), note)


def _build_cache(inventory: EngineInventory) -> Share:
    if inventory.cache is None:
        return Share("build cache", None, "the engine did not say in time")
    size = sum(record.size for record in inventory.cache if not record.shared)
    record_count = len(inventory.cache)
    return Share("build cache", size, f"{counted(record_count, 'record')}")


def _label(image: ListedImage, former_names: NamesById) -> str:
    if tags := tags_among(image.names):
        return f"image {', '.join(tags)}"
    return nameless_label(image.id, former_names.get(image.id, ""))


def _bytes_alone(inventory: EngineInventory) -> Sizes:
    """Return the bytes of each image that no other image has."""
    holders: Counter[str] = Counter()
    for layers in inventory.layers.values():
        holders.update(layers.keys())
    alone = {}
    for image in inventory.images:
        layers = inventory.layers_of(image.id)
        alone[image.id] = sum(size for chain, size in layers.items() if holders[chain] == 1)
    return alone


def container_shares(inventory: EngineInventory) -> Iterator[Share]:
    """Give what containers have written, if the engine has measured it.

    kind's nodes write most of it into a volume instead.
    """
    if inventory.measured is None:
        return
    for container in inventory.containers:
        size = inventory.measured.containers.get(container.name, 0)
        if size >= _MUCH_WRITTEN:
            command = _removal_command(container)
            yield Share(f"container {container.name}", size, container.status, command=command)


def _removal_command(container: ListedContainer) -> str:
    """Return what removes a container, "" for one that runs and for a node."""
    if container.cluster or container.status not in _ENDED:
        return ""
    return f"docker rm {container.name}"


def owners_by_volume(containers: Iterable[ListedContainer]) -> dict[str, Owner]:
    """Return the container that mounts each volume, running or not."""
    owners = {}
    for container in containers:
        owner = Owner(container.name, container.cluster)
        owners.update(dict.fromkeys(container.volumes, owner))
    return owners


def volume_shares(
    inventory: EngineInventory,
    owners: Mapping[str, Owner],
    node_of: Mapping[str, str],
    surveyed: Collection[str],
) -> Iterator[Share]:
    """Give each volume, with its present or former owner.

    `owners`: of volumes that are mounted, or once were. `node_of`: volume → the node that its
    content shows. `surveyed`: nodes with a ledger of their own, which lists the same bytes.
    """
    mounted = owners_by_volume(inventory.containers)
    existing_containers = {container.name for container in inventory.containers}
    sizes = inventory.measured.volumes if inventory.measured else {}
    for volume in inventory.volumes:
        what = f"volume {volume[:12]}"
        size = sizes.get(volume)
        if owner := mounted.get(volume):
            has_ledger = owner.container in surveyed
            yield Share(what, size, f"of {owner.container}", included=has_ledger)
            continue
        note = _describe_former_owner(
            owners.get(volume), node_of.get(volume, ""), existing_containers
        )
        yield Share(what, size, note, command=f"docker volume rm {volume}")


def _describe_former_owner(
    owner: Owner | None, node: str, existing_containers: Collection[str]
) -> str:
    """Say whose a volume was that no container mounts.

    `node`: the node that its content shows, "" if none.
    """
    kind_of_owner = "kind node" if node or (owner and owner.cluster) else "container"
    name = owner.container if owner else node
    if not name:
        return "of no container"
    if name in existing_containers:
        return f"of an earlier {kind_of_owner} {name}"
    return f"{kind_of_owner} {name}, which no longer exists"


def node_in(volume: Path) -> str:
    """Return the name of the control-plane node whose /var a volume was.

    "" if it was not a node's, or if only root may look.
    """
    try:
        folders = list((volume / "_data" / "log" / "pods").iterdir())
    except OSError:
        return ""
    for folder in folders:
        if folder.name.startswith(_ETCD):
            node, _, _ = folder.name.removeprefix(_ETCD).rpartition("_")
            return node
    return ""


@dataclass(frozen=True)
class _Log:
    container: str
    path: Path
    size: int


def log_shares(folder: Path, inventory: EngineInventory) -> Iterator[Share]:
    """Give the containers' logs together, and each long one.

    `folder`: the engine's folder of its containers, which only root may read.
    """
    try:
        logs = list(_logs(folder, inventory.containers))
    except OSError:
        yield Share("containers' logs", None, "only root may look")
        return
    total = sum(log.size for log in logs)
    yield Share("containers' logs", total, f"of {counted(len(logs), 'container')}")
    for log in sorted(logs, key=lambda log: -log.size):
        if log.size > _LONG_LOG:
            command = f"sudo truncate --size 0 {log.path}"
            yield Share(f"log of {log.container}", log.size, included=True, command=command)


def _logs(folder: Path, containers: Iterable[ListedContainer]) -> Iterator[_Log]:
    """Yield the logs that Docker keeps of containers. Sizes are what they take on the disk."""
    for container in containers:
        path = folder / container.id / f"{container.id}-json.log"
        with suppress(FileNotFoundError):
            # st_blocks counts blocks of 512 bytes.
            size = path.stat().st_blocks * 512
            yield _Log(container.name, path, size)
