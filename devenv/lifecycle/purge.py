"""`down --purge`: everything that devenv keeps besides a cluster, listed first: the images it built, and its caches."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devenv.errors import DevenvError
from devenv.images.recipe import NAME_LABEL, REGISTRY
from devenv.lifecycle.steps import step
from devenv.ports import Clock, Engine, Host, Reporter
from devenv.wait import locked


@dataclass(frozen=True)
class Item:
    """One thing to remove: an image by its name in the engine, or a folder of the cache. `size` in bytes."""

    name: str
    size: int
    folder: Path | None = None


@dataclass(frozen=True)
class Purge:
    """Lists, and removes exactly what was listed."""

    host: Host
    clock: Clock
    engine: Engine
    reporter: Reporter

    def plan(self) -> list[Item]:
        """Images that recipes made, by each of their names that is devenv's, the folders of the cache, and the ballast."""
        images = [
            Item(tag, image.size)
            for image in self.engine.images(NAME_LABEL)
            for tag in image.tags
            if tag.startswith(f"{REGISTRY}/")
        ]
        disk = self.host.state_dir() / "disk"  # the ballast, and what is remembered of disks
        kept = [*sorted(self.host.cache_dir().iterdir()), *([disk] if disk.is_dir() else [])]
        folders = [Item(str(path), folder_size(path), path) for path in kept]
        return [*sorted(images, key=lambda i: i.name), *folders]

    def apply(self, items: Sequence[Item], wait: float) -> list[str]:
        """Remove the items; return what had to stay, each with its reason: an image that a container uses is never forced."""
        stayed = []
        with locked(self.host, self.clock, "images", self.reporter.say, wait), step(self.reporter, "purge") as note:
            for number, item in enumerate(items):
                self.reporter.update("purge", number, len(items), "items")
                if reason := self._remove(item):
                    stayed.append(f"{item.name}: {reason}")
            note.append(f"{len(items) - len(stayed)} of {len(items)} removed")
        return stayed

    def _remove(self, item: Item) -> str:
        try:
            if item.folder is None:
                self.engine.untag(item.name)
            elif item.folder.is_dir():
                shutil.rmtree(item.folder)
            else:
                item.folder.unlink(missing_ok=True)
        except (DevenvError, OSError) as error:
            return getattr(error, "why", "") or str(error)
        return ""


def folder_size(folder: Path) -> int:
    """Return the bytes that a file, or the files below a folder, take on the disk."""
    if not folder.is_dir():
        return folder.lstat().st_blocks * 512
    total = 0
    for base, _, names in os.walk(folder):
        total += sum(os.lstat(Path(base) / n).st_blocks * 512 for n in names)
    return total
