"""Leases of leaders that ended with their nodes.

Who wants to lead next waits for the whole length of the old lease, from when it first saw it: 15 s
for Kubernetes' own controllers and for Envoy Gateway (client-go, tools/leaderelection). Until then
no Service learns the addresses that its pods have after a start.
"""

import math
from contextlib import suppress

from devenv.errors import DevenvError
from devenv.facts.times import seconds
from devenv.ports import Kube, Manifest

_LEASE = ("coordination.k8s.io/v1", "Lease")


def release_dead(kube: Kube, started: float) -> list[str]:
    """Delete the leases that were not renewed since the nodes started, and return their names.

    `started`: seconds since 1970. Every node must have been stopped then. A lease that can't be
    deleted runs out by itself.
    """
    released: list[str] = []
    with suppress(DevenvError):
        for lease in kube.select(*_LEASE):
            meta = lease["metadata"]
            if _is_of_a_leader(lease) and _renewed(lease) < started:
                kube.delete(*_LEASE, meta.get("namespace", ""), meta["name"])
                released.append(meta["name"])
    return released


def _is_of_a_leader(lease: Manifest) -> bool:
    """Whether the lease elects a leader: nodes and API servers also use leases, as signs of life."""
    spec = lease.get("spec") or {}
    return bool(spec.get("holderIdentity")) and "acquireTime" in spec


def _renewed(lease: Manifest) -> float:
    """Return when a lease was renewed, in seconds since 1970; for ever where that can't be read."""
    return seconds(lease["spec"].get("renewTime")) or math.inf
