"""Pods that get no node, or lose theirs."""

from bench.campaign.case import PRINTED_FIX, Case
from bench.campaign.injections import (
    CONTROLLER,
    GATEWAY,
    MODEL,
    MODELS,
    applied,
    deployment,
    free_cpu,
    in_order,
    no_pods_of,
    removed,
    set_model,
)
from tests.cluster.lab import Lab

# Of the free CPU: one pod fits with it, two do not.
_MOST = 0.7
_QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "none", "namespace": MODELS},
    "spec": {"hard": {"pods": "0"}},
}
_URGENT = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "urgent"},
    "value": 1000000,
}


def _cordon(lab: Lab) -> None:
    lab.kubectl("cordon", lab.node)


def _one_large_pod(lab: Lab) -> None:
    """Leave one pod to the model, which takes most of the node's CPU."""
    lab.kubectl("-n", MODELS, "scale", f"deployment/{MODEL}", "--replicas=1")
    set_model("resources", f"--requests=cpu={_most_cpu(lab)}")(lab)
    lab.kubectl("-n", MODELS, "rollout", "status", f"deployment/{MODEL}", "--timeout=180s")


def _most_cpu(lab: Lab) -> str:
    return f"{int(free_cpu(lab, MODEL) * _MOST)}m"


def _greedy_pod(lab: Lab) -> None:
    container = {"resources": {"requests": {"cpu": _most_cpu(lab)}}}
    applied(deployment("greedy", container, {"priorityClassName": "urgent"}))(lab)


CASES = [
    Case("GPU limit", "scheduling", (("DE307", "model"),),
         set_model("resources", "--limits=nvidia.com/gpu=1"), PRINTED_FIX),
    Case("node cordoned", "scheduling", (("DE211", "node"),),
         in_order(_cordon, no_pods_of(GATEWAY, "app=gateway-plugins"), no_pods_of(MODELS, f"app={MODEL}"),
                  no_pods_of(CONTROLLER, "control-plane=envoy-gateway")), PRINTED_FIX),
    Case("no room for the surge pod", "scheduling", (("DE307", "model"),),
         in_order(_one_large_pod, set_model("env", "SURGE=1"))),
    Case("quota of zero", "scheduling", (("DE313", "ResourceQuota default/none"),),
         in_order(applied(_QUOTA), no_pods_of(MODELS, f"app={MODEL}")), PRINTED_FIX,
         removed(MODELS, "resourcequota/none")),
    Case("PriorityClass that preempts", "scheduling", (("DE313", "PriorityClass urgent"),),
         in_order(_one_large_pod, applied(_URGENT), _greedy_pod), PRINTED_FIX,
         removed(MODELS, "deployment/greedy", "priorityclass/urgent")),
]  # fmt: skip
