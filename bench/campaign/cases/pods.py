"""Pods that do not run, are ended, or run what they should not."""

import json
from typing import Any

from bench.campaign.case import PRINTED_FIX, TAKEN_BACK, Case
from bench.campaign.injections import (
    GATEWAY,
    MODEL,
    MODELS,
    REDIS,
    applied,
    bare_pod,
    deployment,
    in_node,
    in_order,
    patched_model,
    patched_pods,
    pod_names,
    removed,
)
from devenv.base.errors import DevenvError
from tests.cluster.lab import Lab

_WRONG_PROBE = {"tcpSocket": {"port": 9999}, "periodSeconds": 3, "failureThreshold": 2}
_HUNGRY_WRITER = {
    "command": ["sh", "-c", "dd if=/dev/zero of=/f bs=1M count=40; sleep 999"],
    "resources": {"limits": {"ephemeral-storage": "5Mi"}},
}
_CNI = "/etc/cni/net.d/10-kindnet.conflist"
_SAVED_CNI = "/root/cni.conflist"
# kind's plugin, or the one of devenv's own node.
_NO_PLUGIN = r's/"type": *"\(ptp\|bridge\)"/"type":"no-such-plugin"/'
_IMAGE = "devenv.local/vllm-mock:reference"
# In the engine.
_REBUILT = "devenv-bench/vllm-mock:campaign"


def _redis(container: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [{"name": "master", **container}]}


def _evict(lab: Lab) -> None:
    """Have a pod end as if its node had evicted it."""
    name = pod_names(lab, MODELS, f"app={MODEL}")[0]
    message = "The node was low on resource: memory."
    status = {"phase": "Failed", "reason": "Evicted", "message": message}
    patch = json.dumps({"status": status})
    lab.kubectl("-n", MODELS, "patch", f"pod/{name}", "--subresource=status", "-p", patch)


def _forget_failed_pods(lab: Lab) -> None:
    lab.kubectl("-n", MODELS, "delete", "pods", "--field-selector=status.phase=Failed")


def _one_new_pod(lab: Lab) -> None:
    name = pod_names(lab, MODELS, f"app={MODEL}")[0]
    lab.kubectl("-n", MODELS, "delete", f"pod/{name}", "--wait=false")


def _reload_model(lab: Lab) -> None:
    """Reload a rebuilt image of the model, while a bare pod runs the old one.

    The reload fails, and names the pod, which nothing makes anew.
    """
    lab.kubectl("-n", MODELS, "wait", "pod/alone", "--for=condition=Ready", "--timeout=60s")
    folder = lab.folder / "rebuilt"
    folder.mkdir(exist_ok=True)
    base = lab.docker("images", "--quiet", "devenv.local/vllm-mock").split()[0]
    (folder / "Dockerfile").write_text(f"FROM {base}\nLABEL devenv.bench=campaign\n")
    lab.build(_REBUILT, folder)
    reload = lab.devenv("reload-image", _REBUILT, "--as", _IMAGE, check=False)
    if not reload.returncode or f"{MODELS}/alone" not in reload.stderr:
        raise DevenvError("The reload did not name the pod that it left.", reload.stderr)


def _original_model(lab: Lab) -> None:
    removed(MODELS, "pod/alone")(lab)
    lab.docker("rmi", "--force", _REBUILT, check=False)
    lab.up()


CASES = [
    Case("liveness probe on a wrong port", "pods", (("DE313", "model"),),
         patched_model({"containers": [{"name": "llm-engine", "livenessProbe": _WRONG_PROBE}]})),
    Case("evicted again and again", "pods", (("DE315", "default/filler"),),
         applied(deployment("filler", _HUNGRY_WRITER)), PRINTED_FIX,
         removed(MODELS, "deployment/filler")),
    Case("evicted once, and replaced", "pods", (), _evict, TAKEN_BACK, _forget_failed_pods),
    Case("Redis is out of memory", "pods", (("DE310", "redis"),),
         patched_pods(GATEWAY, REDIS, _redis({"resources": {"limits": {"memory": "6Mi"}}}))),
    Case("Redis has a tag that does not exist", "pods", (("DE301", "redis"),),
         patched_pods(GATEWAY, REDIS, _redis({"image": "docker.io/library/redis:9.9-none"}))),
    Case("a user's tag does not exist", "pods", (("DE301", "default/own"),),
         applied(deployment("own", {"image": "docker.io/library/busybox:none"})), PRINTED_FIX,
         removed(MODELS, "deployment/own")),
    Case("no sandbox can be made", "pods", (("DE313", "model"),),
         in_order(in_node("cp", _CNI, _SAVED_CNI), in_node("sed", "-i", _NO_PLUGIN, _CNI), _one_new_pod),
         TAKEN_BACK, in_node("cp", _SAVED_CNI, _CNI), ("no-such-plugin",)),
    Case("bare pod with the image before a reload", "pods", (("DE316", "Pod default/alone"),),
         in_order(applied(bare_pod("alone", {"image": _IMAGE, "command": None})), _reload_model),
         PRINTED_FIX, _original_model),
]  # fmt: skip
