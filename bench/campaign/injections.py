"""Ways in which faults come, for the cases to choose from. Each returns an injection."""

import json
from typing import Any

from bench.campaign.case import Injection
from tests.cluster import faults
from tests.cluster.lab import Lab

GATEWAY, CONTROLLER, MODELS = faults.GATEWAY, faults.CONTROLLER, faults.MODELS
MODEL, PLUGINS, REDIS = faults.MODEL, faults.PLUGINS, faults.REDIS
BUSYBOX = "docker.io/library/busybox:stable"
# Of the proxy's pod and Deployment.
PROXY = "gateway.envoyproxy.io/owning-gateway-name=aibrix-eg"


def applied(*objects: dict[str, Any]) -> Injection:
    """Return an injection that creates objects."""

    def inject(lab: Lab) -> None:
        lab.kubectl_in("\n---\n".join(map(json.dumps, objects)), "apply", "-f", "-")

    return inject


def removed(namespace: str, *names: str) -> Injection:
    """Return a cleaning that deletes objects, given as KIND/NAME; those that are gone are fine."""

    def clean(lab: Lab) -> None:
        lab.kubectl("-n", namespace, "delete", "--ignore-not-found", *names)

    return clean


def deleted(namespace: str, name: str) -> Injection:
    """Return an injection that deletes an object, given as KIND/NAME, and does not wait for it."""
    return lambda lab: lab.kubectl("-n", namespace, "delete", "--wait=false", name)


def patched(namespace: str, name: str, patch: Any, form: str = "merge") -> Injection:
    """Return an injection that patches an object, given as KIND/NAME."""
    words = ("patch", name, "--type", form, "-p", json.dumps(patch))
    return lambda lab: lab.kubectl("-n", namespace, *words)


def in_node(*argv: str) -> Injection:
    """Return an injection that runs a program in the node."""
    return lambda lab: lab.docker("exec", lab.node, *argv)


def in_order(*injections: Injection) -> Injection:
    """Return an injection that does several, one after the other."""

    def inject(lab: Lab) -> None:
        for one in injections:
            one(lab)

    return inject


def no_pods_of(namespace: str, selector: str) -> Injection:
    """Return an injection that deletes pods, so that they are needed anew."""
    return lambda lab: lab.kubectl("-n", namespace, "delete", "pod", "-l", selector, "--wait=false")


def set_model(*words: str) -> Injection:
    """Return an injection by `kubectl set` on the model's Deployment."""
    return lambda lab: lab.kubectl("-n", MODELS, "set", words[0], f"deployment/{MODEL}", *words[1:])


def patched_pods(namespace: str, name: str, spec: dict[str, Any]) -> Injection:
    """Return an injection that patches the spec of a Deployment's pods."""
    patch = {"spec": {"template": {"spec": spec}}}
    return patched(namespace, f"deployment/{name}", patch, "strategic")


def patched_model(spec: dict[str, Any]) -> Injection:
    """Return an injection that patches the spec of the model's pods."""
    return patched_pods(MODELS, MODEL, spec)


def deployment(
    name: str, container: dict[str, Any], pod: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a user's own Deployment of one pod, with one container of busybox that sleeps."""
    labels = {"app": name}
    sleeper = {"name": "main", "image": BUSYBOX, "command": ["sleep", "3600"], **container}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": MODELS},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [sleeper], **(pod or {})},
            },
        },
    }


def bare_pod(name: str, container: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that nothing makes anew, with one container of busybox that sleeps."""
    sleeper = {"name": "main", "image": BUSYBOX, "command": ["sleep", "3600"], **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": MODELS},
        "spec": {"containers": [sleeper]},
    }


def free_cpu(lab: Lab, *leaving: str) -> int:
    """Return the CPU that no pod of the node requests, in thousandths.

    Pods whose names begin with one of `leaving` count as gone.
    """
    node = json.loads(lab.kubectl("get", "node", lab.node, "-o", "json"))
    free = _thousandths(node["status"]["allocatable"]["cpu"])
    for pod in json.loads(lab.kubectl("get", "pods", "-A", "-o", "json"))["items"]:
        if pod["metadata"]["name"].startswith(leaving) or not pod["spec"].get("nodeName"):
            continue
        for container in pod["spec"]["containers"]:
            requests = container.get("resources", {}).get("requests", {})
            free -= _thousandths(requests.get("cpu", "0"))
    return free


def _thousandths(cpu: str) -> int:
    return int(cpu.removesuffix("m")) if cpu.endswith("m") else round(float(cpu) * 1000)


def pod_names(lab: Lab, namespace: str, selector: str) -> list[str]:
    """Return the names of pods."""
    listed = lab.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "name")
    return [line.removeprefix("pod/") for line in listed.split()]
