"""Disks that fill and empty without any disk."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from devenv.base.errors import NotFoundError
from devenv.disk.budget import Marks
from devenv.disk.ledgers import Disk, Ledger, Survey
from devenv.disk.plan import ENGINE, HOST, Thing
from devenv.ports.engine import Image, ListedContainer, ListedImage
from devenv.ports.host import Space
from devenv.profiles.model import Budget


class FakeStock:
    """An engine's images, by ID: (names, users). What goes makes room on the disk."""

    def __init__(self, disk: "FakeSurveyor") -> None:
        self.disk = disk
        self.images: dict[str, tuple[str, ...]] = {}
        self.users: dict[str, str] = {}
        self.trimmed = 0
        self.unused_for = 0.0

    def listed_images(self):
        return [ListedImage(i, names, 0, 0.0) for i, names in self.images.items()]

    def listed_containers(self):
        return [
            ListedContainer(name, name, image, "", "exited", 0.0)
            for image, name in self.users.items()
        ]

    def image(self, ref):
        return Image(ref, "amd64", 0, {}) if ref in self.images else None

    def trim_build_cache(self, unused_for):
        self.trimmed += 1
        self.unused_for = unused_for
        self.disk.gone("build cache")

    def untag(self, ref):
        image = next((i for i, names in self.images.items() if ref == i or ref in names), "")
        if not image:
            raise NotFoundError(f"no such image: {ref}")
        left = tuple(n for n in self.images[image] if n != ref)
        if left and ref != image:
            self.images[image] = left
            return
        del self.images[image]
        self.disk.gone(image)


class FakeBallast:
    def __init__(self, disk: "FakeSurveyor") -> None:
        self.disk, self.there = disk, True

    def drop(self, nodes):
        if self.there:
            self.there = False
            self.disk.log.append("drop ballast")

    def restore(self, nodes):
        self.disk.log.append("restore ballast")
        self.there = True


@dataclass
class FakeSurveyor:
    """One disk that all share. `log` gets what happens."""

    host: object
    clock: object
    profile: object
    containers: object = None
    cluster: str = "c"
    things: list[Thing] = field(default_factory=list)
    total: int = 1000 << 20
    free: int = 0
    marks: Marks = field(default_factory=lambda: Marks(900 << 20, 800 << 20))
    log: list[str] = field(default_factory=list)
    history: object = None
    names: frozenset[str] | None = frozenset()
    places: tuple[str, ...] = (HOST, ENGINE)

    def __post_init__(self) -> None:
        self.stock, self.ballast = FakeStock(self), FakeBallast(self)
        self.history = self.history or SimpleNamespace(note=self._note, sample=lambda *_: None)

    @property
    def session(self):
        """Itself, which has all that a prune asks a session for."""
        return self

    def _note(self, event, **details):
        self.log.append(f"{event} {details['name']}")

    def named(self):
        return self.names

    def gone(self, id_: str) -> None:
        thing = next((t for t in self.things if t.id == id_), None)
        if thing:
            self.free += thing.size
            self.log.append(f"gone {thing.name}")

    def space(self, disk=None, survey=None) -> Space:
        return Space(self.free, self.total, 0, 0)

    def look(self, *, plan, caches=False) -> Survey:
        disk = Disk("1", self.places, self.space(), self.marks)
        ledgers = tuple(Ledger(p, str(Path("/")), "1", self.space(), Budget()) for p in self.places)
        return Survey(ledgers, (disk,), tuple(self.things))
