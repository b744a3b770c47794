"""Whether the control plane's leaders work: without them a rollout never begins, or never ends."""

from collections.abc import Iterable

from devenv.base.errors import DevenvError
from devenv.facts.leases import LEADERS, LEASE, NAMESPACE, expired
from devenv.facts.objects import labels_of, name_of
from devenv.ports.kube import Kube, Manifest

# kubeadm's labels of the control plane's pods.
_SELECTOR = "tier=control-plane"
_COMPONENT = "component"
_API_SERVER = "kube-apiserver"
_EFFECTS = {
    "kube-controller-manager": "Without it no rollout begins.",
    "kube-scheduler": "Without it new pods get no node.",
}


def require_leaders(kube: Kube, cluster: str) -> None:
    """Refuse a rollout that could not end, because a leader of the control plane does not run.

    Raises DevenvError.
    """
    leases = kube.select(*LEASE)
    pods = kube.select("v1", "Pod", NAMESPACE, _SELECTOR)
    absent = missing_leaders(leases, pods)
    if absent:
        raise DevenvError(
            f"The cluster {cluster} can't roll anything out: {', '.join(absent)} does not run.",
            " ".join(_EFFECTS[name] for name in absent),
            f"Nothing was changed. Run `devenv recover --name {cluster}`, which starts it again.",
        )


def missing_leaders(leases: Iterable[Manifest], pods: Iterable[Manifest]) -> list[str]:
    """Return the leaders whose lease has expired, or whose pod is gone although it is a static one.

    `pods`: those of the control plane. Without the API server among them they tell nothing.
    """
    silent = {name_of(lease) for lease in expired(leases)}
    components = {labels_of(pod).get(_COMPONENT) for pod in pods}
    if _API_SERVER in components:
        silent |= set(LEADERS) - components
    return sorted(silent)
