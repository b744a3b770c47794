from datetime import UTC, datetime, timedelta

import pytest

from devenv.gates import ready
from devenv.profiles.model import Component


def deployment(generation=2, replicas=2, **status):
    good = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": replicas},
        "status": {**good, **status},
    }


def test_a_deployment_whose_replicas_are_new_and_available_is_ready():
    assert ready.workload(deployment()) == ""


@pytest.mark.parametrize(("change", "why"), [
    ({"generation": 3}, "its controller has not seen the change yet"),
    ({"updatedReplicas": 1}, "1 of 2 replicas updated"),
    ({"availableReplicas": 0}, "0 of 2 replicas available"),
    ({"replicas": 2, "updatedReplicas": 2}, ""),
])  # fmt: skip
def test_a_deployment_says_what_it_lacks(change, why):
    assert ready.workload(deployment(**change)) == why


def test_old_replicas_are_waited_for():
    obj = deployment()
    obj["status"]["replicas"] = 3
    assert ready.workload(obj) == "1 old replicas still there"


def test_a_deployment_without_status_is_not_ready():
    assert ready.workload({"metadata": {"generation": 1}, "spec": {}}) != ""


def policy(status="True", observed=1, field="ancestors"):
    condition = {
        "type": "Accepted",
        "status": status,
        "reason": "Invalid",
        "message": "Wasm: wasm cache is not initialized.",
    }
    return {
        "metadata": {"generation": 1},
        "status": {field: [{"conditions": [{**condition, "observedGeneration": observed}]}]},
    }


def test_a_policy_is_read_by_its_ancestors_and_a_route_by_its_parents():
    assert ready.ancestors(policy(), ["Accepted"]) == ""
    assert ready.parents(policy(field="parents"), ["Accepted"]) == ""


def test_a_rejected_policy_gives_reason_and_message():
    assert (
        ready.ancestors(policy("False"), ["Accepted"])
        == "Accepted=False Invalid: Wasm: wasm cache is not initialized."
    )


def test_a_status_of_an_older_generation_does_not_count():
    obj = policy()
    obj["metadata"]["generation"] = 2
    assert ready.ancestors(obj, ["Accepted"]) == "Accepted is reported for an older generation"


def test_a_condition_that_nobody_reported_does_not_count():
    assert ready.ancestors(policy(), ["Programmed"]) == "Programmed is not reported"


def test_a_policy_that_no_controller_has_looked_at_is_not_ready():
    assert "no controller" in ready.ancestors({"metadata": {"generation": 1}}, ["Accepted"])


@pytest.mark.parametrize(("status", "ready_"), [("True", True), ("False", False)])
def test_an_object_without_a_generation_is_judged_by_its_conditions(status, ready_):
    conditions = [{"type": "Available", "status": status, "reason": "FailedDiscoveryCheck"}]
    obj = {
        "metadata": {"name": "v1beta1.external.metrics.k8s.io"},
        "status": {"conditions": conditions},
    }
    assert (ready.conditions(obj, ["Available"]) == "") is ready_


def test_a_status_may_be_null():
    assert (
        ready.conditions(
            {"metadata": {"generation": 1}, "status": {"conditions": None}}, ["Established"]
        )
        != ""
    )
    assert ready.workload({"metadata": {"generation": 1}, "spec": {}, "status": None}) != ""


def test_one_bad_ancestor_of_two_is_enough():
    obj = policy()
    obj["status"]["ancestors"] += policy("False")["status"]["ancestors"]
    assert "Accepted=False" in ready.ancestors(obj, ["Accepted"])


def test_a_component_without_objects_says_so():
    resource = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "x"}
    component = Component.model_validate({"name": "x", "gate": "workload", "resource": resource})
    assert ready.missing(component, []) == "Deployment n/x does not exist"


def test_a_lease_counts_as_long_as_its_holder_renews_it():
    def lease(seconds_ago, holder="pod-1_id"):
        renewed = (
            (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
        )
        return {
            "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
        }

    assert ready.lease(lease(1)) == ""
    assert ready.lease(lease(60)).startswith("pod-1 leads, and has not said so for ")
    assert ready.lease(lease(1, "")) == ready.lease({"spec": {}}) == "nobody leads"


def test_endpoints_need_an_address_that_is_ready():
    def found(*conditions):
        return {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": c} for c in conditions]}

    assert ready.endpoints(found({"ready": False}, {"ready": True})) == ""
    assert ready.endpoints(found({})) == "", "unknown counts as ready, as Kubernetes says"
    assert (
        ready.endpoints(found({"ready": False}))
        == ready.endpoints({"endpoints": None})
        == "no address is ready"
    )


def test_a_webhook_needs_a_certificate_for_every_hook():
    hooks = {
        "webhooks": [
            {"name": "a", "clientConfig": {"service": {"name": "s"}, "caBundle": "x"}},
            {"name": "by address", "clientConfig": {"url": "https://example.com"}},
            {"name": "b", "clientConfig": {"service": {"name": "s"}}},
        ]
    }
    assert ready.webhook(hooks) == "no certificate is known for b"
    hooks["webhooks"].pop()
    assert ready.webhook(hooks) == ""
