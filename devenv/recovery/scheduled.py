"""What runs by itself: make room where a budget is exceeded, then look whether the cluster still works.

A gateway that latched while the disk was full stays broken after it is freed (facts/gateway.md), so freeing the disk alone
would leave the cluster as the incident did.
"""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.diagnosis.model import Diagnosis
from devenv.disk.prune import SCHEDULE, Prune
from devenv.disk.schedule import Jobs
from devenv.errors import DevenvError, LockedError
from devenv.ports import Containers, Host
from devenv.profiles.quantities import show

_PATIENCE = 120.0  # seconds for whoever is loading or building


@dataclass(frozen=True)
class Scheduled:
    """One run. `repair` is given where the user wants it."""

    cluster: str
    prune: Prune
    containers: Containers
    host: Host
    diagnose: Callable[[], Diagnosis]
    repair: Callable[[], None] | None
    tell: Callable[[str], None]

    def run(self) -> str:
        """Return what was done or found; "" where all was well. That alone is written into the history and told."""
        says = "; ".join(filter(None, self._parts()))
        at = self.prune.surveyor
        Jobs(self.host).note_last(at.clock.now(), says or "all is well")
        if says:
            at.history.note("schedule", says=says)
            self.tell(says)
        return says

    def _parts(self) -> list[str]:
        try:
            return [self._make_room(), self._look()]
        except DevenvError as error:
            return [f"{error.what} {error.why}".strip()]

    def _make_room(self) -> str:
        proposal = self.prune.propose()
        full = [p.disk.names[0] for p in proposal.plans if p.goal]
        if not full:
            return ""
        if proposal.empty:
            return f"{', '.join(full)} is above its budget, and nothing that may go frees anything"
        try:
            outcome = self.prune.run(proposal, SCHEDULE, _PATIENCE)
        except LockedError as error:
            return f"gave up: {error.what} {error.why}".strip()
        left = "" if not outcome.left else f"; {', '.join(d.names[0] for d in outcome.left)} is still too full"
        return f"{show(max(0, outcome.freed))} freed on {', '.join(full)}{left}"

    def _look(self) -> str:
        if not any(n.status == "running" for n in self.containers.nodes(self.cluster)):
            return ""
        found = self.diagnose()
        roots = "; ".join(f"{c.root.code} {c.root.says}" for c in found.causes)
        if not roots or self.repair is None:
            return f"{roots}; run `devenv recover`" if roots else ""
        self.repair()
        return f"{roots}; repaired"
