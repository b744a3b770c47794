"""Which images a cluster's workloads name."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from devenv.errors import DevenvError
from devenv.images.load import normalise
from devenv.lifecycle.manifests import images_in
from devenv.lifecycle.record import own_context
from devenv.ports import Kube, Manifest, Node

_AT_ONCE = 8
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_TEMPLATES = (
    ("v1", "Pod"), ("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"), ("batch/v1", "CronJob"), ("v1", "ReplicationController"), ("v1", "PodTemplate"),
)  # fmt: skip


def named(kube: Kube) -> frozenset[str]:
    """Return the images that any workload names, scaled to zero or not, normalised. Raises NotReachableError.

    Custom objects count too: a controller may make pods of what is written in them.
    """
    kinds = [*_TEMPLATES, *(kind for crd in kube.select(*_CRD) for kind in _stored(crd))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        objects = [
            obj for items in pool.map(lambda kind: kube.select(*kind), kinds) for obj in items
        ]
    return frozenset(normalise(name) for obj in objects for name in images_in(obj))


def _stored(crd: Manifest) -> list[tuple[str, str]]:
    spec = crd["spec"]
    versions = [v["name"] for v in spec["versions"] if v.get("served") and v.get("storage")]
    return [(f"{spec['group']}/{version}", spec["names"]["kind"]) for version in versions]


def named_or_unknown(
    kube: Kube, get_nodes: Callable[[], list[Node]], cluster: str
) -> frozenset[str] | None:
    """Return the same; nothing where there is no cluster, None where nobody can say. `get_nodes`: gives its nodes."""
    with suppress(DevenvError):
        nodes = get_nodes()
        if not nodes:
            return frozenset()
        own_context(kube, nodes, cluster)
        return named(kube)
    return None
