"""`down --purge`: removes what devenv keeps besides a cluster, namely built images and caches."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.base.partition import partition
from devenv.base.steps import step
from devenv.base.wait import locked
from devenv.images.recipes.recipe import KEY_LABEL, NAME_LABEL, REGISTRY
from devenv.ports.clock import Clock
from devenv.ports.engine import Engine, Image, Stock
from devenv.ports.host import Host
from devenv.ports.names import Names
from devenv.ports.reporter import Reporter
from devenv.state.record import Record, Records

# Folders of the cache that a running cluster's next `up` needs.
_UP_FOLDERS = frozenset({"built", "downloads", "kustomize"})
# Folders of the cache that only builds from a checkout need.
_BUILD_FOLDERS = frozenset({"go-build", "go-mod", "toolchain"})
# A folder of the cache with one file for each cluster.
_DECLARED = "declared"
# How the tag of a node image ends before other images are put into it.
_UNLOADED = "-unloaded"
# Bytes of a disk block, as `st_blocks` counts.
_BLOCK = 512


@dataclass(frozen=True)
class Item:
    """One thing to remove: an image by its name and its ID in the engine, or a file or folder."""

    name: str
    # Bytes.
    size: int
    folder: Path | None = None
    image: str = ""


@dataclass(frozen=True)
class PurgePlan:
    """What is removed, and what stays because other clusters use it."""

    items: tuple[Item, ...] = ()
    kept: tuple[Item, ...] = ()
    # The names of the other clusters.
    clusters: Names = ()


@dataclass(frozen=True)
class Needs:
    """What another cluster uses."""

    cluster: str
    # Names of images in the engine. None if the cluster's profile can't be read: it may use all.
    names: frozenset[str] | None = None
    # IDs of images in the engine.
    ids: frozenset[str] = frozenset()
    # Whether its images are built from a checkout.
    builds: bool = True

    def has(self, item: Item) -> bool:
        """Whether the cluster uses an image."""
        return self.names is None or item.name in self.names or item.image in self.ids


@dataclass(frozen=True)
class Purge:
    """Lists what can be removed, and then removes exactly what was listed."""

    host: Host
    clock: Clock
    engine: Engine
    stock: Stock
    reporter: Reporter
    # Gives the names of the images that recipes make for a cluster. Raises DevenvError if the
    # cluster's profile can't be read.
    recipes_of: Callable[[str], frozenset[str]] = field(default=lambda _: frozenset())

    def plan(self, cluster: str, *, everything: bool = False) -> PurgePlan:
        """Return what is removed with this cluster.

        `everything`: whether that includes what other clusters use.
        """
        all_needs = self._other_clusters(cluster)
        clusters = tuple(needs.cluster for needs in all_needs)
        if everything:
            all_needs = []
        images = self._images()
        kept_images, removed_images = partition(images, lambda item: _is_used(item, all_needs))
        removed_paths, kept_paths = self._paths(cluster, all_needs)
        items = (*removed_images, *map(_path_item, removed_paths))
        kept_items = (*kept_images, *map(_path_item, kept_paths))
        return PurgePlan(items, kept_items, clusters)

    # What other clusters use

    def _other_clusters(self, cluster: str) -> list[Needs]:
        """Return what the other clusters use.

        These are all clusters that devenv remembers, and others whose node image devenv built.
        """
        node_images = self._node_images()
        remembered_needs = self._remembered_needs(cluster, node_images)
        remembered_clusters = {cluster, *(needs.cluster for needs in remembered_needs)}
        unknown_clusters = sorted(node_images.keys() - remembered_clusters)
        unknown_needs = [
            Needs(name) for name in unknown_clusters if self._is_own_image(node_images[name])
        ]
        return remembered_needs + unknown_needs

    def _node_images(self) -> dict[str, str]:
        """Return the ID of a node image for each kind cluster in the engine."""
        containers = self.stock.listed_containers()
        return {node.cluster: node.image for node in containers if node.cluster}

    def _remembered_needs(self, cluster: str, node_images: Mapping[str, str]) -> list[Needs]:
        """Return what the other clusters need, also those that a record alone remembers."""
        records = Records(self.host)
        engine_id = self.engine.info().id
        all_needs = []
        for path in sorted(records.path(cluster).parent.glob("*.json")):
            name = path.stem
            record = _readable_record(records, name)
            # A cluster on another engine may still exist there.
            is_on_engine = record is not None and record.engine in {"", engine_id}
            is_gone = is_on_engine and name not in node_images
            if name != cluster and not is_gone:
                all_needs.append(self._needs(name, record))
        return all_needs

    def _is_own_image(self, image_id: str) -> bool:
        image = self.engine.image(image_id)
        return image is not None and NAME_LABEL in image.labels

    def _needs(self, cluster: str, record: Record | None) -> Needs:
        """Return what one cluster needs; if that can't be told, it needs everything."""
        if record is None:
            return Needs(cluster)
        builds = bool(record.variant.checkout)
        ids = _loaded_ids(record)
        try:
            names = self.recipes_of(cluster)
        except DevenvError:
            return Needs(cluster, None, ids, builds=builds)
        return Needs(cluster, names, ids, builds=builds)

    # What devenv keeps

    def _images(self) -> list[Item]:
        """Return the images that recipes made, by name.

        A user's image that is based on one of them inherits its labels, but not the name that the
        labels spell.
        """
        items = []
        for image in self.engine.images(NAME_LABEL):
            own_tags = [tag for tag in image.tags if tag in _recipe_tags(image)]
            items += [Item(tag, image.size, image=image.id) for tag in own_tags]
        return sorted(items, key=lambda item: item.name)

    def _paths(self, cluster: str, all_needs: Sequence[Needs]) -> tuple[list[Path], list[Path]]:
        """Return the paths to remove, of the cache and the ballast, and those that stay."""
        needed_folders = _needed_folders(all_needs)
        removed_paths, kept_paths = [], []
        for path in sorted(self.host.cache_dir().iterdir()):
            if path.name == _DECLARED and all_needs:
                # Of this folder, only the cluster's own file goes.
                declaration = path / f"{cluster}.json"
                if declaration.exists():
                    removed_paths.append(declaration)
            elif path.name in needed_folders:
                kept_paths.append(path)
            else:
                removed_paths.append(path)
        # The ballast, and what devenv remembers of disks.
        disk = self.host.state_dir() / "disk"
        if disk.is_dir() and all_needs:
            kept_paths.append(disk)
        elif disk.is_dir():
            removed_paths.append(disk)
        return removed_paths, kept_paths

    # Removing

    def apply(self, items: Sequence[Item], wait: float) -> list[str]:
        """Remove the items. Return those that had to stay, each with its reason.

        An image that a container uses is never forced. `wait`: seconds to wait for another process
        that changes images.
        """
        stayed = []
        with (
            locked(self.host, self.clock, "images", self.reporter.say, wait),
            step(self.reporter, "purge") as note,
        ):
            for number, item in enumerate(items):
                self.reporter.update("purge", number, len(items), "items")
                if reason := self._remove(item):
                    stayed.append(f"{item.name}: {reason}")
            removed_count = len(items) - len(stayed)
            note.append(f"{removed_count} of {len(items)} removed")
        return stayed

    def _remove(self, item: Item) -> str:
        """Remove an item. Return why it had to stay, "" if it is removed."""
        try:
            if item.folder is None:
                return self._remove_image(item)
            _remove_path(item.folder)
        except (DevenvError, OSError) as error:
            return getattr(error, "why", "") or str(error)
        return ""

    def _remove_image(self, item: Item) -> str:
        image = self.engine.image(item.name)
        if image and image.id != item.image:
            return "another image has this name now"
        self.engine.untag(item.name)
        return ""


def _is_used(item: Item, all_needs: Sequence[Needs]) -> bool:
    return any(needs.has(item) for needs in all_needs)


def _needed_folders(all_needs: Sequence[Needs]) -> frozenset[str]:
    """Return the names of the cache's folders that clusters need."""
    if not all_needs:
        return frozenset()
    if any(needs.builds for needs in all_needs):
        return _UP_FOLDERS | _BUILD_FOLDERS
    return _UP_FOLDERS


def _loaded_ids(record: Record) -> frozenset[str]:
    """Return the IDs of the engine's images that were loaded into a cluster's nodes."""
    ids: set[str] = set()
    for images in record.loaded.values():
        ids.update(images.values())
    return frozenset(ids - {""})


def _recipe_tags(image: Image) -> tuple[str, str]:
    """Return the names that a recipe's image can have, by its labels."""
    labels = image.labels
    name = f"{REGISTRY}/{labels.get(NAME_LABEL)}:{labels.get(KEY_LABEL)}"
    return name, f"{name}{_UNLOADED}"


def _readable_record(records: Records, cluster: str) -> Record | None:
    try:
        return records.read(cluster)
    except DevenvError:
        return None


def _path_item(path: Path) -> Item:
    return Item(str(path), folder_size(path), path)


def _remove_path(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_size(folder: Path) -> int:
    """Return the bytes that a file, or the files below a folder, take on the disk."""
    if not folder.is_dir():
        return folder.lstat().st_blocks * _BLOCK
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(Path(base) / name).st_blocks * _BLOCK
    return total
