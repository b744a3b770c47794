"""Room before it is needed: what is about to write looks first, and makes room where the user lets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devenv.disk.budget import Marks, marks, taken
from devenv.disk.plan import ENGINE
from devenv.disk.prune import POLICY, USER, Proposal, Prune
from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.ports import Space
from devenv.profiles.quantities import show


@dataclass(frozen=True)
class Guard:
    """Guards the disks of this machine and of an engine on it. `ask` shows a plan and says whether it may be done."""

    prune: Prune
    ask: Callable[[Proposal], bool]

    def make(self, needs: Mapping[str, int], wait: float, *, strict: bool = True) -> None:
        """Make room for so many bytes by place, if need be.

        Raises DevenvError where there is too little then; not unless `strict`, where something else will say so.
        """
        for place, incoming in needs.items():
            reading = self._seen(place)
            if reading and reading[1].over(reading[0], incoming):
                try:
                    self._make(place, incoming, wait)
                except DevenvError as error:
                    if strict:
                        raise
                    self.prune.reporter.say(f"No room was made: {error.in_one_line}")
                if strict:
                    self._require(place, incoming)

    def _make(self, place: str, incoming: int, wait: float) -> None:
        surveyor = self.prune.surveyor
        if surveyor.profile.auto_prune == "no":
            return
        proposal = self.prune.propose(incoming=incoming, place=place)
        if proposal.empty:
            return
        if surveyor.profile.auto_prune == "yes":
            at_once = sum(p.frees for p in proposal.plans)
            self.prune.reporter.say(
                f"The disk of the {place} is above its budget: making room, at most {show(at_once)}."
            )
            self.prune.run(proposal, POLICY, wait)
        elif self.ask(proposal):
            self.prune.run(proposal, USER, wait)

    def _require(self, place: str, incoming: int) -> None:
        reading = self._seen(place)
        if reading and reading[1].over(reading[0], incoming):
            space, limits = reading
            end = show(limits.high)
            reason = f"{show(taken(space))} are taken, {show(incoming)} are needed, and its budget ends at {end}."
            if limits.short_of_inodes(space):
                reason = f"Only {space.free_inodes} of {space.total_inodes} inodes are free."
            fix = "`devenv disk` shows who takes it; `devenv prune --free SIZE` makes room."
            raise DevenvError(
                f"The disk of the {place} would be above its budget.",
                reason,
                fix,
                Exit.PREREQUISITE,
            )

    def _seen(self, place: str) -> tuple[Space, Marks] | None:
        """Return what is free at a place, and its marks; None where only a node could tell."""
        surveyor = self.prune.surveyor
        path, budget = surveyor.host.cache_dir(), surveyor.profile.budgets.host
        if place == ENGINE:
            try:
                info = surveyor.stock.info()
            except NotReachableError:
                return None
            if not info.local:
                return None
            path, budget = Path(info.data_root), surveyor.profile.budgets.engine
        space = surveyor.host.space(path)
        return space, marks(budget, space)
