"""What was deleted is named as itself and put back, with no more restarts than that needs; pods that ended are no fault."""

import json

import pytest

from tests.cluster.test_doctor import until_healthy, until_named

ROUTES = "httproutes.gateway.networking.k8s.io"
WRONG = "devenv.local/vllm-mock:elsewhere"
GONE = {
    "a definition": (("delete", "crd", ROUTES), ("DE415", ROUTES), ["put_back", "restart"]),
    "the plugin's Service": (
        ("-n", "aibrix-system", "delete", "service", "aibrix-gateway-plugins"),
        ("DE416", "Service aibrix-system/aibrix-gateway-plugins"),
        ["put_back"],
    ),
}


@pytest.mark.parametrize("name", GONE)
def test_what_is_gone_is_one_root_and_comes_back(cluster, name):
    command, root, steps = GONE[name]
    cluster.kubectl(*command)
    try:
        until_named(cluster, (root,))
    finally:
        told = cluster.json("recover", "--yes")
    assert [s["kind"] for s in told["done"]] == steps
    assert told["repaired"] == [root[0]]
    until_healthy(cluster)


def test_a_pod_that_failed_beside_its_replacement_is_no_fault(cluster):
    pods = json.loads(cluster.kubectl("get", "pods", "-l", "app=mock-llama2-7b", "-o", "json"))[
        "items"
    ]
    name = pods[0]["metadata"]["name"]

    def phase() -> str:
        return cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")

    cluster.kubectl("patch", "pod", name, "-p", '{"spec": {"activeDeadlineSeconds": 1}}')
    try:
        cluster.eventually("its end", lambda: "" if phase() == "Failed" else phase())
        until_healthy(cluster)
        assert phase() == "Failed", "it is still there"
    finally:
        cluster.kubectl("delete", "pod", name, "--ignore-not-found")


def test_the_fix_of_a_wrong_tag_works_when_it_is_typed(cluster):
    """Of a workload that devenv can't put back."""
    container = {"name": "engine", "image": WRONG, "env": [{"name": "MODEL_NAME", "value": "own"}]}
    labels = {"app": "own"}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    own = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "own", "namespace": "default"},
        "spec": spec,
    }
    cluster.kubectl_in(json.dumps(own), "apply", "-f", "-")
    try:
        found = until_named(cluster, (("DE301", "default/own"),))
        (fix,) = found["causes"][0]["fix"]
        program, context, name, *arguments = fix.split()
        assert (program, context, name) == ("kubectl", "--context", f"kind-{cluster.cluster}")
        cluster.kubectl(*arguments)
        until_healthy(cluster)
    finally:
        cluster.kubectl("delete", "deployment", "own")
        until_healthy(cluster)
