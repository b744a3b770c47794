"""Which images a cluster's workloads name."""

from collections.abc import Callable
from contextlib import suppress

from devenv.errors import DevenvError
from devenv.images.load import normalise
from devenv.lifecycle.manifests import images_in
from devenv.lifecycle.record import own_context
from devenv.ports import Kube, Node

_TEMPLATES = (
    ("v1", "Pod"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"), ("batch/v1", "CronJob"),
)  # fmt: skip


def named(kube: Kube) -> frozenset[str]:
    """Return the images that any workload names, scaled to zero or not, normalised. Raises NotReachableError."""
    return frozenset(normalise(name) for kind in _TEMPLATES for obj in kube.select(*kind) for name in images_in(obj))


def named_or_unknown(kube: Kube, look: Callable[[], list[Node]], cluster: str) -> frozenset[str] | None:
    """Return the same; nothing where there is no cluster, None where nobody can say. `look`: gives its nodes."""
    with suppress(DevenvError):
        nodes = look()
        if not nodes:
            return frozenset()
        own_context(kube, nodes, cluster)
        return named(kube)
    return None
