"""Frees space before it is needed, if the user allows it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.disk.budget import Marks, marks, taken
from devenv.disk.plan import ENGINE
from devenv.disk.prune import POLICY, USER, Proposal, Prune
from devenv.ports.host import Space
from devenv.profiles.model import Budget
from devenv.profiles.quantities import show


@dataclass(frozen=True)
class _Reading:
    """What is free on a disk, and its marks."""

    space: Space
    marks: Marks

    def is_too_full_for(self, incoming: int) -> bool:
        return self.marks.over(self.space, incoming)


@dataclass(frozen=True)
class Guard:
    """Guards the disks of the host and of an engine on it.

    `ask` shows a plan and returns whether devenv may carry it out.
    """

    prune: Prune
    ask: Callable[[Proposal], bool]

    def make(self, needs: Mapping[str, int], wait: float, *, strict: bool = True) -> None:
        """Free space for so many bytes by place, if need be. `wait`: seconds for locks.

        Raises DevenvError if there is too little space afterwards. Without `strict` it does not,
        because the caller's next step reports that by itself.
        """
        for place, incoming in needs.items():
            reading = self._read_disk(place)
            if reading and reading.is_too_full_for(incoming):
                self._free_or_report(place, incoming, wait, strict=strict)
                if strict:
                    self._require(place, incoming)

    def _free_or_report(self, place: str, incoming: int, wait: float, *, strict: bool) -> None:
        """Free space; unless `strict`, a failure is only reported, since there may be enough."""
        try:
            self._free(place, incoming, wait)
        except DevenvError as error:
            if strict:
                raise
            self.prune.reporter.say(f"No space was freed: {error.in_one_line}")

    def _free(self, place: str, incoming: int, wait: float) -> None:
        """Prune as the user's policy says: not at all, at once, or if the user agrees."""
        policy = self.prune.surveyor.session.profile.auto_prune
        if policy == "no":
            return
        proposal = self.prune.propose(incoming=incoming, place=place)
        if proposal.empty:
            return
        if policy == "yes":
            self._announce(place, proposal)
            self.prune.run(proposal, POLICY, wait)
        elif self.ask(proposal):
            self.prune.run(proposal, USER, wait)

    def _announce(self, place: str, proposal: Proposal) -> None:
        size = show(sum(plan.frees for plan in proposal.plans))
        self.prune.reporter.say(
            f"The disk of the {place} is above its budget: freeing at most {size}."
        )

    def _require(self, place: str, incoming: int) -> None:
        """Raise DevenvError if so many bytes would bring a disk above its budget."""
        reading = self._read_disk(place)
        if reading and reading.is_too_full_for(incoming):
            raise DevenvError(
                f"The disk of the {place} would be above its budget.",
                _describe_lack(reading, incoming),
                "`devenv disk` shows what takes it; `devenv prune --free SIZE` frees space.",
                Exit.PREREQUISITE,
            )

    def _read_disk(self, place: str) -> _Reading | None:
        """Return what is free at a place, and its marks; None if only a node could tell."""
        budgets = self.prune.surveyor.session.profile.budgets
        if place != ENGINE:
            return self._read_path(self.prune.surveyor.session.host.cache_dir(), budgets.host)
        try:
            info = self.prune.surveyor.stock.info()
        except NotReachableError:
            return None
        if not info.local:
            return None
        return self._read_path(Path(info.data_root), budgets.engine)

    def _read_path(self, path: Path, budget: Budget) -> _Reading:
        space = self.prune.surveyor.session.host.space(path)
        return _Reading(space, marks(budget, space))


def _describe_lack(reading: _Reading, incoming: int) -> str:
    """Say what a disk lacks: inodes, or bytes below its budget."""
    space = reading.space
    if reading.marks.short_of_inodes(space):
        return f"Only {space.free_inodes} of {space.total_inodes} inodes are free."
    return (
        f"{show(taken(space))} are taken, {show(incoming)} are needed, "
        f"and its budget ends at {show(reading.marks.high)}."
    )
