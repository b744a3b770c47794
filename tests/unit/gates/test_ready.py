import re
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


@pytest.mark.parametrize(
    "change",
    [{"generation": 3}, {"updatedReplicas": 1}, {"availableReplicas": 0}, {"replicas": 1}],
    ids=" ".join,
)
def test_a_deployment_says_what_it_lacks(change, check_message):
    check_message(ready.workload(deployment(**change)))


def test_a_deployment_that_lacks_nothing_is_ready():
    assert ready.workload(deployment(replicas=2, updatedReplicas=2)) == ""


def test_old_replicas_are_waited_for(check_message):
    obj = deployment()
    obj["status"]["replicas"] = 3
    check_message(ready.workload(obj))


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


def test_a_rejected_policy_gives_reason_and_message(check_message):
    check_message(ready.ancestors(policy("False"), ["Accepted"]))


def test_a_status_of_an_older_generation_does_not_count(check_message):
    obj = policy()
    obj["metadata"]["generation"] = 2
    check_message(ready.ancestors(obj, ["Accepted"]))


def test_a_condition_that_nobody_reported_does_not_count(check_message):
    check_message(ready.ancestors(policy(), ["Programmed"]))


def test_a_policy_that_no_controller_has_looked_at_is_not_ready(check_message):
    check_message(ready.ancestors({"metadata": {"generation": 1}}, ["Accepted"]))


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


def test_a_component_without_objects_says_so(check_message):
    resource = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "x"}
    component = Component.model_validate({"name": "x", "gate": "workload", "resource": resource})
    check_message(ready.missing(component, []))


def test_a_lease_counts_as_long_as_its_holder_renews_it():
    def lease(seconds_ago, holder="pod-1_id"):
        renewed = (
            (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
        )
        return {
            "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}
        }

    assert ready.lease(lease(1)) == ""
    expired = ready.lease(lease(60))
    assert "pod-1 " in expired, "the pod that holds it"
    assert re.search(r" 6\d s", expired), "for how long it was not renewed"
    unheld = ready.lease({"spec": {}})
    assert unheld
    assert ready.lease(lease(1, "")) == unheld


def test_endpoints_need_an_address_that_is_ready(check_message):
    def found(*conditions):
        return {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": c} for c in conditions]}

    assert ready.endpoints(found({"ready": False}, {"ready": True})) == ""
    assert ready.endpoints(found({})) == "", "unknown counts as ready, as Kubernetes says"
    assert ready.endpoints(found({"ready": False})) == ready.endpoints({"endpoints": None})
    check_message(ready.endpoints({"endpoints": None}))


def test_a_webhook_needs_a_certificate_for_every_hook(check_message):
    hooks = {
        "webhooks": [
            {"name": "a", "clientConfig": {"service": {"name": "s"}, "caBundle": "x"}},
            {"name": "by address", "clientConfig": {"url": "https://example.com"}},
            {"name": "b", "clientConfig": {"service": {"name": "s"}}},
        ]
    }
    check_message(ready.webhook(hooks))
    hooks["webhooks"].pop()
    assert ready.webhook(hooks) == ""


@pytest.mark.parametrize(
    ("condition", "status", "is_ready"),
    [
        ("Accepted", "False", False),
        ("ResolvedRefs", "False", False),
        ("Accepted", "Unknown", True),
        # It is good if this one is not true.
        ("Conflicted", "False", True),
    ],
)
def test_a_gateway_is_not_ready_if_a_listener_is_refused(condition, status, is_ready):
    listener = {"name": "http", "conditions": [{"type": condition, "status": status}]}
    gateway = {"metadata": {}, "status": {"conditions": [], "listeners": [listener]}}
    assert (ready.conditions(gateway, []) == "") is is_ready
