"""Sums up waste by former owner: images without a name, and needless build cache. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.disk.plan import Thing, Worth, freed_by_group

_KINDS = (Worth.DANGLING, Worth.BUILD_CACHE)


@dataclass(frozen=True)
class Waste:
    """Earlier builds of one image, or the build cache.

    `place`: the engine or a node. `former_name`: the image's last name, "" if devenv never saw one,
    and for the build cache. `size`: bytes that removing them frees. `oldest`, `newest`: when they
    came, in seconds since 1970.
    """

    place: str
    former_name: str
    count: int
    size: int
    oldest: float
    newest: float
    build_cache: bool = False


@dataclass(frozen=True, order=True)
class _Group:
    """What one entry of waste has in common. The order is the one in which pruning removes them."""

    worth: Worth
    place: str
    former_name: str


def sum_up_waste(things: Iterable[Thing]) -> tuple[Waste, ...]:
    """Return the waste that may go, by former owner, the largest first.

    Parts that several groups share count once, with the last group that has them.
    """
    all_things = list(things)
    groups = _group_waste(all_things)
    order = sorted(groups)
    sizes = freed_by_group(all_things, [groups[group] for group in order])
    entries = []
    for group, size in zip(order, sizes, strict=True):
        # Things whose parts all belong to others as well free nothing.
        if size > 0:
            entries.append(_waste(group, groups[group], size))
    return tuple(sorted(entries, key=lambda entry: -entry.size))


def _group_waste(things: Iterable[Thing]) -> dict[_Group, list[Thing]]:
    """Group what may go by its kind, its place and its former owner."""
    groups: dict[_Group, list[Thing]] = {}
    for thing in things:
        if thing.worth in _KINDS and not thing.kept:
            group = _Group(thing.worth, thing.place, thing.former_name)
            groups.setdefault(group, []).append(thing)
    return groups


def _waste(group: _Group, things: list[Thing], size: int) -> Waste:
    """Sum up things that one owner has left in one place. `size`: of all, shared parts once."""
    times = [thing.used for thing in things]
    return Waste(
        place=group.place,
        former_name=group.former_name,
        count=len(things),
        size=size,
        oldest=min(times),
        newest=max(times),
        build_cache=group.worth is Worth.BUILD_CACHE,
    )
