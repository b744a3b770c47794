"""What runs by itself: make room where a budget is exceeded, then look whether the cluster still works.

A gateway that latched while the disk was full stays broken after it is freed (docs/facts/gateway.md), so freeing the disk alone
would leave the cluster as the incident did.
"""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.diagnosis.model import Diagnosis
from devenv.disk.prune import SCHEDULE, Prune
from devenv.errors import DevenvError, LockedError
from devenv.ports import Containers
from devenv.profiles.quantities import show

# Seconds for whoever is loading or building.
_PATIENCE = 120.0


@dataclass(frozen=True)
class Report:
    """What was done or found; "" where there was nothing. `well`: whether all works now."""

    says: str = ""
    well: bool = True


@dataclass(frozen=True)
class Scheduled:
    """One run. `repair` is given where the user wants it, `tell` keeps the report and shows it."""

    cluster: str
    prune: Prune
    containers: Containers
    diagnose: Callable[[], Diagnosis]
    repair: Callable[[], None] | None
    tell: Callable[[Report], None]

    def run(self) -> Report:
        """Do both parts, the second whatever became of the first. What was done or found is told and written into the history."""
        parts = [_part(self._make_room), _part(self._look)]
        report = Report("; ".join(p.says for p in parts if p.says), all(p.well for p in parts))
        self.tell(report)
        return report

    def _make_room(self) -> Report:
        proposal = self.prune.propose()
        full = [p.disk.names[0] for p in proposal.plans if p.goal]
        if not full:
            return Report()
        if proposal.empty:
            return Report(
                f"{', '.join(full)} is above its budget, and nothing that may go frees anything",
                well=False,
            )
        try:
            outcome = self.prune.run(proposal, SCHEDULE, _PATIENCE)
        except LockedError as error:
            return Report(f"gave up: {error.in_one_line}", well=False)
        warning = (
            ""
            if not outcome.left
            else f"; {', '.join(d.names[0] for d in outcome.left)} is still too full"
        )
        return Report(
            f"{show(max(0, outcome.freed))} freed on {', '.join(full)}{warning}",
            well=not outcome.left,
        )

    def _look(self) -> Report:
        if not any(n.status == "running" for n in self.containers.nodes(self.cluster)):
            return Report()
        diagnosis = self.diagnose()
        roots = "; ".join(f"{c.root.code} {c.root.says}" for c in diagnosis.causes)
        if not roots or self.repair is None:
            return Report(f"{roots}; run `devenv recover`" if roots else "", well=not roots)
        try:
            self.repair()
        except DevenvError as error:
            return Report(f"{roots}; not repaired: {error.what}", well=False)
        return Report(f"{roots}; repaired")


def _part(do: Callable[[], Report]) -> Report:
    """Return what a part came to. Nobody sees an error of a run that nobody started."""
    try:
        return do()
    except DevenvError as error:
        return Report(error.in_one_line, well=False)
    except Exception as error:  # noqa: BLE001 - a mistake of devenv's own is told like any other
        return Report(f"{type(error).__name__}: {error}", well=False)
