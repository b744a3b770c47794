"""Pods that do not run, are ended, or run what they should not."""

from typing import Any

from bench.campaign.case import PRINTED_FIX, TAKEN_BACK, Case
from bench.campaign.injections import (
    BUSYBOX,
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
_CNI = "/etc/cni/net.d"
_SAVED_CNI = "/root/net.d"
# kind's plugin, or the one of devenv's own node.
_NO_PLUGIN = r's/"type": *"\(ptp\|bridge\)"/"type":"no-such-plugin"/'
_TAKE_PLUGIN = f"cp -a {_CNI} {_SAVED_CNI} && sed -i '{_NO_PLUGIN}' {_CNI}/*.conflist"
_GIVE_PLUGIN = f"cp -a {_SAVED_CNI}/. {_CNI}/ && rm -r {_SAVED_CNI}"
# In the node: there once the first pod has written too much.
_MARKS = "/var/devenv-bench"
_WRITES_ONCE = (
    "[ -e /marks/done ] || { touch /marks/done; dd if=/dev/zero of=/f bs=1M count=40; }; sleep 999"
)
# As tests/cluster/faults.py has it of the model.
_EATS_MEMORY = {
    "image": BUSYBOX,
    "command": ["sh", "-c", "tail /dev/zero"],
    "resources": {"limits": {"memory": "16Mi"}},
}
_IMAGE = "devenv.local/vllm-mock:reference"
# In the engine.
_REBUILT = "devenv-bench/vllm-mock:campaign"


def _redis(container: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [{"name": "master", **container}]}


def _evict_once(lab: Lab) -> None:
    """Have the node evict a pod whose replacement behaves."""
    container = {
        "command": ["sh", "-c", _WRITES_ONCE],
        "resources": _HUNGRY_WRITER["resources"],
        "volumeMounts": [{"name": "marks", "mountPath": "/marks"}],
    }
    volume = {"name": "marks", "hostPath": {"path": _MARKS, "type": "DirectoryOrCreate"}}
    applied(deployment("filler", container, {"volumes": [volume]}))(lab)
    failed = (
        "get",
        "pods",
        "-l",
        "app=filler",
        "--field-selector=status.phase=Failed",
        "-o",
        "name",
    )
    lab.eventually("an eviction", lambda: "" if lab.kubectl("-n", MODELS, *failed) else "it", 120)


def _forget_eviction(lab: Lab) -> None:
    removed(MODELS, "deployment/filler")(lab)
    in_node("rm", "-rf", _MARKS)(lab)


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
    Case("evicted once, and replaced", "pods", (), _evict_once, TAKEN_BACK, _forget_eviction),
    Case("Redis is out of memory", "pods", (("DE310", "redis"),),
         patched_pods(GATEWAY, REDIS, _redis(_EATS_MEMORY))),
    Case("Redis has a tag that does not exist", "pods", (("DE301", "redis"),),
         patched_pods(GATEWAY, REDIS, _redis({"image": "docker.io/library/redis:9.9-none"}))),
    Case("a user's tag does not exist", "pods", (("DE301", "default/own"),),
         applied(deployment("own", {"image": "docker.io/library/busybox:none"})), PRINTED_FIX,
         removed(MODELS, "deployment/own")),
    Case("no sandbox can be made", "pods", (("DE313", "model"),),
         in_order(in_node("sh", "-c", _TAKE_PLUGIN), _one_new_pod),
         TAKEN_BACK, in_node("sh", "-c", _GIVE_PLUGIN), ("no-such-plugin",)),
    Case("bare pod with the image before a reload", "pods", (("DE316", "Pod default/alone"),),
         in_order(applied(bare_pod("alone", {"image": _IMAGE, "command": None})), _reload_model),
         PRINTED_FIX, _original_model),
]  # fmt: skip
