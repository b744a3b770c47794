"""What is remembered of the disk: samples of its use, what was removed, and when images were last used."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.disk.files import load, store
from devenv.disk.ring import Ring
from devenv.errors import DevenvError
from devenv.images.load import normalise
from devenv.ports import Clock, Host

# Seconds: samples closer together say nothing new.
_OFTEN = 600.0
# Seconds without a use, after which an image's last use is its creation again.
_FORGET = 180 * 86400.0
_OVERLAP = 5.0
# Images whose last names are remembered.
_NAMES = 2000


@dataclass(frozen=True)
class Owner:
    """The container that a volume is mounted in. `cluster`: kind's, if the container is a node."""

    container: str
    cluster: str = ""


@dataclass(frozen=True)
class History:
    """Files in the state folder. Their space is taken beforehand, or they stay whole where there is none."""

    host: Host
    clock: Clock

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.host.state_dir() / "disk"

    @property
    def _samples(self) -> Ring:
        return Ring(self.folder, "samples")

    @property
    def _journal(self) -> Ring:
        return Ring(self.folder, "journal")

    def prepare(self) -> None:
        """Take the space for what is to be written on a full disk. Raises OSError where there is none."""
        self._samples.prepare()
        self._journal.prepare()

    def sample(self, device: str, used: int, total: int) -> None:
        """Note a disk's use, in bytes, unless that was done a moment ago."""
        current_time = self.clock.now()
        if any(current_time - time < _OFTEN for time, _ in self.samples(device)):
            return
        with suppress(OSError):
            self._samples.append(
                {"at": current_time, "device": device, "used": used, "total": total}
            )

    def samples(self, device: str) -> list[tuple[float, int]]:
        """Return (seconds since 1970, bytes in use) of a disk, the oldest first."""
        return [
            (float(e["at"]), int(e["used"]))
            for e in self._samples.read()
            if e.get("device") == device and "used" in e
        ]

    def note(self, event: str, **details: Any) -> None:
        """Write an entry into the journal. Raises OSError where it can't be written."""
        self._journal.append({"at": self.clock.now(), "event": event, **details})

    def entries(self) -> list[dict[str, Any]]:
        """Return the journal, the oldest entry first."""
        return self._journal.read()

    def learn(
        self, engine: str, ask: Callable[[float], Sequence[tuple[float, str]]]
    ) -> dict[str, float]:
        """Return the last use of each image, by ID and by normalised name, with what the engine has seen since it was asked last.

        `ask`: gives the uses since a time.
        """
        path, current_time = self.folder / f"uses-{_slug(engine)}.json", self.clock.now()
        record = load(path)
        uses: dict[str, float] = dict(record.get("images") or {})
        # An engine that does not say, or whose clock is another.
        with suppress(DevenvError):
            for time, image in ask(
                max(0.0, min(current_time, float(record.get("asked") or 0)) - _OVERLAP)
            ):
                name = image if image.startswith("sha256:") else normalise(image)
                uses[name] = max(min(time, current_time), uses.get(name, 0.0))
        uses = {name: time for name, time in uses.items() if current_time - time < _FORGET}
        store(path, {"asked": current_time, "images": uses})
        return uses

    def came(self, place: str, images: Iterable[str]) -> dict[str, float]:
        """Return when images came, by their IDs, as far as that was seen: those that were not there at the last look.

        `place`: an engine's ID, or a node. No engine says when an image was loaded or pulled, and no node.
        """
        path, current_time, ids = (
            self.folder / f"came-{_slug(place)}.json",
            self.clock.now(),
            set(images),
        )
        record = load(path)
        came = {i: float(time) for i, time in dict(record.get("came") or {}).items() if i in ids}
        previous_ids = record.get("there")
        came |= (
            dict.fromkeys(ids - set(previous_ids) - set(came), current_time)
            if previous_ids is not None
            else {}
        )
        store(path, {"there": sorted(ids), "came": came})
        return came

    def volume_owners(
        self,
        engine: str,
        volumes: Iterable[str],
        mounted: Mapping[str, Owner],
    ) -> dict[str, Owner]:
        """Return the owner of each of these volumes, or the last one that was seen.

        `mounted`: as it is now.
        """
        path, existing_volumes = self.folder / f"volumes-{_slug(engine)}.json", set(volumes)
        previous_entries = dict(load(path).get("owners") or {})
        owners = {
            v: Owner(str(o[0]), str(o[1]))
            for v, o in previous_entries.items()
            if v in existing_volumes
        }
        owners |= mounted
        entries = {volume: [owner.container, owner.cluster] for volume, owner in owners.items()}
        if entries != previous_entries:
            store(path, {"owners": entries})
        return owners

    def former_names(
        self,
        engine: str,
        current_names: Mapping[str, str],
        given: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the name that each image was last seen with, by its ID.

        `current_names`: image's ID → a name that it has now; `given`: the same → a name that it
        once got, for images that were never seen with one. Neither an engine nor a node says what an
        image was called.
        """
        path = self.folder / f"called-{_slug(engine)}.json"
        entries = dict(load(path).get("images") or {})
        previous_names = {str(image): str(name) for image, name in entries.items()}
        older = dict(given or {}) | previous_names
        names = {image: name for image, name in older.items() if image not in current_names} | dict(
            current_names
        )
        if names != previous_names:
            latest = list(names.items())[-_NAMES:]
            store(path, {"images": dict(latest)})
        return names

    def named(
        self, cluster: str, engine: str, image_names: frozenset[str] | None
    ) -> frozenset[str]:
        """Return which images a cluster's workloads name, or what they named when the API server could last say."""
        path = self.folder / f"named-{_slug(engine)}-{cluster}.json"
        if not image_names:
            return frozenset(load(path).get("images") or ())
        store(path, {"images": sorted(image_names)})
        return image_names


def _slug(place: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", place)[:60]
