"""Plans what to remove to free space on a disk. Pure.

A thing consists of parts: an image of its layers, a cache of its files. A part that several things
share is freed only with the last of them, so a plan counts parts, never things.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from devenv.base.measures import Sizes
from devenv.ports.names import Names


class Worth(IntEnum):
    """How much it costs to get a thing back. The cheapest goes first."""

    # devenv's own files that nothing will ever use again.
    STALE = 0
    # Waste, whatever its age: an image without a name, and build cache that no image needs.
    DANGLING = 1
    BUILD_CACHE = 2
    # A packed layer in a node that has it unpacked too.
    BLOB = 3
    # An image that a newer one has taken the name of.
    SUPERSEDED = 4
    # devenv's own cache, which the next build makes again.
    CACHE = 5
    # Any other image; the least recently used goes first.
    IMAGE = 6


# These go before any image with a name, even if one image alone would free enough.
_ALWAYS = (Worth.STALE, Worth.BUILD_CACHE, Worth.BLOB)
# Two places. Every other place is a node, by its name.
HOST, ENGINE = "host", "engine"


@dataclass(frozen=True)
class Thing:
    """Something on a disk that pruning may remove.

    `place`: HOST, ENGINE or a node's name. `id`: its path or image ID there. `parts`: bytes by
    part. `used`: its last use in seconds since 1970, 0 if unknown. `kept`: why it must stay, "" if
    it may go. `names`: all names of an image. `former_name`: the last name of an image that has
    none now, "" if devenv never saw one.
    """

    name: str
    worth: Worth
    parts: Sizes = field(default_factory=dict)
    used: float = 0.0
    kept: str = ""
    place: str = HOST
    id: str = ""
    names: Names = ()
    former_name: str = ""

    @property
    def size(self) -> int:
        """Bytes of its parts, including those that it shares with others."""
        return sum(self.parts.values())


def select_parts(parts: Sizes, names: Iterable[str]) -> Sizes:
    """Return the parts that have one of the names."""
    return {name: parts[name] for name in names if name in parts}


def nameless_label(image_id: str, former_name: str) -> str:
    """Return a label for an image without a name. `former_name`: its last one, "" if unknown."""
    short_id = image_id.removeprefix("sha256:")[:12]
    label = f"image {short_id}"
    return f"{label}, an earlier build of {former_name}" if former_name else label


@dataclass(frozen=True)
class Removal:
    """One step of a plan. `frees`: bytes, once the steps before it are done."""

    thing: Thing
    frees: int


class _PartHolders:
    """Counts the things that have each part, while things are removed and put back.

    `freed` in bytes.
    """

    def __init__(self, things: Iterable[Thing]) -> None:
        self._holders: Counter[str] = Counter()
        for thing in things:
            self._holders.update(thing.parts.keys())
        self.freed = 0

    def remove(self, thing: Thing) -> int:
        """Remove a thing, and return the bytes that this frees."""
        self._holders.subtract(thing.parts.keys())
        freed = self._unheld_bytes(thing)
        self.freed += freed
        return freed

    def put_back(self, thing: Thing) -> None:
        self.freed -= self._unheld_bytes(thing)
        self._holders.update(thing.parts.keys())

    def _unheld_bytes(self, thing: Thing) -> int:
        return sum(size for part, size in thing.parts.items() if self._holders[part] == 0)


def freed_by_group(things: Iterable[Thing], groups: Iterable[Iterable[Thing]]) -> list[int]:
    """Return the bytes that each group frees once the groups before it are removed.

    `things`: everything that may share a part with a group.
    """
    holders = _PartHolders(things)
    return [sum(map(holders.remove, group)) for group in groups]


def plan(things: Sequence[Thing], goal: int) -> tuple[Removal, ...]:
    """Return what to remove to free `goal` bytes: the cheapest first, then the least recently used.

    The plan frees less if that is all that may go. It leaves out an image that frees nothing, by
    itself or with others. Nothing dearer takes the place of waste: an image without a name stays in
    the plan if it frees anything.
    """
    if goal <= 0:
        return ()
    holders = _PartHolders(things)
    candidates = _remove_until(goal, holders, _cheapest_first(things))
    if holders.freed <= 0:
        return ()
    removals = _without_needless(candidates, goal, holders)
    recount = _PartHolders(things)
    return tuple(Removal(thing, recount.remove(thing)) for thing in removals)


def _cheapest_first(things: Iterable[Thing]) -> list[Thing]:
    removable = [thing for thing in things if not thing.kept]
    return sorted(removable, key=_removal_order)


def _removal_order(thing: Thing) -> tuple[Worth, float, str, str, str]:
    # Place, name and ID only make the order the same each time.
    return thing.worth, thing.used, thing.place, thing.name, thing.id


def _remove_until(goal: int, holders: _PartHolders, things: Iterable[Thing]) -> list[Thing]:
    """Remove things, in order, until `goal` bytes are free; return the removed things."""
    removed_things = []
    for thing in things:
        if holders.freed >= goal:
            break
        holders.remove(thing)
        removed_things.append(thing)
    return removed_things


def _without_needless(candidates: Sequence[Thing], goal: int, holders: _PartHolders) -> list[Thing]:
    """Leave out the candidates without which the plan frees as much. They are removed already.

    The dearest are tried first.
    """
    target = min(goal, holders.freed)
    needed_things = []
    for thing in reversed(candidates):
        freed_with_it = holders.freed
        holders.put_back(thing)
        is_waste = thing.worth is Worth.DANGLING and holders.freed < freed_with_it
        if holders.freed < target or is_waste or thing.worth in _ALWAYS:
            holders.remove(thing)
            needed_things.append(thing)
    return list(reversed(needed_things))
