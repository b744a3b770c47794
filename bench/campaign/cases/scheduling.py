"""Pods that get no node, or lose theirs."""

from typing import Any

from bench.campaign.case import PRINTED_FIX, Case
from bench.campaign.injections import (
    CONTROLLER,
    GATEWAY,
    MODEL,
    MODELS,
    applied,
    deployment,
    in_order,
    no_pods_of,
    put_back,
    removed,
    set_model,
)
from tests.cluster.lab import Lab

# Of two, more than Kubernetes' own pods leave to two pods.
_MOST_CPU = {"resources": {"requests": {"cpu": "700m"}}}
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
    set_model("resources", "--requests=cpu=700m")(lab)
    lab.kubectl("-n", MODELS, "rollout", "status", f"deployment/{MODEL}", "--timeout=180s")


def _greedy() -> dict[str, Any]:
    return deployment("greedy", _MOST_CPU, {"priorityClassName": "urgent"})


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
         in_order(_one_large_pod, applied(_URGENT, _greedy())), PRINTED_FIX,
         in_order(removed(MODELS, "deployment/greedy", "priorityclass/urgent"), put_back)),
]  # fmt: skip
