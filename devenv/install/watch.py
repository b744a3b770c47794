"""What a wait for a workload does besides waiting.

It makes the kubelet look at pods at once that it would let wait, and it gives up on a rollout that
can't end well.
"""

from collections.abc import Iterable

from devenv.base.errors import DevenvError
from devenv.facts.model import owns
from devenv.facts.objects import fields_of, name_of, namespace_of
from devenv.gates.outlook import Outlook
from devenv.install.nudges import replace_unstarted, retry_sandboxes, sync_secrets
from devenv.ports.clock import Clock
from devenv.ports.kube import Kube, Manifest, NamespacedName

# Seconds between two looks at the same workload.
_PAUSE_SECONDS = 1.0


class Watch:
    """Looks at workloads that a command waits for, at each at most once a second.

    Make one when everything that a workload waits for is ready: its crashes count from then on.
    """

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube, self._clock = kube, clock
        self._next_looks: dict[NamespacedName, float] = {}
        self._outlooks: dict[NamespacedName, Outlook] = {}

    def look(self, kind: str, workload: Manifest) -> None:
        """Look at a workload that is not ready yet, unless the last look was less than 1 s ago.

        `kind` is passed because objects of a list don't have it. Raises DevenvError if the rollout
        can't end well.
        """
        key = (namespace_of(workload), name_of(workload))
        current_time = self._clock.monotonic()
        if current_time < self._next_looks.get(key, 0.0):
            return
        self._next_looks[key] = current_time + _PAUSE_SECONDS
        pods = pods_of(self._kube, workload)
        sync_secrets(self._kube, workload, pods)
        retry_sandboxes(self._kube, pods)
        replace_unstarted(self._kube, pods)
        outlook = self._outlooks.setdefault(key, Outlook(self._kube, self._clock))
        if verdict := outlook.verdict(kind, workload):
            identity = "/".join(key)
            what = f"{identity} can't become ready."
            raise DevenvError(what, verdict, "`devenv doctor` finds the cause.")


def pods_of(kube: Kube, workload: Manifest) -> list[Manifest]:
    """Return the pods that a workload made, including those that are ending."""
    labels = fields_of(fields_of(workload["spec"], "selector"), "matchLabels")
    selector = ",".join(f"{label}={value}" for label, value in labels.items())
    pods = kube.select("v1", "Pod", namespace_of(workload), selector)
    return own_pods(workload, pods)


def own_pods(workload: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Return those of the pods that the workload made."""
    return [pod for pod in pods if owns(workload, pod)]
