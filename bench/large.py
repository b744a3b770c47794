"""`doctor --context` on 200 nodes and 5,000 pods, made up in the API server of a cluster of its own.

It makes that cluster and removes it: `python -m bench.large`, some minutes.
"""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from bench import traces
from devenv import wiring
from devenv.adapters.kube import ContextKube
from devenv.images.sources.provider import Provider

NODES, PODS = 200, 5000
_WRITERS = 16
CONFIG = "{kind: Cluster, apiVersion: kind.x-k8s.io/v1alpha4}"


def node(number: int) -> dict[str, object]:
    """A node whose kubelet says nothing."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": None,
        "lastTransitionTime": None,
    }
    meta = {"name": f"made-up-{number}", "labels": {"made-up": "true"}}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"unschedulable": True},
        "status": {"conditions": [ready], "capacity": {"cpu": "64", "memory": "256Gi", "pods": "110"}},
    }  # fmt: skip


def pod(number: int) -> dict[str, object]:
    """A pod on one of those, as large as pods are."""
    env = [{"name": f"VARIABLE_{n}", "value": "x" * 40} for n in range(20)]
    containers = [
        {"name": f"c{n}", "image": f"example.com/image:{n}", "env": env} for n in range(3)
    ]
    meta = {
        "name": f"made-up-{number}",
        "namespace": "made-up",
        "labels": {"made-up": "true", "app": f"a{number % 50}"},
    }
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": meta,
        "spec": {"nodeName": f"made-up-{number % NODES}", "containers": containers},
    }  # fmt: skip


def make_cluster(name: str) -> str:
    """Make a cluster with one bare node and return its context."""
    with wiring.world() as world:
        profile = world.choice("none", "offline").profile
        provider = Provider(world.engine, world.builder, world.reporter)
        image = provider.provide(profile.images)[profile.cluster.image].ref
        world.kind.create(name, CONFIG, image, lambda _: None)
    return f"kind-{name}"


def measure(own: traces.Traces) -> None:
    """Make them up, look, and say how long it took and how much memory."""
    traces.need_images()
    os.environ |= own.user_folders
    context = make_cluster(own.cluster)
    local = threading.local()

    def apply(manifest: dict[str, object]) -> None:
        if not hasattr(local, "kube"):
            local.kube = ContextKube(context)
        local.kube.apply(manifest)

    began = time.monotonic()
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-up"}})
    apply(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "made-up"},
        }
    )
    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(apply, map(node, range(NODES))))
        list(pool.map(apply, map(pod, range(PODS))))
    print(f"{NODES} nodes and {PODS} pods made up in {time.monotonic() - began:.0f} s", flush=True)
    for timeout in ("10", "30"):
        began = time.monotonic()
        argv = [
            sys.executable,
            "-m",
            "devenv",
            "doctor",
            "--context",
            context,
            "--timeout",
            timeout,
            "-o",
            "json",
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        took = time.monotonic() - began
        found = json.loads(done.stdout)["result"]
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        unread = [u["what"] for u in found["unknown"] if not u["what"].startswith("disk of ")]
        print(
            f"doctor --timeout {timeout}: {took:.1f} s, {most} MiB at most, {len(found['causes'])} causes, not read: {unread}"
        )


def main() -> None:
    with traces.made_by("large") as own:
        measure(own)


if __name__ == "__main__":
    main()
