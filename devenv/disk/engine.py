"""What the engine keeps: images by their layers, and the build cache; as things that may go or must stay."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from devenv.disk.files import load, store
from devenv.disk.keep import Keep
from devenv.disk.plan import ENGINE, Thing, Worth, nameless_label
from devenv.errors import DevenvError, NotReachableError
from devenv.images.layers import chain_ids
from devenv.images.load import normalise
from devenv.images.recipe import REGISTRY
from devenv.images.stamp import is_of_a_push
from devenv.ports import CacheRecord, ListedContainer, ListedImage, Measured, Stock

_AT_ONCE = 8
_METADATA = (
    # Of the classic builder: a step that only notes something, but for ADD and COPY.
    "#(nop) "
)
_LAYERED = ("ADD", "COPY", "WORKDIR")
_BUILDKIT = ("RUN ", "COPY ", "ADD ", "WORKDIR ")
# Seconds.
_CACHE_TIME = 1.5
# Seconds that a build may take.
_BUILD = 3600.0
# ID of the one thing that it is.
BUILD_CACHE = "build cache"


@dataclass(frozen=True)
class Stored:
    """What the engine has. `layers`: image ID → bytes by chain ID. `cache` is None where the engine did not say in time."""

    images: tuple[ListedImage, ...]
    containers: tuple[ListedContainer, ...]
    volumes: tuple[str, ...]
    cache: tuple[CacheRecord, ...] | None
    layers: Mapping[str, Mapping[str, int]]
    tagged: Mapping[str, float]
    measured: Measured | None = None

    def users(self, image: ListedImage) -> list[str]:
        """Return the names of the containers, in any state, that have the image."""
        return [
            c.name for c in self.containers if c.image == image.id or c.image_name in image.names
        ]


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
            containers, volumes = (
                pool.submit(self.stock.listed_containers),
                pool.submit(self.stock.volumes),
            )
            # Of images that others are built on.
            unlisted_ids = {c.image for c in containers.result()} - {i.id for i in images}
            layers_by_id = dict(load(self.kept))
            uncached_ids = [
                i for i in {*(i.id for i in images), *unlisted_ids} if i not in layers_by_id
            ]
            layers_by_id |= {
                i: layers
                for i, layers in zip(
                    uncached_ids, pool.map(self._layers, uncached_ids), strict=True
                )
                if layers
            }
            times = (
                dict(pool.map(self._tagged, [i.id for i in images if i.names])) if tagged else {}
            )
            store(
                self.kept,
                {
                    i: layers_by_id[i]
                    for i in {*(i.id for i in images), *unlisted_ids}
                    if i in layers_by_id
                },
            )
            records = cache.result()
        return Stored(
            tuple(images), tuple(containers.result()), tuple(volumes.result()), None if records is None else tuple(records),
            _agreed(images, layers_by_id), times,
        )  # fmt: skip

    def _layers(self, image_id: str) -> dict[str, int]:
        try:
            image = self.stock.image(image_id)
            if image:
                return dict(
                    zip(
                        chain_ids(image.layers),
                        sizes(self.stock.steps(image_id), len(image.layers)),
                        strict=True,
                    )
                )
        except NotReachableError:
            raise
        except DevenvError:
            # One that is gone, or that the engine itself can't read.
            pass
        return {}

    def _tagged(self, image_id: str) -> tuple[str, float]:
        try:
            image = self.stock.image(image_id)
        except NotReachableError:
            raise
        except DevenvError:
            image = None
        return image_id, image.tagged if image else 0.0


def sizes(steps: Sequence[tuple[int, str]], layers: int) -> tuple[int, ...]:
    """Return the bytes of each layer, from the lowest up.

    A step that only notes something made no layer and has 0 bytes, but so may a layer have. Where it can't be told which
    is which, the uppermost steps with bytes are the uppermost layers.
    """
    layer_sizes = [size for size, by in steps if size > 0 or _makes_layer(by)]
    if len(layer_sizes) != layers:
        layer_sizes = [size for size, _ in steps if size > 0][-layers:] if layers else []
    return tuple([0] * (layers - len(layer_sizes)) + layer_sizes)


def _makes_layer(command: str) -> bool:
    if _METADATA in command:
        return command.split(_METADATA, 1)[1].strip().startswith(_LAYERED)
    return command.startswith((*_BUILDKIT, "/bin/sh -c", "|"))


def _agreed(
    images: Iterable[ListedImage], layers_by_id: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Add to each layer its part of what the store keeps packed besides; where images differ about a layer, the least counts."""
    estimates: dict[str, dict[str, int]] = {i: dict(layers) for i, layers in layers_by_id.items()}
    for image in images:
        layers = layers_by_id.get(image.id, {})
        unpacked = sum(layers.values())
        if unpacked and image.size > unpacked:
            estimates[image.id] = {
                chain: size * image.size // unpacked for chain, size in layers.items()
            }
    least: dict[str, int] = {}
    for layers in estimates.values():
        for chain, size in layers.items():
            least[chain] = min(size, least.get(chain, size))
    return {i: {chain: least[chain] for chain in layers} for i, layers in estimates.items()}


@dataclass(frozen=True)
class Past:
    """What is known of images that have lost their names.

    `returnable`: IDs of those that `reload-image --undo` returns to; `former_names`: ID → the name
    that it had last.
    """

    returnable: frozenset[str] = frozenset()
    former_names: Mapping[str, str] = field(default_factory=dict)


def things(
    stored: Stored,
    keep: Keep,
    uses: Mapping[str, float],
    current: frozenset[str],
    current_time: float,
    past: Past = Past(),
) -> list[Thing]:
    """Return the engine's images and its build cache. `uses`: by ID or name; `current`: names that devenv's recipes have now."""
    things = []
    for image in stored.images:
        if is_waste(image, past):
            things.append(_waste(stored, image, keep, past, current_time))
        else:
            things.append(_image(stored, image, keep, uses, current, current_time))
    listed = {i.id for i in stored.images}
    for container in stored.containers:
        if container.image not in listed and container.image in stored.layers:
            reason = f"the container {container.name} has it"
            things.append(
                Thing(
                    container.image_name,
                    Worth.IMAGE,
                    stored.layers[container.image],
                    kept=reason,
                    place=ENGINE,
                )
            )
    wasted = [thing for thing in things if thing.worth is Worth.DANGLING and not thing.kept]
    return things + _build_cache(stored, wasted)


def _build_cache(stored: Stored, wasted: Sequence[Thing]) -> list[Thing]:
    """Return the build cache that no remaining image needs, as one thing, if there is any.

    BuildKit's cache holds the layers of what it built, too: those of an image without a name are
    free only once both are gone, so they count as the cache's, which goes after the images.
    """
    idle = [record for record in stored.cache or () if not record.in_use]
    private = [record for record in idle if not record.shared]
    parts = {f"cache {record.id}": record.size for record in private}
    if len(private) < len(idle):
        for thing in wasted:
            parts.update(thing.parts)
    if not parts:
        return []
    name = f"build cache, {len(private)} of {len(stored.cache or ())} records"
    last_use = max(record.used for record in idle)
    return [Thing(name, Worth.BUILD_CACHE, parts, last_use, place=ENGINE, id=BUILD_CACHE)]


def is_waste(image: ListedImage, past: Past) -> bool:
    """Whether an image has neither a tag nor a registry's digest, and `--undo` does not return to it.

    The engine lists no image that others are built on and that has no name itself.
    """
    return is_nameless(image) and image.id not in past.returnable


def is_nameless(image: ListedImage) -> bool:
    """Whether an image has no name. The digest of a push of `reload-image` is none."""
    return all(is_of_a_push(name) for name in image.names)


def names_by_id(stored: Stored) -> dict[str, str]:
    """Return a name of each image that has one, by the image's ID: a tag, rather than a digest."""
    names = {}
    for image in stored.images:
        tags = [name for name in image.names if "@" not in name]
        if tags and not is_nameless(image):
            names[image.id] = tags[0]
    return names


def _waste(
    stored: Stored, image: ListedImage, keep: Keep, past: Past, current_time: float
) -> Thing:
    former_name = past.former_names.get(image.id, "")
    reason = keep.engine((), stored.users(image), math.inf)
    if image.id not in stored.layers:
        reason = reason or "the engine does not say what it is made of"
    if current_time - image.created < _BUILD and _may_be_building(stored, current_time):
        reason = reason or "a build that is running may need it"
    label = nameless_label(image.id, former_name)
    layers = stored.layers.get(image.id, {})
    thing = Thing(
        label, Worth.DANGLING, layers, image.created, reason, ENGINE, image.id, image.names
    )
    return replace(thing, former_name=former_name)


def _may_be_building(stored: Stored, current_time: float) -> bool:
    """Whether a container may be a step of a running build, whose stages are images without a name.

    Docker's classic builder runs each step in a container of an image that has no name.
    """
    named_ids = {image.id for image in stored.images if not is_nameless(image)}
    steps = [c for c in stored.containers if c.image not in named_ids and not c.cluster]
    return any(c.status == "running" and current_time - c.created < _BUILD for c in steps)


def _image(
    stored: Stored,
    image: ListedImage,
    keep: Keep,
    uses: Mapping[str, float],
    current: frozenset[str],
    current_time: float,
) -> Thing:
    learned = [uses.get(n, 0.0) for n in (image.id, *map(normalise, image.names))]
    used = max(image.created, stored.tagged.get(image.id, 0.0), *learned, *_created(stored, image))
    reason = keep.engine(image.names, stored.users(image), current_time - used)
    if image.id not in stored.layers:
        reason = reason or "the engine does not say what it is made of"
    names = [n for n in image.names if not is_of_a_push(n)]
    label = ", ".join(n for n in names if "@" not in n) or next(iter(names), "")
    if not label:
        label = f"{nameless_label(image.id, '')} to return to (reload-image --undo)"
    return Thing(
        label,
        _worth(image, current),
        stored.layers.get(image.id, {}),
        used,
        reason,
        ENGINE,
        image.id,
        image.names,
    )


def _created(stored: Stored, image: ListedImage) -> list[float]:
    return [c.created for c in stored.containers if c.image == image.id] or [0.0]


def _worth(image: ListedImage, current: frozenset[str]) -> Worth:
    if is_nameless(image):
        return Worth.SUPERSEDED
    is_own = all(n.startswith(f"{REGISTRY}/") for n in image.names if "@" not in n)
    return (
        Worth.SUPERSEDED if is_own and not any(n in current for n in image.names) else Worth.IMAGE
    )
