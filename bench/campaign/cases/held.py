"""Objects that stay in deletion."""

import json

from bench.campaign.case import PRINTED_FIX, Case, Injection
from bench.campaign.injections import GATEWAY, applied, deleted, in_order
from tests.cluster.lab import Lab

_HOLDER = "devenv.bench/held"
_CLASS, _GATEWAY = "gatewayclass/aibrix-eg", "gateways.gateway.networking.k8s.io/aibrix-eg"
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "held"}}
_CONTENT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "content", "namespace": "held", "finalizers": [_HOLDER]},
}


def _held(namespace: str, name: str) -> Injection:
    """Return an injection that gives an object a finalizer of nobody's, and deletes it."""
    patch = json.dumps([{"op": "add", "path": "/metadata/finalizers/-", "value": _HOLDER}])
    first = json.dumps({"metadata": {"finalizers": [_HOLDER]}})

    def hold(lab: Lab) -> None:
        path = "jsonpath={.metadata.finalizers}"
        has_others = lab.kubectl("-n", namespace, "get", name, "-o", path).strip()
        words = ("--type=json", "-p", patch) if has_others else ("--type=merge", "-p", first)
        lab.kubectl("-n", namespace, "patch", name, *words)

    return in_order(hold, deleted(namespace, name))


def _without_namespace(lab: Lab) -> None:
    """Let the namespace go, whatever holds it."""
    if not lab.kubectl("get", "namespace", "held", "--ignore-not-found"):
        return
    let_go = json.dumps({"metadata": {"finalizers": None}})
    words = ("patch", "configmap/content", "--type=merge", "-p", let_go)
    lab.kubectl("-n", "held", *words, check=False)
    path = "/api/v1/namespaces/held/finalize"
    lab.kubectl_in(json.dumps(_NAMESPACE), "replace", "--raw", path, "-f", "-")


CASES = [
    Case("GatewayClass held in deletion", "held", (("DE314", "GatewayClass aibrix-eg"),),
         _held("default", _CLASS), shows=("deletionTimestamp=", _HOLDER)),
    Case("Gateway held in deletion", "held", (("DE314", f"Gateway {GATEWAY}/aibrix-eg"),),
         _held(GATEWAY, _GATEWAY), shows=("deletionTimestamp=", _HOLDER)),
    Case("namespace held by what is in it", "held", (("DE314", "Namespace held"),),
         in_order(applied(_NAMESPACE, _CONTENT), deleted("held", "namespace/held")), PRINTED_FIX,
         _without_namespace, ("deletionTimestamp=", _HOLDER)),
    Case("namespace held by itself", "held", (("DE314", "Namespace held"),),
         in_order(applied({**_NAMESPACE, "spec": {"finalizers": [_HOLDER]}}),
                  deleted("held", "namespace/held")),
         PRINTED_FIX, _without_namespace, ("deletionTimestamp=", _HOLDER)),
]  # fmt: skip
