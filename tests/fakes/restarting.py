"""A cluster whose pods are replaced when they are deleted, with Envoy Gateway's lease and Envoy's configuration."""

import json
from typing import Any

from devenv.facts.envoy import PATHS
from devenv.gates.rollout import CONNECTED
from devenv.ports.kube import Manifest
from tests.fakes.world import FakeKube

LEASE = "5b9825d2.gateway.envoyproxy.io"
FILTER = "envoy.filters.http.ext_proc/x"
_CONDITIONED = {
    "Gateway",
    "ClientTrafficPolicy",
    "EnvoyExtensionPolicy",
    "EnvoyPatchPolicy",
    "HTTPRoute",
}
OWNER = "gateway.envoyproxy.io/owning-gateway"


class RestartingKube(FakeKube):
    """`stale_lease`: the lease stays with the pod that is gone. `policy_after`: looks until the policy is good."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.up = True
        self.generation = {"envoy-gateway": 1, "proxy": 1}
        self.stale_lease = True
        self.policy_after = 0
        self.holder = "envoy-gateway-1_x"
        self.broken_until_restart = False

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]:
        if kind == "Deployment" and "owning-gateway" in selector:
            return [
                self._workload(
                    "proxy", {f"{OWNER}-name": "aibrix-eg", f"{OWNER}-namespace": "aibrix-system"}
                )
            ]
        if kind == "Pod" and "owning-gateway" in selector:
            return [
                self._pod(
                    "proxy", {f"{OWNER}-name": "aibrix-eg", f"{OWNER}-namespace": "aibrix-system"}
                )
            ]
        if kind == "Pod" and "envoy-gateway" in selector:
            return [self._pod("envoy-gateway", {"control-plane": "envoy-gateway"})]
        if kind == "Pod" and not selector:
            return [*self.every_pod(), *super().select(api_version, kind, namespace)]
        if kind == "Lease":
            return [self._lease()]
        return super().select(api_version, kind, namespace, selector)

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        if kind == "Deployment" and name == "envoy-gateway":
            return self._workload("envoy-gateway", {"control-plane": "envoy-gateway"})
        if kind == "Deployment" and name == "proxy":
            return self._workload(
                "proxy", {f"{OWNER}-name": "aibrix-eg", f"{OWNER}-namespace": "aibrix-system"}
            )
        if kind == "Lease":
            return self._lease()
        if kind in _CONDITIONED:
            self.policy_after -= kind == "EnvoyExtensionPolicy"
            good = "True" if self.policy_after <= 0 else "False"
            conditions = [
                {"type": t, "status": good} for t in ("Accepted", "Programmed", "ResolvedRefs")
            ]
            status = {
                "conditions": conditions,
                "ancestors": [{"conditions": conditions}],
                "parents": [{"conditions": conditions}],
            }
            return {"metadata": {"name": name, "generation": 1}, "spec": {}, "status": status}
        return super().get(api_version, kind, namespace, name)

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None:
        self.log.append(f"delete {kind}/{name}")
        if kind == "Pod":
            which = name.rpartition("-")[0]
            self.generation[which] += 1
            if which == "envoy-gateway" and not self.stale_lease:
                self.holder = f"{which}-{self.generation[which]}_x"
        if kind == "Lease":
            self.holder = f"envoy-gateway-{self.generation['envoy-gateway']}_x"

    def every_pod(self) -> list[Manifest]:
        gateway = {f"{OWNER}-name": "aibrix-eg", f"{OWNER}-namespace": "aibrix-system"}
        return [
            self._pod("envoy-gateway", {"control-plane": "envoy-gateway"}),
            self._pod("proxy", gateway),
        ]

    def _lease(self) -> Manifest:
        return {
            "metadata": {"name": LEASE, "namespace": "envoy-gateway-system"},
            "spec": {"holderIdentity": self.holder},
        }

    def _workload(self, name: str, labels: dict[str, str]) -> Manifest:
        status = {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "availableReplicas": 1,
        }
        meta = {
            "name": name,
            "namespace": "envoy-gateway-system",
            "generation": 1,
            "labels": labels,
        }
        spec = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {}},
        }
        return {"metadata": meta, "spec": spec, "status": status}

    def _pod(self, name: str, labels: dict[str, str]) -> Manifest:
        number = self.generation[name]
        owner = [{"kind": "ReplicaSet", "name": f"{name}-hash"}]
        meta = {
            "name": f"{name}-{number}", "namespace": "envoy-gateway-system", "uid": str(number), "ownerReferences": owner,
            "labels": {**labels, "pod-template-hash": "hash"},
        }  # fmt: skip
        return {
            "metadata": meta,
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }


class FakeEnvoy:
    """`lacks`: how many looks it takes until the listener has its filter."""

    def __init__(self, lacks: int = 0) -> None:
        self.lacks = lacks
        self.clusters: list[Any] = []  # as /clusters has them
        self.connected = 1

    def read(self, namespace: str, pod: str, paths: Any) -> dict[str, str]:
        self.lacks -= 1
        filters = [{"name": FILTER}] if self.lacks < 0 else []
        manager = {
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {"http_filters": filters},
        }
        listener = {"filter_chains": [{"filters": [manager]}]}
        route = {
            "name": "original_route",
            "route": {"cluster": "c"},
            "typed_per_filter_config": {FILTER: {}},
        }
        configs = [
            {"dynamic_listeners": [{"name": "http", "active_state": {"listener": listener}}]},
            {
                "dynamic_route_configs": [
                    {"route_config": {"name": "t", "virtual_hosts": [{"routes": [route]}]}}
                ]
            },
            {
                "dynamic_active_clusters": [
                    {"cluster": {"name": c["name"], "type": "EDS"}} for c in self.clusters
                ]
            },
        ]
        answers = (
            "LIVE",
            json.dumps({"configs": configs}),
            json.dumps({"cluster_statuses": self.clusters}),
        )
        connected = {"stats": [{"name": "control_plane.connected_state", "value": self.connected}]}
        return {**dict(zip(PATHS, answers, strict=True)), CONNECTED: json.dumps(connected)}
