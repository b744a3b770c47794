"""What devenv remembers of disks: samples of their use, removals, and what was seen on them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError
from devenv.base.image_names import NamesById, normalise
from devenv.base.json_types import JsonObject
from devenv.base.measures import Times
from devenv.disk.files import load, store
from devenv.disk.ring import Ring
from devenv.ports.clock import Clock
from devenv.ports.host import Host

# Seconds. Samples closer together say nothing new.
_SAMPLE_INTERVAL = 600.0
# Seconds. An image that was not used for longer counts as last used when it was created.
_FORGET_AFTER = 180 * 86400.0
# Seconds that two questions for uses overlap, so that none is missed between them.
_OVERLAP = 5.0
# Images whose last names are remembered.
_MAX_NAMES = 2000

# Gives (seconds since 1970, image ID or name) of each use since a time.
AskForUses = Callable[[float], Sequence[tuple[float, str]]]


@dataclass(frozen=True)
class Owner:
    """The container that mounts a volume. `cluster`: kind's, if the container is a node."""

    container: str
    cluster: str = ""


@dataclass(frozen=True)
class History:
    """Files in the state folder.

    The space of some is taken beforehand. The others stay whole on a full disk.
    """

    host: Host
    clock: Clock

    @property
    def folder(self) -> Path:
        """The folder of all these files."""
        return self.host.state_dir() / "disk"

    @property
    def _samples(self) -> Ring:
        return Ring(self.folder, "samples")

    @property
    def _journal(self) -> Ring:
        return Ring(self.folder, "journal")

    def _file(self, kind: str, place: str) -> Path:
        return self.folder / f"{kind}-{_slug(place)}.json"

    def prepare(self) -> None:
        """Take the space for what must be written on a full disk.

        Raises OSError if there is not enough.
        """
        self._samples.prepare()
        self._journal.prepare()

    def sample(self, device: str, used: int, total: int) -> None:
        """Note a disk's use, in bytes, unless that was done a moment ago."""
        current_time = self.clock.now()
        for time, _ in self.samples(device):
            if current_time - time < _SAMPLE_INTERVAL:
                return
        entry = {"at": current_time, "device": device, "used": used, "total": total}
        with suppress(OSError):
            self._samples.append(entry)

    def samples(self, device: str) -> list[tuple[float, int]]:
        """Return (seconds since 1970, bytes in use) of a disk, the oldest first."""
        return [
            (float(entry["at"]), int(entry["used"]))
            for entry in self._samples.read()
            if entry.get("device") == device and "used" in entry
        ]

    def note(self, event: str, **details: Any) -> None:
        """Write an entry into the journal. Raises OSError if it can't be written."""
        self._journal.append({"at": self.clock.now(), "event": event, **details})

    def entries(self) -> list[JsonObject]:
        """Return the journal, the oldest entry first."""
        return self._journal.read()

    def learn_uses(self, engine: str, ask: AskForUses) -> Times:
        """Ask an engine for image uses since the last time, remember them, and return all.

        The result has the last use by image ID or normalised name, in seconds since 1970.
        """
        path = self._file("uses", engine)
        current_time = self.clock.now()
        record = load(path)
        uses: dict[str, float] = dict(record.get("images") or {})
        last_asked = min(current_time, float(record.get("asked") or 0))
        # The engine may refuse to answer, for one because its clock differs.
        with suppress(DevenvError):
            for time, image in ask(max(0.0, last_asked - _OVERLAP)):
                name = _id_or_normalised_name(image)
                uses[name] = max(min(time, current_time), uses.get(name, 0.0))
        recent_uses = {
            name: time for name, time in uses.items() if current_time - time < _FORGET_AFTER
        }
        store(path, {"asked": current_time, "images": recent_uses})
        return recent_uses

    def learn_arrivals(self, place: str, images: Iterable[str]) -> Times:
        """Remember which images are there, and return when they came, as far as devenv saw it.

        `place`: an engine's ID, or a node. `images`: their IDs. An image that was not there at the
        last look came now. Neither an engine nor a node says when an image was loaded or pulled.
        """
        path = self._file("came", place)
        record = load(path)
        image_ids = set(images)
        arrivals: dict[str, float] = {}
        for image_id, time in dict(record.get("came") or {}).items():
            if image_id in image_ids:
                arrivals[image_id] = float(time)
        previous_ids = record.get("there")
        # At the first look, devenv can't tell when images came.
        if previous_ids is not None:
            new_ids = image_ids - set(previous_ids) - arrivals.keys()
            arrivals |= dict.fromkeys(new_ids, self.clock.now())
        store(path, {"there": sorted(image_ids), "came": arrivals})
        return arrivals

    def learn_volume_owners(
        self, engine: str, volumes: Iterable[str], mounted: Mapping[str, Owner]
    ) -> dict[str, Owner]:
        """Remember the owners of volumes, and return the present or last one of each volume.

        `mounted`: the owners now.
        """
        path = self._file("volumes", engine)
        existing_volumes = set(volumes)
        previous_entries = dict(load(path).get("owners") or {})
        owners = {}
        for volume, entry in previous_entries.items():
            if volume in existing_volumes:
                owners[volume] = _read_owner(entry)
        owners |= mounted
        entries = {volume: [owner.container, owner.cluster] for volume, owner in owners.items()}
        if entries != previous_entries:
            store(path, {"owners": entries})
        return owners

    def former_names(
        self,
        engine: str,
        current_names: NamesById,
        given: NamesById | None = None,
    ) -> dict[str, str]:
        """Remember the names of images, and return the present or last one of each, by image ID.

        `current_names`: image ID → a name that it has now. `given`: image ID → a name that it once
        got, for images that devenv never saw with a name. Neither an engine nor a node says what an
        image was called.
        """
        path = self._file("called", engine)
        entries = dict(load(path).get("images") or {})
        previous_names = {str(image_id): str(name) for image_id, name in entries.items()}
        names = dict(given or {}) | previous_names
        for image_id, name in current_names.items():
            # Moves the image to the end: the oldest names are forgotten first.
            names.pop(image_id, None)
            names[image_id] = name
        if names != previous_names:
            newest_names = list(names.items())[-_MAX_NAMES:]
            store(path, {"images": dict(newest_names)})
        return names

    def learn_workload_images(
        self, cluster: str, engine: str, image_names: frozenset[str] | None
    ) -> frozenset[str]:
        """Remember which images a cluster's workloads name, and return them.

        `image_names`: None or empty if the API server can't say: then what it said last counts.
        """
        path = self.folder / f"named-{_slug(engine)}-{cluster}.json"
        if not image_names:
            return frozenset(load(path).get("images") or ())
        store(path, {"images": sorted(image_names)})
        return image_names


def _id_or_normalised_name(image: str) -> str:
    if image.startswith("sha256:"):
        return image
    return normalise(image)


def _read_owner(entry: Sequence[object]) -> Owner:
    container, cluster = entry[0], entry[1]
    return Owner(str(container), str(cluster))


def _slug(place: str) -> str:
    """Return a place's name as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.-]", "", place)[:60]
