"""What to remove so that a disk has room again. Pure.

A thing consists of parts: an image of its layers, a cache of its files. A part that several things have is freed only
with the last of them, so what a plan promises is counted by parts, never by things.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum


class Worth(IntEnum):
    """How much it costs to have a thing again; the cheapest goes first."""

    # devenv's own files that nothing will ever use again.
    STALE = 0
    # Waste, which goes whatever its age: an image without a name, and build cache that no image needs.
    DANGLING = 1
    BUILD_CACHE = 2
    # In a node, unpacked there.
    BLOB = 3
    # An image that a newer one has taken the place of.
    SUPERSEDED = 4
    # devenv's own, made again by the next build.
    CACHE = 5
    # By its last use.
    IMAGE = 6


# Go before any image with a name, even where one alone would do.
_ALWAYS = (Worth.STALE, Worth.BUILD_CACHE, Worth.BLOB)
# places; every other one is a node's name.
HOST, ENGINE = "host", "engine"


@dataclass(frozen=True)
class Thing:
    """Something on a disk.

    `place` is where, `id` what it is there: a path, an image's ID. `parts` in bytes; `used` is its last use, in seconds
    since 1970, 0 where nobody knows; `kept` says why it must stay. `names` are an image's, all of them.
    """

    name: str
    worth: Worth
    parts: Mapping[str, int] = field(default_factory=dict)
    used: float = 0.0
    kept: str = ""
    place: str = HOST
    id: str = ""
    names: tuple[str, ...] = ()
    # The last name of an image that has none, "" where it was never seen.
    former_name: str = ""

    @property
    def size(self) -> int:
        """Bytes of its parts, shared ones among them."""
        return sum(self.parts.values())


def nameless_label(image_id: str, former_name: str) -> str:
    """Return a label for an image that has no name. `former_name`: its last name, "" if unknown."""
    label = f"image {image_id.removeprefix('sha256:')[:12]}"
    return f"{label}, an earlier build of {former_name}" if former_name else label


@dataclass(frozen=True)
class Removal:
    """One step of a plan. `frees` in bytes, when those before it are gone."""

    thing: Thing
    frees: int


class _Held:
    """Who holds which part, as things go and come back. `freed` in bytes."""

    def __init__(self, things: Iterable[Thing]) -> None:
        self._holders = Counter(part for thing in things for part in thing.parts)
        self.freed = 0

    def remove(self, thing: Thing) -> int:
        """Return the bytes that its going frees."""
        self._holders.subtract(thing.parts.keys())
        freed = sum(size for part, size in thing.parts.items() if self._holders[part] == 0)
        self.freed += freed
        return freed

    def put_back(self, thing: Thing) -> None:
        self.freed -= sum(size for part, size in thing.parts.items() if self._holders[part] == 0)
        self._holders.update(thing.parts.keys())


def frees(things: Sequence[Thing], groups: Iterable[Iterable[Thing]]) -> list[int]:
    """Return the bytes that each of these groups frees once those before it are gone.

    `things`: all that is there.
    """
    holders = _Held(things)
    return [sum(holders.remove(thing) for thing in group) for group in groups]


def plan(things: Sequence[Thing], goal: int) -> tuple[Removal, ...]:
    """Return what to remove to free `goal` bytes, in order: the cheapest first, then what was not used for longest.

    Less comes of it where what may go does not suffice. An image that frees nothing, by itself or with others, is left.
    Nothing dearer takes the place of waste: an image without a name that frees anything stays in the plan.
    """
    holders, chosen = _Held(things), list[Thing]()
    for thing in sorted(
        (t for t in things if not t.kept), key=lambda t: (t.worth, t.used, t.place, t.name, t.id)
    ):
        if holders.freed >= goal:
            break
        holders.remove(thing)
        chosen.append(thing)
    target, needed = min(goal, holders.freed), list[Thing]()
    # An image that turned out not to be needed stays.
    for thing in reversed(chosen):
        freed_with_it = holders.freed
        holders.put_back(thing)
        is_waste = thing.worth is Worth.DANGLING and holders.freed < freed_with_it
        if holders.freed < target or is_waste or thing.worth in _ALWAYS:
            holders.remove(thing)
            needed.append(thing)
    recount = _Held(things)
    return tuple(Removal(t, recount.remove(t)) for t in reversed(needed)) if target > 0 else ()
