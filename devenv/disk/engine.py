"""What the engine keeps: images by their layers, and the build cache; as things that may go or must stay."""

import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.files import load, store
from devenv.disk.keep import Keep
from devenv.disk.plan import ENGINE, Thing, Worth
from devenv.errors import DevenvError, NotReachableError
from devenv.images.layers import chain_ids
from devenv.images.load import normalise
from devenv.images.recipe import REGISTRY
from devenv.ports import CacheRecord, ListedContainer, ListedImage, Stock

_AT_ONCE = 8
_METADATA = "#(nop) "  # of the classic builder: a step that only notes something, but for ADD and COPY
_LAYERED = ("ADD", "COPY", "WORKDIR")
_BUILDKIT = ("RUN ", "COPY ", "ADD ", "WORKDIR ")
_FOR_A_PUSH = re.compile(r"127\.0\.0\.1:\d+/devenv/reload[:@]")  # a digest that the engine keeps of a push of `reload-image`
_CACHE_TIME = 1.5  # seconds


@dataclass(frozen=True)
class Stored:
    """What the engine has. `layers`: image ID → bytes by chain ID. `cache` is None where the engine did not say in time."""

    images: tuple[ListedImage, ...]
    containers: tuple[ListedContainer, ...]
    volumes: tuple[str, ...]
    cache: tuple[CacheRecord, ...] | None
    layers: Mapping[str, Mapping[str, int]]
    tagged: Mapping[str, float]

    def users(self, image: ListedImage) -> list[str]:
        """Return the names of the containers, in any state, that have the image."""
        return [c.name for c in self.containers if c.image == image.id or c.image_name in image.names]


@dataclass(frozen=True)
class EngineStock:
    """Asks the engine. `kept` is a file in which the sizes of layers are kept: they never change."""

    stock: Stock
    kept: Path

    def look(self, *, tagged: bool) -> Stored:
        """Return what is there. `tagged`: also when each image got its name, which takes a question each.

        Raises NotReachableError where the engine does not answer.
        """
        images = self.stock.listed_images()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            cache = pool.submit(self.stock.build_cache, _CACHE_TIME)
            containers, volumes = pool.submit(self.stock.listed_containers), pool.submit(self.stock.volumes)
            held = {c.image for c in containers.result()} - {i.id for i in images}  # of images that others are built on
            known = dict(load(self.kept))
            wanted = [i for i in {*(i.id for i in images), *held} if i not in known]
            known |= {i: found for i, found in zip(wanted, pool.map(self._layers, wanted), strict=True) if found}
            times = dict(pool.map(self._tagged, [i.id for i in images if i.names])) if tagged else {}
            store(self.kept, {i: known[i] for i in {*(i.id for i in images), *held} if i in known})
            records = cache.result()
        return Stored(
            tuple(images), tuple(containers.result()), tuple(volumes.result()), None if records is None else tuple(records),
            _agreed(images, known), times,
        )  # fmt: skip

    def _layers(self, image: str) -> dict[str, int]:
        try:
            found = self.stock.image(image)
            if found:
                return dict(zip(chain_ids(found.layers), sizes(self.stock.steps(image), len(found.layers)), strict=True))
        except NotReachableError:
            raise
        except DevenvError:  # one that is gone, or that the engine itself can't read
            pass
        return {}

    def _tagged(self, image: str) -> tuple[str, float]:
        try:
            found = self.stock.image(image)
        except NotReachableError:
            raise
        except DevenvError:
            found = None
        return image, found.tagged if found else 0.0


def sizes(steps: Sequence[tuple[int, str]], layers: int) -> tuple[int, ...]:
    """Return the bytes of each layer, from the lowest up.

    A step that only notes something made no layer and has 0 bytes, but so may a layer have. Where it can't be told which
    is which, the uppermost steps with bytes are the uppermost layers.
    """
    made = [size for size, by in steps if size > 0 or _makes_layer(by)]
    if len(made) != layers:
        made = [size for size, _ in steps if size > 0][-layers:] if layers else []
    return tuple([0] * (layers - len(made)) + made)


def _makes_layer(command: str) -> bool:
    if _METADATA in command:
        return command.split(_METADATA, 1)[1].strip().startswith(_LAYERED)
    return command.startswith((*_BUILDKIT, "/bin/sh -c", "|"))


def _agreed(images: Iterable[ListedImage], known: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Add to each layer its part of what the store keeps packed besides; where images differ about a layer, the least counts."""
    found: dict[str, dict[str, int]] = {i: dict(layers) for i, layers in known.items()}
    for image in images:
        layers = known.get(image.id, {})
        unpacked = sum(layers.values())
        if unpacked and image.size > unpacked:
            found[image.id] = {chain: size * image.size // unpacked for chain, size in layers.items()}
    least: dict[str, int] = {}
    for layers in found.values():
        for chain, size in layers.items():
            least[chain] = min(size, least.get(chain, size))
    return {i: {chain: least[chain] for chain in layers} for i, layers in found.items()}


def things(stored: Stored, keep: Keep, uses: Mapping[str, float], current: frozenset[str], now: float) -> list[Thing]:
    """Return the engine's images and its build cache. `uses`: by ID or name; `current`: names that devenv's recipes have now."""
    found = [_image(stored, image, keep, uses, current, now) for image in stored.images]
    listed = {i.id for i in stored.images}
    for container in stored.containers:
        if container.image not in listed and container.image in stored.layers:
            why = f"the container {container.name} has it"
            found.append(Thing(container.image_name, Worth.IMAGE, stored.layers[container.image], kept=why, place=ENGINE))
    loose = [r for r in stored.cache or () if not r.in_use and not r.shared]
    old = [r for r in loose if now - r.used >= keep.newer]
    if old:
        parts = {f"cache {r.id}": r.size for r in old}
        name = f"build cache, {len(old)} of {len(stored.cache or ())} records"
        found.append(Thing(name, Worth.BUILD_CACHE, parts, max(r.used for r in old), place=ENGINE, id="build cache"))
    return found


def _image(
    stored: Stored, image: ListedImage, keep: Keep, uses: Mapping[str, float], current: frozenset[str], now: float
) -> Thing:
    learned = [uses.get(n, 0.0) for n in (image.id, *map(normalise, image.names))]
    used = max(image.created, stored.tagged.get(image.id, 0.0), *learned, *_created(stored, image))
    why = keep.engine(image.names, stored.users(image), now - used)
    if image.id not in stored.layers:
        why = why or "the engine does not say what it is made of"
    named = [n for n in image.names if not _FOR_A_PUSH.match(n)]
    label = ", ".join(n for n in named if "@" not in n) or next(iter(named), "") or f"image {image.id[7:19]}"
    return Thing(label, _worth(image, current), stored.layers.get(image.id, {}), used, why, ENGINE, image.id, image.names)


def _created(stored: Stored, image: ListedImage) -> list[float]:
    return [c.created for c in stored.containers if c.image == image.id] or [0.0]


def _worth(image: ListedImage, current: frozenset[str]) -> Worth:
    if all(_FOR_A_PUSH.match(n) for n in image.names):
        return Worth.DANGLING
    own = all(n.startswith(f"{REGISTRY}/") for n in image.names if "@" not in n)
    return Worth.SUPERSEDED if own and not any(n in current for n in image.names) else Worth.IMAGE
