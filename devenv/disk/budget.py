"""How full a disk may get, and how much must go once it is fuller. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.ports import Space
from devenv.profiles.model import Budget
from devenv.profiles.quantities import share

# Of the disk: fewer free ones count as full, whatever the budget says of bytes.
_INODES = 0.02


@dataclass(frozen=True)
class Marks:
    """Bytes that users can't have: above `high`, devenv makes room, down to `low`.

    `inodes`: how many may be in use, 0 where there is no limit.
    """

    high: int
    low: int
    inodes: int = 0

    def short_of_inodes(self, space: Space) -> bool:
        """Whether too few inodes are free."""
        return self.inodes > 0 and space.total_inodes - space.free_inodes > self.inodes

    def over(self, space: Space, incoming: int = 0) -> bool:
        """Whether the disk is above its high mark, or would be with `incoming` bytes on it."""
        return taken(space) + incoming > self.high or self.short_of_inodes(space)


def marks(budget: Budget, space: Space) -> Marks:
    """Return the marks of a budget on a disk: what an ordinary user can't have counts as used."""
    high = max(
        0,
        min(space.total - share(budget.keep_free, space.total), share(budget.max_use, space.total)),
    )
    low = max(0, high - share(budget.headroom, space.total))
    return Marks(high, low, int(space.total_inodes * (1 - _INODES)))


def strictest(candidates: Iterable[Marks]) -> Marks:
    """Return the marks that hold for a disk with several budgets. There is at least one."""
    all_marks = list(candidates)
    return Marks(
        min(m.high for m in all_marks),
        min(m.low for m in all_marks),
        min(m.inodes for m in all_marks),
    )


def used(space: Space) -> int:
    """Return the bytes in use, as df counts them: what is reserved for root is free."""
    return space.total - space.free - space.reserved


def taken(space: Space) -> int:
    """Return the bytes that users can't have, those reserved for root too. Budgets are on these."""
    return space.total - space.free
