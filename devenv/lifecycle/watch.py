"""What a wait for a workload does beside waiting.

It has the kubelet look at pods at once where it would let them wait, and it gives up on a rollout
that can't end well.
"""

from devenv.errors import DevenvError
from devenv.facts.model import owns
from devenv.gates.outlook import Outlook
from devenv.lifecycle.nudges import retry_sandboxes, sync_secrets
from devenv.ports import Clock, Kube, Manifest

# Seconds between two looks at the same workload.
_PAUSE = 1.0


class Watch:
    """Looks at workloads that are waited for, at most once a second each.

    Begin once everything that a workload waits for is ready: its crashes count from then on.
    """

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._next_looks: dict[tuple[str, str], float] = {}
        self._outlooks: dict[tuple[str, str], Outlook] = {}

    def look(self, kind: str, workload: Manifest) -> None:
        """Look once, if it is time, at a workload that is not ready yet.

        `kind` is told, since objects of a list lack it. Raises DevenvError where the rollout can't end
        well.
        """
        key = (workload["metadata"].get("namespace", ""), workload["metadata"]["name"])
        now = self._clock.monotonic()
        if now < self._next_looks.get(key, 0.0):
            return
        self._next_looks[key] = now + _PAUSE
        pods = pods_of(self._kube, workload)
        sync_secrets(self._kube, workload, pods)
        retry_sandboxes(self._kube, pods)
        outlook = self._outlooks.setdefault(key, Outlook(self._kube, self._clock))
        if verdict := outlook.verdict(kind, workload):
            what = f"{'/'.join(key)} can't become ready."
            raise DevenvError(what, verdict, "`devenv doctor` has the cause.")


def pods_of(kube: Kube, workload: Manifest) -> list[Manifest]:
    """Return the pods that a workload made, those that are leaving too."""
    labels = (workload["spec"].get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{k}={v}" for k, v in labels.items())
    pods = kube.select("v1", "Pod", workload["metadata"]["namespace"], selector)
    return [p for p in pods if owns(workload, p)]
