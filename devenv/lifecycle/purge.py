"""`down --purge`: everything that devenv keeps besides a cluster, listed first: the images it built, and its caches."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devenv.errors import DevenvError
from devenv.images.recipe import KEY_LABEL, NAME_LABEL, REGISTRY
from devenv.lifecycle.record import Record, Records
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Engine, Host, Image, Reporter, Stock
from devenv.wait import locked

# Folders of the cache that a running cluster's next `up` needs, and those that only builds need.
_NEEDED = ("built", "downloads", "kustomize")
_TO_BUILD = ("go-build", "go-mod", "toolchain")
# A file a cluster.
_DECLARED = "declared"
# How the tag of a node image ends before other images are put into it.
_PRELOAD = "-unloaded"


@dataclass(frozen=True)
class Item:
    """One thing to remove: an image by its name and ID in the engine, or a folder of the cache. `size` in bytes."""

    name: str
    size: int
    folder: Path | None = None
    image: str = ""


@dataclass(frozen=True)
class PurgePlan:
    """What goes, and what stays because other clusters use it. `clusters`: these clusters' names."""

    items: tuple[Item, ...] = ()
    kept: tuple[Item, ...] = ()
    clusters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needs:
    """What another cluster uses. `names` and `ids` are of the engine's images, None where its profile can't be read."""

    cluster: str
    names: frozenset[str] | None = None
    ids: frozenset[str] = frozenset()
    # Whether its images are built from a checkout.
    builds: bool = True

    def has(self, item: Item) -> bool:
        """Whether it uses the image."""
        return self.names is None or item.name in self.names or item.image in self.ids


@dataclass(frozen=True)
class Purge:
    """Lists, and removes exactly what was listed.

    `recipes_of`: names of the images that recipes make for a cluster; it raises DevenvError where its profile can't be read.
    """

    host: Host
    clock: Clock
    engine: Engine
    stock: Stock
    reporter: Reporter
    recipes_of: Callable[[str], frozenset[str]] = field(default=lambda _: frozenset())

    def plan(self, cluster: str, *, everything: bool = False) -> PurgePlan:
        """Return what goes with this cluster; with `everything`, also what other clusters use."""
        others = self.others(cluster)
        clusters = tuple(needs.cluster for needs in others)
        if everything:
            others = []
        images = self._images()
        kept_images = [item for item in images if any(needs.has(item) for needs in others)]
        folders, kept_folders = self._folders(cluster, others)
        items = (*(item for item in images if item not in kept_images), *folders)
        return PurgePlan(items, (*kept_images, *kept_folders), clusters)

    def others(self, cluster: str) -> list[Needs]:
        """Return what the other clusters use: all that devenv remembers, and those of its node images that it does not."""
        records = Records(self.host)
        here = self.engine.info().id
        containers = self.stock.listed_containers()
        alive = {
            container.cluster: container.image for container in containers if container.cluster
        }
        others = []
        for path in sorted(records.path(cluster).parent.glob("*.json")):
            name = path.stem
            record = _readable(records, name)
            is_gone = record is not None and record.engine in {"", here} and name not in alive
            if name != cluster and not is_gone:
                others.append(self._needs(name, record))
        recorded = {cluster, *(needs.cluster for needs in others)}
        for name, image_id in sorted(alive.items()):
            image = self.engine.image(image_id) if name not in recorded else None
            if image and NAME_LABEL in image.labels:
                others.append(Needs(name))
        return others

    def _needs(self, cluster: str, record: Record | None) -> Needs:
        if record is None:
            return Needs(cluster)
        ids = frozenset(
            image for images in record.loaded.values() for image in images.values() if image
        )
        try:
            names = self.recipes_of(cluster)
        except DevenvError:
            return Needs(cluster, None, ids, builds=bool(record.variant.checkout))
        return Needs(cluster, names, ids, builds=bool(record.variant.checkout))

    def _images(self) -> list[Item]:
        """Return what recipes made. An image built on one of these inherits its labels, but not the name that they spell."""
        items = [
            Item(tag, image.size, image=image.id)
            for image in self.engine.images(NAME_LABEL)
            for tag in image.tags
            if tag in _made_names(image)
        ]
        return sorted(items, key=lambda item: item.name)

    def _folders(self, cluster: str, others: Sequence[Needs]) -> tuple[list[Item], list[Item]]:
        """Return the folders of the cache and the ballast: those that go, and those that other clusters use."""
        needed = {name for name in _NEEDED if others} | {
            name for name in _TO_BUILD if any(o.builds for o in others)
        }
        # The ballast, and what is remembered of disks.
        disk = self.host.state_dir() / "disk"
        removed_paths, kept_paths = [], []
        for path in sorted(self.host.cache_dir().iterdir()):
            if path.name == _DECLARED and others:
                declaration = path / f"{cluster}.json"
                removed_paths += [declaration] if declaration.exists() else []
            elif path.name in needed:
                kept_paths.append(path)
            else:
                removed_paths.append(path)
        if disk.is_dir():
            (kept_paths if others else removed_paths).append(disk)
        return [_folder(path) for path in removed_paths], [_folder(path) for path in kept_paths]

    def apply(self, items: Sequence[Item], wait: float) -> list[str]:
        """Remove the items; return what had to stay, each with its reason: an image that a container uses is never forced."""
        stayed = []
        with (
            locked(self.host, self.clock, "images", self.reporter.say, wait),
            step(self.reporter, "purge") as note,
        ):
            for number, item in enumerate(items):
                self.reporter.update("purge", number, len(items), "items")
                if reason := self._remove(item):
                    stayed.append(f"{item.name}: {reason}")
            note.append(f"{len(items) - len(stayed)} of {len(items)} removed")
        return stayed

    def _remove(self, item: Item) -> str:
        try:
            if item.folder is None:
                return self._remove_image(item)
            if item.folder.is_dir() and not item.folder.is_symlink():
                shutil.rmtree(item.folder)
            else:
                item.folder.unlink(missing_ok=True)
        except (DevenvError, OSError) as error:
            return getattr(error, "why", "") or str(error)
        return ""

    def _remove_image(self, item: Item) -> str:
        image = self.engine.image(item.name)
        if image and image.id != item.image:
            return "another image has this name now"
        self.engine.untag(item.name)
        return ""


def _made_names(image: Image) -> tuple[str, str]:
    """Return the names that a recipe's image has, by its labels."""
    labels: Mapping[str, str] = image.labels
    name = f"{REGISTRY}/{labels.get(NAME_LABEL)}:{labels.get(KEY_LABEL)}"
    return name, f"{name}{_PRELOAD}"


def _readable(records: Records, cluster: str) -> Record | None:
    try:
        return records.read(cluster)
    except DevenvError:
        return None


def _folder(path: Path) -> Item:
    return Item(str(path), folder_size(path), path)


def folder_size(folder: Path) -> int:
    """Return the bytes that a file, or the files below a folder, take on the disk."""
    if not folder.is_dir():
        return folder.lstat().st_blocks * 512
    total = 0
    for base, _, names in os.walk(folder):
        total += sum(os.lstat(Path(base) / n).st_blocks * 512 for n in names)
    return total
