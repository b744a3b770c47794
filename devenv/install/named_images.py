"""The images that a cluster's workloads name, so that no node loses one that it needs."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

from devenv.base.errors import DevenvError
from devenv.base.image_names import normalise
from devenv.install.manifests import images_in
from devenv.ports.containers import Node
from devenv.ports.kube import KindKey, Kube, Manifest
from devenv.state.record import own_context

# How many kinds are read at the same time.
_THREADS = 8
_CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
# Kubernetes' own kinds that are pods or have a pod template.
_KINDS = (
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("v1", "ReplicationController"),
    ("v1", "PodTemplate"),
)


def named(kube: Kube) -> frozenset[str]:
    """Return the images that any workload names, even one that is scaled to zero, normalised.

    Custom objects count too: a controller may make pods from them. Raises NotReachableError.
    """
    custom_kinds = chain.from_iterable(map(_stored_kinds, kube.select(*_CRD)))
    kinds = [*_KINDS, *custom_kinds]
    with ThreadPoolExecutor(_THREADS) as pool:
        lists = pool.map(lambda kind: kube.select(*kind), kinds)
        objects = list(chain.from_iterable(lists))
    names = chain.from_iterable(map(images_in, objects))
    return frozenset(map(normalise, names))


def _stored_kinds(crd: Manifest) -> list[KindKey]:
    """Return (apiVersion, kind) of the version in which a definition's objects are stored."""
    spec = crd["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    stored_kinds = []
    for version in spec["versions"]:
        if version.get("served") and version.get("storage"):
            api_version = f"{group}/{version['name']}"
            stored_kinds.append((api_version, kind))
    return stored_kinds


def named_or_unknown(
    kube: Kube, get_nodes: Callable[[], list[Node]], cluster: str
) -> frozenset[str] | None:
    """Return what `named` does; nothing without a cluster, None if the API server can't say.

    `get_nodes` returns the cluster's nodes.
    """
    with suppress(DevenvError):
        nodes = get_nodes()
        if not nodes:
            return frozenset()
        own_context(kube, nodes, cluster)
        return named(kube)
    return None
