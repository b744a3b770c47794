"""What a survey says: ledgers, and the disks that they are on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from devenv.disk.accounts import Share
from devenv.disk.budget import Marks, taken
from devenv.disk.plan import ENGINE, HOST, Thing
from devenv.disk.waste import Waste
from devenv.ports.host import Space
from devenv.ports.names import Names
from devenv.profiles.model import Budget

# By default, a file system reserves a twentieth of the disk for root.
_RESERVE_DIVISOR = 20

# Ledger, cluster or node → why it could not be read.
Reasons: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Ledger:
    """What one place keeps on its disk.

    `name`: host, engine, or a node's name.
    """

    name: str
    path: str
    device: str
    space: Space
    budget: Budget
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Disk:
    """A file system, listed once, with the names of all ledgers on it.

    `full_in`: seconds until it is full, None if that can't be told.
    """

    device: str
    names: Names
    space: Space
    marks: Marks
    full_in: float | None = None

    @property
    def over(self) -> bool:
        """Whether it is above its high mark."""
        return self.marks.over(self.space)

    @property
    def goal(self) -> int:
        """Bytes to free so that it is at its low mark; 0 below its high mark."""
        return self.goal_for(0)

    def goal_for(self, incoming: int) -> int:
        """Return the bytes to free before `incoming` bytes are written."""
        if not self.marks.over(self.space, incoming):
            return 0
        excess = taken(self.space) + incoming - self.marks.low
        return max(0, excess) + self._used_reserve()

    def _used_reserve(self) -> int:
        """Return the bytes that root may have taken of its reserve, on a disk full for all others.

        Nothing tells how large the reserve was, so the usual 5 % are assumed.
        """
        if self.space.free > 0:
            return 0
        return max(0, self.space.total // _RESERVE_DIVISOR - self.space.reserved)


@dataclass(frozen=True)
class Survey:
    """What was seen.

    `unknown`: ledger → why it could not be read. `down`: nodes that do not run. `waste`: what
    pruning removes first, by former owner.
    """

    ledgers: tuple[Ledger, ...]
    disks: tuple[Disk, ...]
    things: tuple[Thing, ...]
    unknown: Reasons = field(default_factory=dict)
    down: Names = ()
    waste: tuple[Waste, ...] = ()

    @property
    def node_names(self) -> Names:
        """The nodes that have a ledger."""
        return tuple(ledger.name for ledger in self.ledgers if ledger.name not in {HOST, ENGINE})

    def on(self, disk: Disk) -> list[Thing]:
        """Return the things on a disk."""
        return [thing for thing in self.things if thing.place in disk.names]
