"""Hand-made objects: what of a rollout is not over yet."""

import pytest

from devenv.facts.model import ProxyFacts, UpstreamFacts
from devenv.gates import rollout
from devenv.profiles.model import GatewayPorts

GATEWAY = GatewayPorts(namespace="aibrix-system", name="aibrix-eg", host_port=8888, node_port=30888)
WORKLOAD = {
    "metadata": {"name": "plugins", "namespace": "ns"},
    "spec": {"template": {"metadata": {"labels": {"app": "plugins"}}}},
}
SERVICE = {
    "metadata": {"name": "svc", "namespace": "ns"},
    "spec": {"selector": {"app": "plugins"}, "clusterIP": "10.96.0.9"},
}
NETWORKS = rollout.networks([{"spec": {"podCIDRs": ["10.244.0.0/24"]}}])


def pod(name, address="10.244.0.5", *, leaving=False, ready=True, phase="Running", owner="plugins"):
    meta = {
        "name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": {"app": "plugins", "pod-template-hash": "h"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": f"{owner}-h"}],
    }  # fmt: skip
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": meta,
        "status": {"phase": phase, "podIP": address, "conditions": conditions},
    }


def slice_of(*endpoints, service="svc"):
    labels = {"kubernetes.io/service-name": service}
    return {"metadata": {"namespace": "ns", "labels": labels}, "endpoints": list(endpoints)}


def endpoint(name, **conditions):
    return {
        "targetRef": {"kind": "Pod", "name": name, "uid": f"uid-{name}"},
        "conditions": conditions,
    }


def test_an_old_pod_must_end():
    assert "old" in rollout.leaving(WORKLOAD, [pod("old", leaving=True), pod("new")])
    assert rollout.leaving(WORKLOAD, [pod("new"), pod("old", leaving=True, owner="other")]) == ""


def test_a_pod_that_failed_and_stays_to_be_read_is_not_waited_for():
    pods = [pod("evicted", phase="Failed", ready=False), pod("new")]
    assert rollout.leaving(WORKLOAD, pods) == ""
    assert (
        rollout.endpoints(WORKLOAD, pods, [SERVICE], [slice_of(endpoint("new", ready=True))]) == ""
    )


@pytest.mark.parametrize(
    ("endpoints", "culprit"),
    [
        ([endpoint("new", ready=True)], ""),
        ([endpoint("new", ready=True), endpoint("gone", ready=True)], "gone"),
        (
            [
                endpoint("new", ready=True),
                endpoint("old", ready=False, serving=True, terminating=True),
            ],
            "old",
        ),
        ([endpoint("new", ready=True, terminating=True)], "new"),
        ([endpoint("new", ready=False)], "new"),
        ([], "new"),
    ],
)
def test_a_services_endpoints_are_the_new_pods_and_no_other(endpoints, culprit):
    pods = [pod("new"), pod("old", leaving=True)]
    lack = rollout.endpoints(WORKLOAD, pods, [SERVICE], [slice_of(*endpoints)])
    assert (culprit in lack) if culprit else lack == ""


def test_other_services_and_namespaces_are_not_looked_at():
    other = {
        "metadata": {"name": "other", "namespace": "ns"},
        "spec": {"selector": {"app": "else"}},
    }
    elsewhere = {
        "metadata": {"name": "svc", "namespace": "elsewhere"},
        "spec": {"selector": {"app": "plugins"}},
    }
    slices = [slice_of(endpoint("gone"), service="other")]
    assert rollout.endpoints(WORKLOAD, [pod("new")], [other, elsewhere], slices) == ""


@pytest.mark.parametrize(
    ("held_by", "is_held"),
    [("new_1a2b", True), ("old_1a2b", False), ("gone_1a2b", False), ("", False), (None, False)],
)
def test_a_live_pod_must_lead(held_by, is_held):
    lease = None if held_by is None else {"spec": {"holderIdentity": held_by}}
    pods = [pod("new"), pod("old", leaving=True)]
    assert (rollout.leadership("lease", lease, WORKLOAD, pods) == "") is is_held


def proxy(*hosts, kind="EDS"):
    return ProxyFacts(
        pod="envoy",
        ready="LIVE",
        upstreams=(UpstreamFacts(name="c", type=kind, hosts=dict.fromkeys(hosts, True)),),
    )


NEEDED = [
    rollout.backend(
        SERVICE, WORKLOAD, [pod("new", "10.244.0.5"), pod("old", "10.244.0.4", leaving=True)]
    )
]


@pytest.mark.parametrize(
    ("facts", "is_over"),
    [
        (proxy("10.244.0.5:50052"), True),
        (proxy("10.244.0.5:50052", "10.244.0.4:50052"), False),  # leaving
        (proxy("10.244.0.5:50052", "10.244.0.77:8000"), False),  # gone
        (
            proxy("10.244.0.5:50052", "10.96.0.1:443", "172.18.0.2:80", "name.example:80"),
            True,
        ),  # no pods
        (proxy(), False),  # the new one is not there
        (proxy("10.96.0.9:50052"), True),  # through the Service's own address
    ],
)
def test_envoys_clusters_lead_to_the_new_pods_and_to_no_old_one(facts, is_over):
    pods = [pod("new", "10.244.0.5"), pod("old", "10.244.0.4", leaving=True)]
    assert (rollout.upstreams(facts, pods, NETWORKS, NEEDED) == "") is is_over


def test_a_pod_that_was_evicted_is_gone_for_envoy():
    assert rollout.upstreams(
        proxy("10.244.0.4:8000"), [pod("evicted", "10.244.0.4", phase="Failed")], NETWORKS, []
    )


def test_what_requests_themselves_name_is_no_cluster_that_leads_astray():
    assert rollout.upstreams(proxy("10.244.0.77:8000", kind="ORIGINAL_DST"), [], NETWORKS, []) == ""


def route(**parent):
    ref = {"name": "aibrix-eg", "namespace": "aibrix-system", **parent.pop("ref", {})}
    conditions = [{"type": "Accepted", "status": parent.pop("accepted", "True")}]
    backends = [
        {"name": "svc"},
        {"name": "far", "namespace": "default"},
        {"name": "off", "weight": 0},
    ]
    return {
        "metadata": {"name": "r", "namespace": "aibrix-system"},
        "spec": {"rules": [{"backendRefs": backends}]},
        "status": {"parents": [{"parentRef": ref, "conditions": conditions}]},
    }


def test_backends_are_those_of_accepted_routes_and_policies_of_the_gateway():
    wanted = {("aibrix-system", "svc"), ("default", "far")}
    assert rollout.named_backends([route()], GATEWAY) == wanted
    assert rollout.named_backends([route(accepted="False")], GATEWAY) == set()
    assert rollout.named_backends([route(ref={"name": "another"})], GATEWAY) == set()
    policy = {
        "metadata": {"name": "p", "namespace": "aibrix-system"},
        "spec": {"extProc": [{"backendRefs": [{"name": "plugins"}]}]},
        "status": {
            "ancestors": [
                {
                    "ancestorRef": {"name": "aibrix-eg"},
                    "conditions": [{"type": "Accepted", "status": "True"}],
                }
            ]
        },
    }
    assert rollout.named_backends([policy], GATEWAY) == {("aibrix-system", "plugins")}


@pytest.mark.parametrize(("values", "is_over"), [([1], True), ([0], False), ([], True)])
def test_envoy_listens_to_its_controller(values, is_over):
    stats = {"stats": [{"name": "control_plane.connected_state", "value": v} for v in values]}
    assert (rollout.connection("envoy", stats) == "") is is_over
