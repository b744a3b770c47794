"""Doctor judges a workload by its pods that are to run on, of its newest revision."""

import copy

import pytest

from devenv.diagnosis.diagnose import diagnose
from tests.unit.diagnosis.test_diagnose_incidents import read

PLUGINS = "aibrix-gateway-plugins"
REVISION = "deployment.kubernetes.io/revision"
CRASHED = {
    "name": "gateway-plugin",
    "ready": False,
    "restartCount": 5,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {
        "terminated": {"reason": "Error", "exitCode": 2, "finishedAt": "2126-01-01T00:00:00Z"}
    },
}


class Plugins:
    """The healthy cluster's gateway-plugins, whose revisions are known, and pods beside its own."""

    def __init__(self):
        self.facts = read("healthy")
        self.objects = copy.deepcopy(dict(self.facts.objects))
        (self.workload,) = [
            d for d in self.objects["Deployment"] if d["metadata"]["name"] == PLUGINS
        ]
        (self.pod,) = [p for p in self.objects["Pod"] if p["metadata"]["name"].startswith(PLUGINS)]
        self.workload["metadata"]["annotations"] = {REVISION: "2"}
        newest = self.pod["metadata"]["labels"]["pod-template-hash"]
        self.objects["ReplicaSet"] = (self._replica_set("old", "1"), self._replica_set(newest, "2"))
        self.objects["ControllerRevision"] = ()

    def _replica_set(self, pod_hash, number):
        meta = self.workload["metadata"]
        owner = {"kind": "Deployment", "name": PLUGINS, "uid": meta["uid"]}
        own = {
            "name": f"{PLUGINS}-{pod_hash}",
            "namespace": meta["namespace"],
            "annotations": {REVISION: number},
        }
        return {
            "metadata": {
                **own,
                "labels": {"pod-template-hash": pod_hash},
                "ownerReferences": [owner],
            }
        }

    def beside(self, pod_hash="", **status):
        """Add a pod of the same workload; of another revision with a hash."""
        pod = copy.deepcopy(self.pod)
        meta = pod["metadata"]
        meta["name"] += "-beside"
        if pod_hash:
            meta["labels"]["pod-template-hash"] = pod_hash
            meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{PLUGINS}-{pod_hash}"}]
        pod["status"] = {
            "phase": "Running",
            "conditions": [],
            "containerStatuses": [CRASHED],
            **status,
        }
        self.objects["Pod"] = (*self.objects["Pod"], pod)
        return self

    def lacks_a_pod(self):
        stuck = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
        self.workload["status"].update(
            {"availableReplicas": 0, "updatedReplicas": 1, "conditions": stuck}
        )
        self.objects["Pod"] = tuple(p for p in self.objects["Pod"] if p is not self.pod)
        return self

    def found(self):
        return diagnose(self.facts.model_copy(update={"objects": self.objects}))

    def roots(self):
        return [c.root.code for c in self.found().causes]


def test_a_crashing_pod_of_an_older_revision_is_no_fault_beside_a_healthy_newest_one():
    assert Plugins().beside("old").found().healthy


def test_a_crashing_pod_of_the_newest_revision_is_one():
    assert Plugins().beside().roots() == ["DE302"]


def test_without_the_revisions_all_pods_count():
    plugins = Plugins().beside("old")
    plugins.objects["ReplicaSet"] = ()
    assert plugins.roots() == ["DE302"]


def test_older_pods_count_while_the_newest_revision_has_none():
    plugins = Plugins().beside("old").lacks_a_pod()
    assert plugins.roots() == ["DE302"]


@pytest.mark.parametrize(
    "status",
    [
        {"phase": "Failed"},
        {"phase": "Failed", "reason": "Evicted", "containerStatuses": []},
        {"phase": "Succeeded"},
        {"containerStatuses": [{**CRASHED, "restartCount": 0, "lastState": {}, "state": {"terminated": {
            "reason": "ContainerStatusUnknown", "exitCode": 137, "finishedAt": "2126-01-01T00:00:00Z"}}}]},
    ],
    ids=["Failed", "Evicted", "Succeeded", "in an unknown container status"],
)  # fmt: skip
def test_pods_that_ended_are_no_fault_beside_healthy_replacements(status):
    assert Plugins().beside(**status).found().healthy


def test_where_every_pod_is_refused_the_last_one_says_why():
    plugins = (
        Plugins().beside(phase="Failed", reason="OutOfcpu", message="too little").lacks_a_pod()
    )
    (cause,) = plugins.found().causes
    assert cause.root.code == "DE304"
    assert any("OutOfcpu" in e.text for e in cause.root.evidence)


def test_a_pods_port_label_counts_in_the_newest_revision_only():
    plugins = Plugins()
    (model,) = [
        d for d in plugins.objects["Deployment"] if d["metadata"]["name"] == "mock-llama2-7b"
    ]
    pods = [p for p in plugins.objects["Pod"] if p["metadata"]["name"].startswith("mock-llama2-7b")]
    plugins.workload, (plugins.pod, other) = model, pods
    meta = model["metadata"]
    newest = plugins.pod["metadata"]["labels"]["pod-template-hash"]
    sets = [
        {"metadata": {"name": f"mock-llama2-7b-{h}", "labels": {"pod-template-hash": h}, "annotations": {REVISION: n},
                      "ownerReferences": [{"kind": "Deployment", "name": "mock-llama2-7b", "uid": meta["uid"]}]}}
        for h, n in (("old", "1"), (newest, "2"))
    ]  # fmt: skip
    meta["annotations"] = {REVISION: "2"}
    plugins.objects["ReplicaSet"] = tuple(sets)
    other["metadata"]["labels"].update({"pod-template-hash": "old", "model.aibrix.ai/port": "9999"})
    other["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "mock-llama2-7b-old"}]
    assert plugins.found().healthy
    other["metadata"]["labels"]["pod-template-hash"] = newest
    other["metadata"]["ownerReferences"] = [
        {"kind": "ReplicaSet", "name": f"mock-llama2-7b-{newest}"}
    ]
    assert plugins.roots() == ["DE506"]
