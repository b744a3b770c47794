"""The facts of the last healthy `up`, for `doctor --compare`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devenv.base.errors import DevenvError
from devenv.diagnosis.diagnose import diagnose
from devenv.facts import files
from devenv.facts.model import Facts
from devenv.ports.host import Host
from devenv.ports.reporter import Reporter


@dataclass(frozen=True)
class GoodFacts:
    """Keeps one facts file a cluster in the state folder."""

    host: Host
    reporter: Reporter

    def path(self, cluster: str) -> Path:
        """Return where the cluster's good facts are, or will be."""
        return self.host.state_dir() / "good" / f"{cluster}.json"

    def keep(self, cluster: str, collect: Callable[[], Facts]) -> None:
        """Keep the cluster's facts if it is healthy.

        If they can't be kept, nothing else is lost.
        """
        try:
            facts = collect()
            if diagnose(facts).healthy:
                target = self.path(cluster)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.write(facts, target)
        except (DevenvError, OSError) as error:
            self.reporter.say(f"No facts for `doctor --compare` were kept: {error}")
