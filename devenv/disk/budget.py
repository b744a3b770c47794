"""How full a disk may get, and how much must go once it is fuller than that. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from devenv.ports.host import Space
from devenv.profiles.model import Budget
from devenv.profiles.quantities import share

# The part of all inodes that must be free. With fewer, a disk counts as full, whatever its bytes.
_FREE_INODES = 0.02


@dataclass(frozen=True)
class Marks:
    """The limits of a disk. Above `high` bytes in use, pruning frees space down to `low`.

    Bytes that ordinary users can't have count as in use. `inodes`: how many inodes may be in use, 0
    if the disk has no limit.
    """

    high: int
    low: int
    inodes: int = 0

    def short_of_inodes(self, space: Space) -> bool:
        """Whether too few inodes are free."""
        used_inodes = space.total_inodes - space.free_inodes
        return used_inodes > self.inodes > 0

    def over(self, space: Space, incoming: int = 0) -> bool:
        """Whether the disk would be above its high mark with `incoming` more bytes on it."""
        return taken(space) + incoming > self.high or self.short_of_inodes(space)


def marks(budget: Budget, space: Space) -> Marks:
    """Return the marks of a budget on a disk, both at least 0."""
    limit_by_free_space = space.total - share(budget.keep_free, space.total)
    limit_by_use = share(budget.max_use, space.total)
    high = max(0, min(limit_by_free_space, limit_by_use))
    low = max(0, high - share(budget.headroom, space.total))
    inodes = int(space.total_inodes * (1 - _FREE_INODES))
    return Marks(high, low, inodes)


def strictest(candidates: Iterable[Marks]) -> Marks:
    """Return the marks of a disk that several budgets apply to. Needs at least one."""
    return reduce(_stricter, candidates)


def _stricter(strictest_so_far: Marks, candidate: Marks) -> Marks:
    return Marks(
        high=min(strictest_so_far.high, candidate.high),
        low=min(strictest_so_far.low, candidate.low),
        inodes=min(strictest_so_far.inodes, candidate.inodes),
    )


def used(space: Space) -> int:
    """Return the bytes in use, as df counts them: space reserved for root is free."""
    return space.total - space.free - space.reserved


def taken(space: Space) -> int:
    """Return the bytes that ordinary users can't have, including root's reserve.

    Budgets limit these.
    """
    return space.total - space.free
