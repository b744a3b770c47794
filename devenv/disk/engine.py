"""Lists what an engine keeps: images by their layers, and the build cache, as things of a plan."""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from devenv.base.errors import DevenvError, NotReachableError
from devenv.base.image_names import NamesById, normalise
from devenv.base.measures import Sizes, Times
from devenv.disk.files import load, store
from devenv.disk.keep import KeepRules, tags_among
from devenv.disk.plan import ENGINE, Thing, Worth, nameless_label, select_parts
from devenv.images.formats.layers import chain_ids
from devenv.images.recipes.recipe import REGISTRY
from devenv.images.sources.stamp import is_of_a_push
from devenv.ports.engine import CacheRecord, Image, ListedContainer, ListedImage, Measured, Stock
from devenv.ports.names import Names

_THREADS = 8
# The classic builder's mark of a step that only notes something; those of _LAYERED make a layer
# all the same.
_METADATA = "#(nop) "
_LAYERED = ("ADD", "COPY", "WORKDIR")
_BUILDKIT = ("RUN ", "COPY ", "ADD ", "WORKDIR ")
# Seconds for the engine to list its build cache.
_CACHE_TIMEOUT = 1.5
# Seconds that a build may take.
_LONGEST_BUILD = 3600.0
# ID of the build cache, which is one thing.
BUILD_CACHE = "build cache"

# Bytes by chain ID.
LayerSizes = Sizes


@dataclass(frozen=True)
class EngineInventory:
    """What the engine has.

    `cache`: None if the engine did not list it in time. `layers`: image ID → bytes by chain ID.
    `tagged`: image ID → when it last got a name, in seconds since 1970. `measured`: None if it was
    not asked for, or took too long.
    """

    images: tuple[ListedImage, ...]
    containers: tuple[ListedContainer, ...]
    volumes: Names
    cache: tuple[CacheRecord, ...] | None
    layers: Mapping[str, LayerSizes]
    tagged: Times
    measured: Measured | None = None

    def containers_of(self, image: ListedImage) -> list[str]:
        """Return the names of the containers, in any state, that use the image."""
        return [
            container.name
            for container in self.containers
            if container.image == image.id or container.image_name in image.names
        ]

    def layers_of(self, image_id: str) -> LayerSizes:
        """Return the layers of an image, none if the engine does not say."""
        return self.layers.get(image_id, {})

    @property
    def image_ids(self) -> list[str]:
        """The IDs of the images that the engine lists."""
        return [image.id for image in self.images]

    def names_by_id(self) -> NamesById:
        """Return the first tag of each image that has a tag, by the image's ID."""
        names = {}
        for image in self.images:
            tags = tags_among(image.names)
            if tags and not is_nameless(image):
                names[image.id] = tags[0]
        return names


@dataclass(frozen=True)
class EngineStock:
    """Asks the engine.

    `layers_file` remembers the sizes of layers, which never change.
    """

    stock: Stock
    layers_file: Path

    def look(self, *, tagged: bool) -> EngineInventory:
        """Return what the engine has.

        `tagged`: also when each image got its name, which takes one call for each image. Raises
        NotReachableError if the engine does not answer.
        """
        images = self.stock.listed_images()
        with ThreadPoolExecutor(_THREADS) as pool:
            cache_result = pool.submit(self.stock.build_cache, _CACHE_TIMEOUT)
            containers_result = pool.submit(self.stock.listed_containers)
            volumes_result = pool.submit(self.stock.volumes)
            containers = tuple(containers_result.result())
            layers = self._layers_of_all(_all_image_ids(images, containers), pool)
            times = self._tag_times(images, pool) if tagged else {}
            cache = cache_result.result()
        return EngineInventory(
            images=tuple(images),
            containers=containers,
            volumes=tuple(volumes_result.result()),
            cache=None if cache is None else tuple(cache),
            layers=_estimate_sizes(images, layers),
            tagged=times,
        )

    def _layers_of_all(self, image_ids: set[str], pool: Executor) -> dict[str, LayerSizes]:
        """Return the layers of these images and of remembered ones; remember those of these."""
        layers: dict[str, LayerSizes] = dict(load(self.layers_file))
        new_ids = image_ids - layers.keys()
        layers.update(pool.map(self._layers, new_ids))
        # If the engine did not say what an image is made of, the next look asks again.
        known_layers = {image_id: chains for image_id, chains in layers.items() if chains}
        known_ids = image_ids & known_layers.keys()
        store(self.layers_file, {image_id: known_layers[image_id] for image_id in known_ids})
        return known_layers

    def _tag_times(self, images: Iterable[ListedImage], pool: Executor) -> Times:
        image_ids = [image.id for image in images if image.names]
        return dict(pool.map(self._tag_time, image_ids))

    def _layers(self, image_id: str) -> tuple[str, LayerSizes]:
        """Return an image's ID with its layers."""
        image = self._image(image_id)
        if image is None:
            return image_id, {}
        try:
            steps = self.stock.steps(image_id)
        except NotReachableError:
            raise
        except DevenvError:
            # The image is gone by now.
            return image_id, {}
        layer_sizes = sizes(steps, len(image.layers))
        return image_id, dict(zip(chain_ids(image.layers), layer_sizes, strict=True))

    def _tag_time(self, image_id: str) -> tuple[str, float]:
        """Return an image's ID with the time when it last got a name."""
        image = self._image(image_id)
        if image is None:
            return image_id, 0.0
        return image_id, image.tagged

    def _image(self, image_id: str) -> Image | None:
        """Return an image; None if it is gone, or if the engine itself can't read it."""
        try:
            return self.stock.image(image_id)
        except NotReachableError:
            raise
        except DevenvError:
            return None


def _all_image_ids(
    images: Iterable[ListedImage], containers: Iterable[ListedContainer]
) -> set[str]:
    """Return the IDs of all images.

    The engine does not list an image without a name that others are built on, but a container may
    use one.
    """
    return {image.id for image in images} | {container.image for container in containers}


def sizes(steps: Sequence[tuple[int, str]], layers: int) -> tuple[int, ...]:
    """Return the bytes of each layer, from the lowest up.

    `steps`: bytes and command of each step of the build. `layers`: how many layers the image has.

    A step that only notes something makes no layer and has 0 bytes, but a layer may have 0 bytes
    too. If the steps don't tell which is which, the last ones with bytes count as the uppermost
    layers.
    """
    layer_sizes = [size for size, command in steps if size > 0 or _makes_layer(command)]
    if len(layer_sizes) != layers:
        nonempty_sizes = [size for size, _ in steps if size > 0]
        layer_sizes = nonempty_sizes[max(0, len(nonempty_sizes) - layers) :]
    empty_layers = layers - len(layer_sizes)
    return (*([0] * empty_layers), *layer_sizes)


def _makes_layer(command: str) -> bool:
    _, marker, instruction = command.partition(_METADATA)
    if marker:
        return instruction.strip().startswith(_LAYERED)
    return command.startswith((*_BUILDKIT, "/bin/sh -c", "|"))


def _estimate_sizes(
    images: Iterable[ListedImage], layers_by_image: Mapping[str, LayerSizes]
) -> dict[str, LayerSizes]:
    """Add to each layer its part of what the store keeps packed besides.

    If images differ about a layer, the lowest estimate counts.
    """
    estimates = dict(layers_by_image)
    for image in images:
        if image.id in layers_by_image:
            estimates[image.id] = _scale_to(image.size, layers_by_image[image.id])
    lowest_sizes: dict[str, int] = {}
    for layers in estimates.values():
        for chain, size in layers.items():
            lowest_sizes[chain] = min(size, lowest_sizes.get(chain, size))
    return {image_id: select_parts(lowest_sizes, layers) for image_id, layers in estimates.items()}


def _scale_to(image_size: int, layers: LayerSizes) -> LayerSizes:
    """Enlarge layers in proportion, so that together they have the size that the engine reports."""
    unpacked_size = sum(layers.values())
    if unpacked_size == 0 or image_size <= unpacked_size:
        return layers
    return {chain: size * image_size // unpacked_size for chain, size in layers.items()}


@dataclass(frozen=True)
class NamelessImages:
    """What is known of images that have lost their names.

    `returnable`: IDs of those that `reload-image --undo` returns to. `former_names`: ID → the last
    name.
    """

    returnable: frozenset[str] = frozenset()
    former_names: NamesById = field(default_factory=dict)


@dataclass(frozen=True)
class EngineThings:
    """Turns an engine's inventory into things.

    `uses`: last use by image ID or normalised name, in seconds since 1970. `recipe_names`: names of
    the images that devenv's recipes make now.
    """

    inventory: EngineInventory
    rules: KeepRules
    uses: Times
    recipe_names: frozenset[str]
    current_time: float
    nameless: NamelessImages = NamelessImages()

    def list_all(self) -> list[Thing]:
        """Return the engine's images and its build cache."""
        things = []
        for image in self.inventory.images:
            if is_waste(image, self.nameless):
                things.append(self._waste(image))
            else:
                things.append(self._image(image))
        things += self._unlisted_images()
        removable_waste = [
            thing for thing in things if thing.worth is Worth.DANGLING and not thing.kept
        ]
        return things + _build_cache(self.inventory.cache or (), removable_waste)

    def _waste(self, image: ListedImage) -> Thing:
        """Return an image without a name, which goes whatever its age."""
        former_name = self.nameless.former_names.get(image.id, "")
        return Thing(
            name=nameless_label(image.id, former_name),
            worth=Worth.DANGLING,
            parts=self.inventory.layers_of(image.id),
            used=image.created,
            kept=self._why_keep_waste(image),
            place=ENGINE,
            id=image.id,
            names=image.names,
            former_name=former_name,
        )

    def _why_keep_waste(self, image: ListedImage) -> str:
        """Return why an image without a name must stay, "" if it may go."""
        containers = self.inventory.containers_of(image)
        if reason := self.rules.why_keep_in_engine((), containers, math.inf):
            return reason
        if reason := self._why_keep_unknown(image):
            return reason
        is_recent = self.current_time - image.created < _LONGEST_BUILD
        if is_recent and self._may_be_building():
            return "a build that is running may need it"
        return ""

    def _why_keep_unknown(self, image: ListedImage) -> str:
        """Keep an image of unknown layers: nothing can tell what it would free."""
        if image.id in self.inventory.layers:
            return ""
        return "the engine does not say which layers it has"

    def _may_be_building(self) -> bool:
        """Whether a container may be a step of a running build, whose stages have no names.

        Docker's classic builder runs each step in a container of an image without a name.
        """
        named_ids = {image.id for image in self.inventory.images if not is_nameless(image)}
        for container in self.inventory.containers:
            is_running = container.status == "running"
            is_recent = self.current_time - container.created < _LONGEST_BUILD
            is_step = container.image not in named_ids and not container.cluster
            if is_running and is_recent and is_step:
                return True
        return False

    def _image(self, image: ListedImage) -> Thing:
        """Return an image that has a name, or that `reload-image --undo` returns to."""
        last_use = self._last_use(image)
        containers = self.inventory.containers_of(image)
        age = self.current_time - last_use
        reason = self.rules.why_keep_in_engine(image.names, containers, age)
        return Thing(
            name=_label(image),
            worth=self._worth(image),
            parts=self.inventory.layers_of(image.id),
            used=last_use,
            kept=reason or self._why_keep_unknown(image),
            place=ENGINE,
            id=image.id,
            names=image.names,
        )

    def _last_use(self, image: ListedImage) -> float:
        """Return when an image was created, named, used, or last got a container.

        The latest of these times counts.
        """
        times = [image.created, self.inventory.tagged.get(image.id, 0.0)]
        names = map(normalise, image.names)
        keys = (image.id, *names)
        times += [self.uses.get(key, 0.0) for key in keys]
        for container in self.inventory.containers:
            if container.image == image.id:
                times.append(container.created)
        return max(times)

    def _worth(self, image: ListedImage) -> Worth:
        """Return an image's worth. One that an earlier state of a recipe made is superseded."""
        if is_nameless(image):
            return Worth.SUPERSEDED
        is_own = all(tag.startswith(f"{REGISTRY}/") for tag in tags_among(image.names))
        is_current = not self.recipe_names.isdisjoint(image.names)
        if is_own and not is_current:
            return Worth.SUPERSEDED
        return Worth.IMAGE

    def _unlisted_images(self) -> list[Thing]:
        """Return images that the engine does not list, but that containers use: they must stay."""
        listed_ids = self.inventory.image_ids
        things = []
        for container in self.inventory.containers:
            layers = self.inventory.layers.get(container.image)
            if container.image not in listed_ids and layers is not None:
                reason = f"the container {container.name} uses it"
                name = container.image_name
                things.append(Thing(name, Worth.IMAGE, layers, kept=reason, place=ENGINE))
        return things


def _build_cache(records: Sequence[CacheRecord], removable_waste: Iterable[Thing]) -> list[Thing]:
    """Return the build cache that no remaining image needs, as one thing, if there is any.

    BuildKit's cache holds the layers of what it built, too. Those of an image without a name are
    free only once both are gone, so they count as the cache's, which goes after the images.
    """
    parts: dict[str, int] = {}
    is_shared = False
    last_use = 0.0
    for record in records:
        if record.in_use:
            continue
        last_use = max(last_use, record.used)
        if record.shared:
            is_shared = True
        else:
            parts[f"cache {record.id}"] = record.size
    name = f"build cache, {len(parts)} of {len(records)} records"
    if is_shared:
        for thing in removable_waste:
            parts.update(thing.parts)
    if not parts:
        return []
    return [Thing(name, Worth.BUILD_CACHE, parts, last_use, place=ENGINE, id=BUILD_CACHE)]


def is_waste(image: ListedImage, nameless: NamelessImages) -> bool:
    """Whether an image has no name, and `reload-image --undo` does not return to it.

    The engine does not list an image without a name that others are built on.
    """
    return is_nameless(image) and image.id not in nameless.returnable


def is_nameless(image: ListedImage) -> bool:
    """Whether an image has neither a tag nor a registry's digest.

    The digest of a push of `reload-image` does not count as a name.
    """
    return all(map(is_of_a_push, image.names))


def _label(image: ListedImage) -> str:
    """Return what a list calls an image: by its tags, else by its first digest."""
    names = [name for name in image.names if not is_of_a_push(name)]
    if tags := tags_among(names):
        return ", ".join(tags)
    if names:
        return names[0]
    return f"{nameless_label(image.id, '')} to return to (reload-image --undo)"
