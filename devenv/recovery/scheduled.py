"""The daily run: frees space if a budget is exceeded, then checks that the cluster still works.

A gateway that latched while the disk was full stays broken after space is freed
(docs/facts/gateway.md). Freeing the disk alone would leave the cluster as the incident did.
"""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.base.errors import DevenvError, LockedError
from devenv.diagnosis.model import Diagnosis
from devenv.disk.prune import SCHEDULE, Proposal, Prune
from devenv.ports.containers import Containers
from devenv.profiles.quantities import show

# Seconds to wait for another process that loads or builds images.
_LOCK_WAIT = 120.0


@dataclass(frozen=True)
class Report:
    """What a run did or found, "" for nothing. `well`: whether everything works now."""

    says: str = ""
    well: bool = True


@dataclass(frozen=True)
class Scheduled:
    """One daily run."""

    cluster: str
    prune: Prune
    containers: Containers
    diagnose: Callable[[], Diagnosis]
    # None if the user wants no repair.
    repair: Callable[[], None] | None
    # Keeps the report and shows it.
    tell: Callable[[Report], None]

    def run(self) -> Report:
        """Do both parts, the second even if the first fails, and tell and return the report."""
        parts = [_safely(self._free_space), _safely(self._check_cluster)]
        sentences = [part.says for part in parts if part.says]
        report = Report("; ".join(sentences), all(part.well for part in parts))
        self.tell(report)
        return report

    def _free_space(self) -> Report:
        proposal = self.prune.propose()
        full_disks = [plan.disk.names[0] for plan in proposal.plans if plan.goal]
        if not full_disks:
            return Report()
        disks = ", ".join(full_disks)
        if proposal.empty:
            problem = f"{disks} is above its budget, and nothing that may be removed frees space"
            return Report(problem, well=False)
        try:
            return self._prune(proposal, disks)
        except LockedError as error:
            return Report(f"gave up: {error.in_one_line}", well=False)

    def _prune(self, proposal: Proposal, disks: str) -> Report:
        outcome = self.prune.run(proposal, SCHEDULE, _LOCK_WAIT)
        summary = f"{show(max(0, outcome.freed))} freed on {disks}"
        if not outcome.unfinished:
            return Report(summary)
        still_full = ", ".join(disk.names[0] for disk in outcome.unfinished)
        return Report(f"{summary}; {still_full} is still too full", well=False)

    def _check_cluster(self) -> Report:
        nodes = self.containers.nodes(self.cluster)
        if not any(node.status == "running" for node in nodes):
            return Report()
        causes = self.diagnose().causes
        if not causes:
            return Report()
        roots = "; ".join(f"{cause.root.code} {cause.root.says}" for cause in causes)
        if self.repair is None:
            return Report(f"{roots}; run `devenv recover`", well=False)
        try:
            self.repair()
        except DevenvError as error:
            return Report(f"{roots}; not repaired: {error.what}", well=False)
        return Report(f"{roots}; repaired")


def _safely(part: Callable[[], Report]) -> Report:
    """Return a part's report. No user watches the run, so errors go into the report, too."""
    try:
        return part()
    except DevenvError as error:
        return Report(error.in_one_line, well=False)
    except Exception as error:  # noqa: BLE001 - an internal error is reported like any other
        return Report(f"{type(error).__name__}: {error}", well=False)
