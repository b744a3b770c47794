"""What goes first, and whose it was: images without a name, and build cache that no image needs. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.disk.plan import Thing, Worth, frees

_KINDS = (Worth.DANGLING, Worth.BUILD_CACHE)


@dataclass(frozen=True)
class Waste:
    """Earlier builds of one image, or the build cache.

    `place`: the engine or a node; `former_name`: the image's name, "" where it was never seen, and for
    the build cache; `size`: bytes that they free; `oldest`, `newest`: when they came, in seconds
    since 1970.
    """

    place: str
    former_name: str
    count: int
    size: int
    oldest: float
    newest: float
    build_cache: bool = False


def waste(things: Iterable[Thing]) -> tuple[Waste, ...]:
    """Return the waste among these that may go, by former owner, the largest first.

    Parts that several of them share count once, with the last that has them.
    """
    all_things = list(things)
    groups: dict[tuple[str, str, Worth], list[Thing]] = {}
    for thing in all_things:
        if thing.worth in _KINDS and not thing.kept:
            groups.setdefault((thing.place, thing.former_name, thing.worth), []).append(thing)
    order = sorted(groups, key=lambda key: (key[2], key[0], key[1]))
    sizes = frees(all_things, [groups[key] for key in order])
    parts = [_waste(key, groups[key], size) for key, size in zip(order, sizes, strict=True)]
    return tuple(sorted((part for part in parts if part.size), key=lambda part: -part.size))


def _waste(key: tuple[str, str, Worth], group: list[Thing], size: int) -> Waste:
    place, former_name, worth = key
    times = [thing.used for thing in group]
    oldest, newest = min(times), max(times)
    is_cache = worth is Worth.BUILD_CACHE
    return Waste(place, former_name, len(group), size, oldest, newest, is_cache)
