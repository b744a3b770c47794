"""The programs beneath Kubernetes that a node's kubelet runs from files."""

from bench.campaign.case import PRINTED_FIX, Case, Injection
from bench.campaign.injections import MODEL, MODELS, in_node, in_order, no_pods_of

_MANIFESTS = "/etc/kubernetes/manifests"
_API_SERVER = f"{_MANIFESTS}/kube-apiserver.yaml"
_WRONG_FLAG = "s/- --secure-port=6443/- --secure-port=6443\\n    - --no-such-flag/"


def _stopped(program: str) -> Injection:
    return in_node("pkill", "--signal=STOP", "--exact", program)


CASES = [
    *(
        Case(
            f"{part}'s manifest moved away",
            "control plane",
            (("DE207", part),),
            in_node("mv", f"{_MANIFESTS}/{part}.yaml", "/root/"),
        )
        for part in ("kube-controller-manager", "kube-scheduler", "etcd")
    ),
    Case("scheduler hangs", "control plane", (("DE207", "kube-scheduler"),),
         in_order(_stopped("kube-scheduler"), no_pods_of(MODELS, f"app={MODEL}")), PRINTED_FIX),
    Case("etcd hangs", "control plane", (("DE207", "etcd"),), _stopped("etcd"), PRINTED_FIX),
    Case("API server with a flag that does not exist", "control plane", (("DE207", "kube-apiserver"),),
         in_node("sed", "-i", _WRONG_FLAG, _API_SERVER), shows=("no-such-flag",)),
    Case("API server's manifest is no YAML", "control plane", (("DE207", "kube-apiserver"),),
         in_node("sed", "-i", "s/^spec:/spec: {/", _API_SERVER)),
]  # fmt: skip
