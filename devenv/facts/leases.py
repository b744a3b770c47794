"""Leases whose holder has stopped renewing them.

Leases are compared with each other, not with a clock: the clock of an engine in a VM may be off,
and after a laptop has slept all of them are old at once. Something always renews one: each API
server, and each kubelet.
"""

from collections.abc import Iterable

from devenv.facts.objects import Fields, fields_of, name_of, namespace_of
from devenv.facts.times import seconds
from devenv.ports.kube import Manifest

LEASE = ("coordination.k8s.io/v1", "Lease")
# The parts of the control plane that lead by a lease of their own name.
LEADERS = ("kube-controller-manager", "kube-scheduler")
NAMESPACE = "kube-system"
# Seconds beyond the lease's own length. The newest lease may be 10 s old itself: API servers and
# kubelets renew theirs that rarely.
_SLACK = 10.0
# Kubernetes' own default, in seconds.
_LENGTH = 15.0


def lease_of(leases: Iterable[Manifest], leader: str) -> Manifest | None:
    """Return the lease of a part of the control plane."""
    for lease in leases:
        if (namespace_of(lease), name_of(lease)) == (NAMESPACE, leader):
            return lease
    return None


def renewed(lease: Fields) -> float:
    """Return when a lease was last renewed, in seconds since 1970; 0 if never."""
    return seconds(fields_of(lease, "spec").get("renewTime"))


def newest_renewal(leases: Iterable[Manifest]) -> float:
    """Return when any lease was last renewed, in seconds since 1970; 0 if none was."""
    return max(map(renewed, leases), default=0.0)


def expired(leases: Iterable[Manifest]) -> list[Manifest]:
    """Return the leases of the control plane's leaders that were not renewed in time."""
    all_leases = list(leases)
    newest = newest_renewal(all_leases)
    own_leases = [lease_of(all_leases, leader) for leader in LEADERS]
    return [lease for lease in own_leases if lease and _is_expired(lease, newest)]


def _is_expired(lease: Manifest, newest: float) -> bool:
    length = fields_of(lease, "spec").get("leaseDurationSeconds")
    limit = max(_LENGTH, float(length or 0)) + _SLACK
    return 0 < renewed(lease) < newest - limit
