"""The fault campaign: each fault with the one root that doctor must name, written down before the injection was tried.

The numbers are those of the issue. What fills disks or stops engines is in test_doctor_destroys.py.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.cluster.lab import Lab

GATEWAY, CONTROLLER, MODELS = "aibrix-system", "envoy-gateway-system", "default"
PLUGINS, REDIS, MODEL = "aibrix-gateway-plugins", "aibrix-redis-master", "mock-llama2-7b"
RECREATE = {"strategy": {"type": "Recreate", "rollingUpdate": None}}


@dataclass(frozen=True)
class Fault:
    """`roots`: (code, a word of the subject) of each root."""

    number: int
    name: str
    roots: tuple[tuple[str, str], ...]
    inject: Callable[[Lab], None]


def patch(
    lab: Lab, namespace: str, kind: str, name: str, content: dict[str, Any], how: str = "strategic"
) -> None:
    lab.kubectl("-n", namespace, "patch", kind, name, "--type", how, "-p", json.dumps(content))


def pod_patch(
    spec: dict[str, Any], labels: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    return {"spec": {**more, "template": {"metadata": {"labels": labels or {}}, "spec": spec}}}


def scale(namespace: str, name: str, replicas: int) -> Callable[[Lab], None]:
    def inject(lab: Lab) -> None:
        lab.kubectl("-n", namespace, "scale", "deployment", name, f"--replicas={replicas}")

    return inject


def delete(namespace: str, kind: str, name: str) -> Callable[[Lab], None]:
    return lambda lab: lab.kubectl("-n", namespace, "delete", kind, name)


def get(lab: Lab, namespace: str, kind: str, name: str) -> dict[str, Any]:
    return json.loads(lab.kubectl("-n", namespace, "get", kind, name, "-o", "json"))


def put(lab: Lab, obj: dict[str, Any]) -> None:
    for field in ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"):
        obj["metadata"].pop(field, None)
    obj.pop("status", None)
    lab.kubectl_in(
        json.dumps(obj),
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=fault",
        "-f",
        "-",
    )


def plugins_crash(lab: Lab) -> None:
    container = {"name": "gateway-plugin", "env": [{"name": "REDIS_HOST", "value": "no-such-host"}]}
    patch(lab, GATEWAY, "deployment", PLUGINS, pod_patch({"containers": [container]}, **RECREATE))


def redis_down(lab: Lab) -> None:
    scale(GATEWAY, REDIS, 0)(lab)
    lab.kubectl("-n", GATEWAY, "delete", "pod", "-l", "app=gateway-plugins", "--wait=false")


def misnamed_service(lab: Lab) -> None:
    service = get(lab, MODELS, "service", "llama2-7b")
    service["metadata"]["name"] = "llama2-7b-service"
    for field in ("clusterIP", "clusterIPs"):
        service["spec"].pop(field)
    delete(MODELS, "service", "llama2-7b")(lab)
    put(lab, service)


def model_pods(spec: dict[str, Any], labels: dict[str, str] | None = None) -> Callable[[Lab], None]:
    def inject(lab: Lab) -> None:
        patch(
            lab,
            MODELS,
            "deployment",
            MODEL,
            pod_patch({"containers": [{"name": "llm-engine", **spec}]}, labels),
        )

    return inject


def dangling_patch(lab: Lab) -> None:
    policy = get(lab, GATEWAY, "envoypatchpolicy", "aibrix-epp")
    for entry in policy["spec"]["jsonPatches"]:
        filters = entry["operation"]["value"].get("typed_per_filter_config") or {}
        for name in list(filters):
            filters[
                name.replace(
                    "aibrix-gateway-plugins-extension-policy", "other-release-extension-policy"
                )
            ] = filters.pop(name)
    lab.kubectl_in(json.dumps(policy), "replace", "-f", "-")


def patches_off(lab: Lab) -> None:
    config = get(lab, CONTROLLER, "configmap", "envoy-gateway-config")
    (key,) = config["data"]
    config["data"][key] = config["data"][key].replace(
        "enableEnvoyPatchPolicy: true", "enableEnvoyPatchPolicy: false"
    )
    lab.kubectl_in(json.dumps(config), "replace", "-f", "-")
    lab.kubectl("-n", CONTROLLER, "delete", "pod", "-l", "control-plane=envoy-gateway")


def proxy_crash(lab: Lab) -> None:
    deployment = {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    }
    spec = {
        "extraArgs": ["--no-such-option"],
        "provider": {"kubernetes": {"envoyDeployment": deployment}},
    }
    patch(lab, GATEWAY, "envoyproxy", "aibrix-custom-proxy-config", {"spec": spec}, "merge")


def missing_secret(lab: Lab) -> None:
    container = {
        "name": "llm-engine",
        "volumeMounts": [{"name": "token", "mountPath": "/token"}],
    }
    volume = {"name": "token", "secret": {"secretName": "token"}}
    patch(
        lab,
        MODELS,
        "deployment",
        MODEL,
        pod_patch({"volumes": [volume], "containers": [container]}),
    )


def out_of_memory(lab: Lab) -> None:
    container = {"name": "llm-engine", "image": "docker.io/library/busybox:stable", "command": ["sh", "-c", "tail /dev/zero"],
                 "resources": {"limits": {"memory": "16Mi"}}}  # fmt: skip
    patch(lab, MODELS, "deployment", MODEL, pod_patch({"containers": [container]}, **RECREATE))


def scheduler_moved(lab: Lab) -> None:
    """Take the scheduler's manifest away, and give it pods to leave alone."""
    manifest = "/etc/kubernetes/manifests/kube-scheduler.yaml"
    lab.docker("exec", lab.node, "mv", manifest, "/etc/kubernetes/")
    lab.kubectl("-n", MODELS, "delete", "pod", "-l", "model.aibrix.ai/name", "--wait=false")


def both(*injections: Callable[[Lab], None]) -> Callable[[Lab], None]:
    def inject(lab: Lab) -> None:
        for one in injections:
            one(lab)

    return inject


def small_bodies(lab: Lab) -> None:
    """Envoy Gateway's own limit: one of the live requests is larger."""
    policy = "aibrix-client-connection-buffersize"
    spec = {"spec": {"connection": {"bufferLimit": 32768}}}
    patch(lab, GATEWAY, "clienttrafficpolicy", policy, spec, "merge")


no_model = scale(MODELS, MODEL, 0)
# Numbers of those that `make test` injects, at least one a layer; the campaign injects all.
IN_EACH_RUN = {5, 9, 17, 19, 25, 26, 27, 28}
FAULTS = (
    Fault(5, "gateway-plugins crash", (("DE302", "gateway-plugins"),), plugins_crash),
    Fault(6, "Redis is down", (("DE305", "redis"),), redis_down),
    Fault(7, "no model pod", (("DE305", "model"),), no_model),
    Fault(8, "Service misnamed", (("DE502", "llama2-7b"),), misnamed_service),
    Fault(9, "HTTPRoute gone", (("DE503", "llama2-7b"),), delete(GATEWAY, "httproute", "llama2-7b-router")),
    Fault(10, "ReferenceGrant gone", (("DE504", "llama2-7b"),), delete(MODELS, "referencegrant", "aibrix-system-reserved-referencegrant-in-default")),
    Fault(11, "model label wrong", (("DE505", "llama2-7b"),), model_pods({}, {"model.aibrix.ai/name": "llama2-7b-chat"})),
    Fault(12, "model port wrong", (("DE506", "llama2-7b"),), model_pods({}, {"model.aibrix.ai/port": "9999"})),
    Fault(13, "patch names no policy", (("DE405", "aibrix-epp"),), dangling_patch),
    Fault(14, "patches switched off", (("DE404", "envoy-gateway"),), patches_off),
    Fault(15, "envoy-gateway at zero", (("DE305", "envoy-gateway"),), scale(CONTROLLER, "envoy-gateway", 0)),
    Fault(16, "proxy crashes", (("DE302", "proxy"),), proxy_crash),
    Fault(17, "image not in the node", (("DE301", "model"),), model_pods({"image": "devenv.local/vllm-mock:elsewhere"})),
    Fault(18, "pull policy Always", (("DE306", "model"),), model_pods({"imagePullPolicy": "Always"})),
    Fault(19, "pod fits no node", (("DE307", "model"),), model_pods({"resources": {"requests": {"cpu": "1000"}}})),
    Fault(20, "CoreDNS is down", (("DE305", "coredns"),), scale("kube-system", "coredns", 0)),
    Fault(24, "OOMKilled", (("DE310", "model"),), out_of_memory),
    Fault(26, "Secret is missing", (("DE313", "Secret default/token"),), missing_secret),
    Fault(25, "no model pod and Service misnamed", (("DE305", "model"), ("DE502", "llama2-7b")), both(no_model, misnamed_service)),
    Fault(27, "body limit lowered", (("DE604", "ClientTrafficPolicy"),), small_bodies),
    Fault(28, "scheduler does not run", (("DE207", "kube-scheduler"),), scheduler_moved),
)  # fmt: skip
