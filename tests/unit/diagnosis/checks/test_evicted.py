"""DE315: evictions."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Verdict
from tests.unit.diagnosis.covers import covers, findings
from tests.unit.diagnosis.facts_builder import (
    MODELS,
    SERVER,
    TAKEN,
    before,
    condition,
    deployment,
    event,
    healthy_facts,
    healthy_objects,
    named,
    pod_named,
    pod_of,
)
from tests.unit.diagnosis.spelled import fixes

MESSAGE = "Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. "


def with_evicted(*ages):
    objects = healthy_objects()
    for number, age in enumerate(ages):
        pod = pod_of(named(objects, "Deployment", SERVER))
        pod["metadata"]["name"] += f"-{number}"
        ended = condition("DisruptionTarget", lastTransitionTime=before(age))
        status = {"phase": "Failed", "reason": "Evicted", "message": MESSAGE, "conditions": [ended]}
        pod["status"] = status
        objects["Pod"].append(pod)
    return objects


def unready(objects):
    named(objects, "Deployment", SERVER)["status"].update(availableReplicas=0)
    objects["Pod"].remove(pod_named(objects, SERVER))
    return objects


@covers("DE315")
@pytest.mark.parametrize("ages", [(60,), (60, 70), (1000, 2000, 3000, 4000)])
def test_an_eviction_beside_a_healthy_replacement_is_harmless(code, ages):
    (finding,) = findings(healthy_facts(with_evicted(*ages)))
    assert (finding.code, finding.verdict) == (code, Verdict.HARMLESS)
    assert diagnose(healthy_facts(with_evicted(*ages))).healthy


@covers("DE315")
def test_pods_that_are_evicted_again_and_again_are_a_fault_with_its_reason(code):
    (cause,) = diagnose(healthy_facts(with_evicted(60, 120, 180))).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, "model")
    assert cause.since == TAKEN - 180
    assert MESSAGE.strip().rstrip(".") in cause.root.says


def test_two_evictions_are_enough_if_nothing_runs_instead():
    (cause,) = diagnose(healthy_facts(unready(with_evicted(60, 120)))).causes
    assert cause.root.code == "DE315"


@pytest.mark.parametrize(
    ("message", "raised"),
    [
        (MESSAGE, "100Mi"),
        ('Container c exceeded its local ephemeral storage limit "5Gi". ', "50Gi"),
        ('Container c exceeded its local ephemeral storage limit "500k". ', "5000k"),
        ("The node was low on resource: memory. ", ""),
    ],
)
def test_a_limit_that_was_exceeded_is_raised(message, raised):
    objects = with_evicted(60, 120, 180)
    for pod in objects["Pod"]:
        pod["status"]["message"] = message
    (finding,) = findings(healthy_facts(objects))
    limits = [fix for fix in fixes(finding) if "--limits=ephemeral-storage=" in fix]
    assert [fix.rpartition("=")[2] for fix in limits] == [raised] * bool(raised)


def test_an_event_tells_of_a_pod_that_is_gone():
    objects = healthy_objects()
    labels = {"app": "set"}
    workload = deployment("set", labels)
    workload["metadata"]["namespace"] = MODELS
    objects["StatefulSet"].append(workload)
    objects["Pod"].append(pod_of(workload))
    for number in range(3):
        evicted = event("Pod", MODELS, f"set-{number}", "Evicted", MESSAGE)
        objects["Event"].append(evicted)
    assert "DE315" in [finding.code for finding in findings(healthy_facts(objects))]


def revised(objects, newest):
    """Note two revisions of the model's Deployment, with the hashes 0 and 1."""
    number = "deployment.kubernetes.io/revision"
    workload = named(objects, "Deployment", SERVER)
    workload["metadata"]["annotations"] = {number: newest}
    for revision in ("0", "1"):
        meta = {
            "name": f"{SERVER}-{revision}",
            "namespace": MODELS,
            "labels": {"pod-template-hash": revision},
            "annotations": {number: revision},
            "ownerReferences": [{"kind": "Deployment", "name": SERVER, "controller": True}],
        }
        objects["ReplicaSet"].append({"metadata": meta, "spec": {}})
    return objects


@pytest.mark.parametrize(("newest", "expected"), [("1", []), ("0", ["DE315"])])
def test_only_evictions_of_the_newest_revision_count(newest, expected):
    """The printed fix raises the limit, and so makes a new revision."""
    objects = revised(with_evicted(60, 120, 180), newest)
    for pod in objects["Pod"]:
        if pod["status"].get("reason") == "Evicted":
            pod["metadata"]["labels"]["pod-template-hash"] = "0"
            pod["metadata"]["ownerReferences"][0]["name"] = f"{SERVER}-0"
    for number in range(3):
        evicted = event("Pod", MODELS, f"{SERVER}-0-gone{number}", "Evicted", MESSAGE)
        objects["Event"].append(evicted)
    assert [f.code for f in findings(healthy_facts(objects)) if f.code == "DE315"] == expected
