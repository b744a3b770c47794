"""What pods mount, name or wait for, and what does not exist."""

from typing import Any

from bench.campaign.case import PRINTED_FIX, RECOVER, Case
from bench.campaign.injections import (
    CONTROLLER,
    MODELS,
    PROXY,
    applied,
    bare_pod,
    deleted,
    in_order,
    no_pods_of,
    patched_model,
    removed,
)

_SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": MODELS},
    "data": {"mode": "fast"},
}
_FROM_A_REGISTRY = {
    "imagePullSecrets": [{"name": "nope"}],
    "containers": [{"name": "llm-engine", "image": "registry.example.org/vllm-mock:private"}],
}


def _volume(name: str, source: dict[str, Any]) -> dict[str, Any]:
    mount = {"name": name, "mountPath": f"/{name}"}
    return {
        "volumes": [{"name": name, **source}],
        "containers": [{"name": "llm-engine", "volumeMounts": [mount]}],
    }


def _claim(storage_class: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights", "namespace": MODELS},
        "spec": {
            "storageClassName": storage_class,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }


def _key(key: str) -> dict[str, Any]:
    reference = {"configMapKeyRef": {"name": "settings", "key": key}}
    container = {"name": "llm-engine", "env": [{"name": "MODE", "valueFrom": reference}]}
    return {"containers": [container]}


CASES = [
    Case("ConfigMap key misspelt", "references", (("DE313", "ConfigMap default/settings"),),
         in_order(applied(_SETTINGS), patched_model(_key("mdoe"))), RECOVER,
         removed(MODELS, "configmap/settings")),
    Case("pull secret missing", "references", (("DE313", "Secret default/nope"),),
         patched_model(_FROM_A_REGISTRY)),
    Case("Secret missing", "references", (("DE313", "Secret default/token"),),
         patched_model(_volume("s", {"secret": {"secretName": "token"}})), PRINTED_FIX,
         removed(MODELS, "secret/token")),
    Case("storage class missing", "references", (("DE313", "PersistentVolumeClaim default/weights"),),
         in_order(applied(_claim("fats")),
                  patched_model(_volume("w", {"persistentVolumeClaim": {"claimName": "weights"}}))),
         RECOVER, removed(MODELS, "pvc/weights")),
    Case("bare pod waits for a ConfigMap", "references", (("DE313", "ConfigMap default/gone"),),
         applied(bare_pod("alone", {"envFrom": [{"configMapRef": {"name": "gone"}}]})), PRINTED_FIX,
         removed(MODELS, "pod/alone", "configmap/gone")),
    Case("the proxy's certificate is gone", "references", (("DE417", f"Secret {CONTROLLER}/envoy"),),
         in_order(deleted(CONTROLLER, "secret/envoy"), no_pods_of(CONTROLLER, PROXY))),
]  # fmt: skip
