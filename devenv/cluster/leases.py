"""Leases whose leaders ended with their nodes.

A candidate waits for the whole length of the old lease, from the moment at which it first saw it:
15 s for Kubernetes' own controllers and for Envoy Gateway (client-go, tools/leaderelection). Until
then no Service learns the addresses that its pods have after the start.
"""

import math
from contextlib import suppress

from devenv.base.errors import DevenvError
from devenv.facts.objects import fields_of, name_of, namespace_of
from devenv.facts.times import seconds
from devenv.ports.kube import Kube, Manifest

_LEASE = ("coordination.k8s.io/v1", "Lease")


def release_dead(kube: Kube, started: float) -> list[str]:
    """Delete the leases that were not renewed since the nodes started, and return their names.

    `started`: seconds since 1970. Every node must have been stopped before. A lease that can't be
    deleted expires by itself.
    """
    released = []
    with suppress(DevenvError):
        for lease in kube.select(*_LEASE):
            if _elects_leader(lease) and _renewal_time(lease) < started:
                kube.delete(*_LEASE, namespace_of(lease), name_of(lease))
                released.append(name_of(lease))
    return released


def _elects_leader(lease: Manifest) -> bool:
    """Whether the lease elects a leader. Nodes and API servers use leases too, as signs of life."""
    spec = fields_of(lease, "spec")
    return bool(spec.get("holderIdentity")) and "acquireTime" in spec


def _renewal_time(lease: Manifest) -> float:
    """Return when a lease was renewed, in seconds since 1970; infinity if that can't be read."""
    return seconds(lease["spec"].get("renewTime")) or math.inf
