import json
import shlex
from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Place, Verdict
from devenv.ports.gateway import HttpAnswer
from devenv.profiles.model import Route
from tests.unit.diagnosis.covers import covers, findings, only_finding
from tests.unit.diagnosis.facts_builder import (
    CONTROLLER,
    GATEWAYS,
    LABELS,
    MODELS,
    PLUGINS,
    PROXY,
    REDIS,
    SERVER,
    SYSTEM,
    deployment,
    healthy_facts,
    healthy_objects,
    metadata,
    named,
    pod_named,
    pod_of,
    proofs,
    set_condition,
)
from tests.unit.diagnosis.spelled import spelled

NAME = "kubernetes.io/metadata.name"
ALL_PLUGIN_ROUTES = (Route.EXTENSION, Route.PLAIN)
FROM_GATEWAYS = {"namespaceSelector": {"matchLabels": {NAME: GATEWAYS}}}


def network_policy(name="deny", namespace=SYSTEM, selector=None, **spec):
    labels = {"matchLabels": selector} if selector else {}
    return {
        "metadata": metadata(name, namespace),
        "spec": {"podSelector": labels, "policyTypes": ["Ingress"], **spec},
    }


def guarded(*policies, **changes):
    """Return healthy objects, and policies."""
    objects = {**healthy_objects(), "NetworkPolicy": list(policies), **changes}
    named(objects, "Service", REDIS)["spec"]["ports"] = [{"port": 6379}]
    return objects


def failing(*routes):
    """Return the live requests, of which those by these routes fail."""
    return tuple(
        replace(proof, answer=HttpAnswer(503), line=None, failures=("503",))
        if proof.route in routes
        else proof
        for proof in proofs()
    )


def shutting(objects, *routes, **changes):
    """Return the findings about policies, if the requests by these routes fail."""
    facts = healthy_facts(objects, proofs=failing(*routes), **changes)
    return [finding for finding in findings(facts) if finding.code == "DE418"]


def operations(finding):
    """Return the JSON patch that a finding's first command has, as a shell reads it."""
    words = shlex.split(str(finding.fix[0]))
    return words[:8], json.loads(words[-1])


@covers("DE418")
def test_a_policy_that_shuts_the_plugin_off_from_the_proxy(code):
    objects = guarded(network_policy(selector=LABELS[PLUGINS]))
    facts = healthy_facts(objects, proofs=failing(*ALL_PLUGIN_ROUTES))
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, f"NetworkPolicy {SYSTEM}/deny")
    assert [finding.code for finding in cause.consequences] == ["DE601", "DE601"]
    assert cause.root.place is Place.PLUGINS
    command, patch = operations(cause.root)
    kubectl = ["kubectl", "--context", "kind-devenv", "-n", SYSTEM]
    assert command == [*kubectl, "patch", "networkpolicy", "deny"]
    peer = {**FROM_GATEWAYS, "podSelector": {"matchLabels": LABELS[PROXY]}}
    rule = {"ports": [{"protocol": "TCP", "port": 8000}], "from": [peer]}
    assert patch == [{"op": "add", "path": "/spec/ingress", "value": [rule]}]


def test_a_policy_from_which_nothing_suffers_is_harmless():
    finding = only_finding(healthy_facts(guarded(network_policy())))
    assert (finding.code, finding.verdict) == ("DE418", Verdict.HARMLESS)
    assert diagnose(healthy_facts(guarded(network_policy()))).healthy


@pytest.mark.parametrize(
    ("policy", "routes", "place"),
    [
        (network_policy(namespace=MODELS), tuple(Route), Place.MODEL),
        (network_policy(selector=LABELS[REDIS]), ALL_PLUGIN_ROUTES, Place.PLUGINS),
        (network_policy(namespace=GATEWAYS, selector=LABELS[PROXY]), tuple(Route), Place.PORT),
        (
            network_policy(namespace=GATEWAYS, selector=LABELS[CONTROLLER]),
            tuple(Route),
            Place.ENVOY,
        ),
    ],
)
def test_each_connection_that_requests_need(policy, routes, place):
    (finding,) = shutting(guarded(policy), *routes)
    assert (finding.verdict, finding.place) == (Verdict.FAILED, place)


@pytest.mark.parametrize(
    ("policy_types", "rules", "directions"),
    [
        (["Egress"], {}, ["egress"]),
        (["Ingress"], {}, ["ingress"]),
        (["Egress", "Ingress"], {}, ["ingress", "egress"]),
        (None, {}, ["ingress"]),
        (None, {"egress": [{"ports": [{"port": 1}]}]}, ["ingress", "egress"]),
    ],
)
def test_the_types_of_a_policy(policy_types, rules, directions):
    """The plugin asks Redis, and the proxy asks the plugin."""
    policy = network_policy(selector=LABELS[PLUGINS], **{"policyTypes": policy_types, **rules})
    (finding,) = shutting(guarded(policy), *ALL_PLUGIN_ROUTES)
    paths = [operation["path"].split("/")[2] for operation in operations(finding)[1]]
    assert paths == directions


@pytest.mark.parametrize(
    ("policy", "shut_off"),
    [
        (network_policy(selector={"app": "other"}), 0),
        (network_policy(namespace="other"), 0),
        (network_policy(ingress=[{}]), 0),
        (network_policy(ingress=[{"from": [{"namespaceSelector": {}}]}]), 0),
        (network_policy(ingress=[{"from": [{"podSelector": {}}]}]), 1),
        (network_policy(ingress=[{"from": [FROM_GATEWAYS, {"podSelector": {}}]}]), 0),
        (network_policy(ingress=[{"ports": [{"port": 8000}]}]), 0),
        (network_policy(ingress=[{"ports": [{"port": 7000, "endPort": 9000}]}]), 0),
        (network_policy(ingress=[{"ports": [{"port": 8000, "protocol": "UDP"}]}]), 1),
        (network_policy(ingress=[{"ports": [{"port": 8001}]}]), 1),
        (network_policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), 0),
        (
            network_policy(
                ingress=[
                    {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16"]}}]}
                ]
            ),
            1,
        ),
    ],
)
def test_which_rules_let_the_proxy_through(policy, shut_off):
    objects = guarded(policy)
    remove_redis_service(objects)
    assert len(shutting(objects, *ALL_PLUGIN_ROUTES)) == shut_off


def remove_redis_service(objects):
    objects["Service"].remove(named(objects, "Service", REDIS))


@pytest.mark.parametrize(
    ("expression", "is_shut_off"),
    [
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
        ({"operator": "In", "values": ["gateway-plugins"]}, True),
        ({"operator": "In", "values": ["other"]}, False),
        ({"operator": "NotIn", "values": ["gateway-plugins"]}, False),
        ({"operator": "NotIn", "values": ["other"]}, True),
    ],
)
def test_expressions_of_selectors(expression, is_shut_off):
    policy = network_policy()
    policy["spec"]["podSelector"] = {"matchExpressions": [{"key": "app", **expression}]}
    objects = guarded(policy)
    remove_redis_service(objects)
    assert bool(shutting(objects, *ALL_PLUGIN_ROUTES)) is is_shut_off


def test_a_named_port():
    policy = network_policy(selector=LABELS[PLUGINS], ingress=[{"ports": [{"port": "grpc"}]}])
    objects = guarded(policy)
    assert shutting(objects, *ALL_PLUGIN_ROUTES)
    spec = named(objects, "Deployment", PLUGINS)["spec"]["template"]["spec"]
    spec["containers"][0]["ports"][0]["name"] = "grpc"
    assert not shutting(objects, *ALL_PLUGIN_ROUTES)


def test_another_policy_may_let_it_through():
    allowing = network_policy("allow", ingress=[{"from": [FROM_GATEWAYS, {"podSelector": {}}]}])
    assert not shutting(guarded(network_policy(), allowing), *ALL_PLUGIN_ROUTES)


def test_two_policies_are_one_finding():
    (finding,) = shutting(guarded(network_policy(), network_policy("b")), *ALL_PLUGIN_ROUTES)
    assert spelled(finding.about) == {f"NetworkPolicy/{SYSTEM}/{name}" for name in ("deny", "b")}


def test_a_rule_is_added_to_those_that_exist():
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}
    (finding,) = shutting(guarded(network_policy(ingress=[rule])), *ALL_PLUGIN_ROUTES)
    assert {operation["path"] for operation in operations(finding)[1]} == {"/spec/ingress/-"}


def test_dns():
    dns = deployment(SERVER, labels={"k8s-app": "kube-dns"})
    dns["metadata"] |= {"name": "coredns", "namespace": "kube-system"}
    policy = network_policy(namespace=GATEWAYS, selector=LABELS[PROXY], policyTypes=["Egress"])
    to_all_tcp = [{"ports": [{"protocol": "TCP"}]}]
    objects = guarded({**policy, "spec": {**policy["spec"], "egress": to_all_tcp}})
    objects["Deployment"].append(dns)
    objects["Pod"].append(pod_of(dns))
    (finding,) = shutting(objects, *Route)
    assert operations(finding)[1][0]["value"]["ports"] == [{"protocol": "UDP", "port": 53}]


def test_a_program_that_does_not_get_ready_suffers():
    """Redis is shut off: gateway-plugins crashes, and no request was judged."""
    objects = guarded(network_policy(selector=LABELS[REDIS]))
    set_condition(pod_named(objects, PLUGINS), "Ready")
    named(objects, "Deployment", PLUGINS)["status"]["availableReplicas"] = 0
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert cause.root.code == "DE418"
    assert [finding.code for finding in cause.consequences] == ["DE304"]


def test_if_some_requests_come_through_others_fail_for_another_reason():
    (finding,) = shutting(guarded(network_policy(selector=LABELS[PLUGINS])), Route.PLAIN)
    assert finding.verdict is Verdict.HARMLESS


def daemon_set(name, image):
    container = {"name": name, "image": image, "env": []}
    workload = deployment(REDIS, labels={"app": name})
    workload["metadata"] |= {"name": name, "namespace": "kube-system"}
    workload["spec"]["template"]["spec"]["containers"] = [container]
    counts = ("desiredNumberScheduled", "numberAvailable", "updatedNumberScheduled")
    workload["status"] = {"observedGeneration": 1, **dict.fromkeys(counts, 1)}
    return workload


@pytest.mark.parametrize(
    ("network", "verdict"),
    [
        ({}, Verdict.HARMLESS),
        ({"node-exporter": "node-exporter:1"}, Verdict.HARMLESS),
        ({"kindnet": "docker.io/kindest/kindnetd:v20240513-cbbf5f8b"}, Verdict.HARMLESS),
        ({"kindnet": "docker.io/kindest/kindnetd:v20240813-c6f155d6"}, Verdict.FAILED),
        ({"kindnet": "docker.io/kindest/kindnetd:v20250512-df8de77b"}, Verdict.FAILED),
        ({"kindnet": "registry.local/own:1"}, Verdict.FAILED),
        ({"calico-node": "calico:1"}, Verdict.FAILED),
        ({"kindnet": "kindnetd:v20240513-cbbf5f8b", "cilium": "cilium:1"}, Verdict.FAILED),
    ],
)
def test_whether_anything_enforces_policies(network, verdict):
    programs = {"kube-proxy": "kube-proxy:1", **network}
    daemon_sets = [daemon_set(name, image) for name, image in programs.items()]
    objects = guarded(network_policy(selector=LABELS[PLUGINS]), DaemonSet=daemon_sets)
    (finding,) = shutting(objects, *ALL_PLUGIN_ROUTES)
    assert finding.verdict is verdict


def test_pods_on_the_hosts_network_are_beyond_policies():
    objects = guarded(network_policy(selector=LABELS[PLUGINS]))
    status = pod_named(objects, PLUGINS)["status"]
    status["hostIP"] = status["podIP"]
    assert not shutting(objects, *ALL_PLUGIN_ROUTES)
