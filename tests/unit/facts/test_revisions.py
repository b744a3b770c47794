import pytest

from devenv.facts.revisions import newest_pods


def deployment(revision="2", generation=2, observed=2):
    meta = {"name": "d", "namespace": "n", "uid": "u", "generation": generation}
    meta["annotations"] = {"deployment.kubernetes.io/revision": revision}
    return {"metadata": meta, "status": {"observedGeneration": observed}}


def replica_set(pod_hash, revision, owner="u"):
    return {
        "metadata": {
            "name": f"d-{pod_hash}",
            "labels": {"pod-template-hash": pod_hash},
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "name": "d", "uid": owner}],
        }
    }


def pod(name, pod_hash, phase="Running", kind="ReplicaSet", label="pod-template-hash", **meta):
    owner = {"kind": kind, "name": f"d-{pod_hash}" if kind == "ReplicaSet" else "d"}
    return {
        "metadata": {
            "name": name, "namespace": "n", "labels": {label: pod_hash}, "ownerReferences": [owner], **meta,
        },
        "status": {"phase": phase},
    }  # fmt: skip


def names(pods):
    return [p["metadata"]["name"] for p in pods]


REPLICA_SETS = [replica_set("old", "1"), replica_set("new", "2")]
PODS = [pod("crashing", "old"), pod("good", "new")]


def test_only_pods_of_the_newest_replica_set_count():
    assert names(newest_pods("Deployment", deployment(), REPLICA_SETS, PODS)) == ["good"]


def test_a_replica_set_that_is_used_again_is_the_newest():
    again = [replica_set("old", "3"), replica_set("new", "2")]
    assert names(newest_pods("Deployment", deployment("3"), again, PODS)) == ["crashing"]


def test_another_deployments_replica_set_does_not_count():
    others = [replica_set("old", "2", owner="other"), replica_set("new", "2")]
    assert names(newest_pods("Deployment", deployment(), others, PODS)) == ["good"]


def test_none_count_before_the_controller_has_seen_the_change():
    assert newest_pods("Deployment", deployment(observed=1), REPLICA_SETS, PODS) == []


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_pods_that_ended_do_not_count(phase):
    assert (
        newest_pods("Deployment", deployment(), REPLICA_SETS, [pod("evicted", "new", phase)]) == []
    )


def test_pods_that_are_ending_do_not_count():
    ending = pod("ending", "new", deletionTimestamp="2026-01-01T00:00:00Z")
    assert newest_pods("Deployment", deployment(), REPLICA_SETS, [ending]) == []


def test_a_stateful_set_names_its_newest_revision():
    workload = deployment()
    workload["status"]["updateRevision"] = "d-new"
    pods = [
        pod("d-0", "d-old", kind="StatefulSet", label="controller-revision-hash"),
        pod("d-1", "d-new", kind="StatefulSet", label="controller-revision-hash"),
    ]
    assert names(newest_pods("StatefulSet", workload, [], pods)) == ["d-1"]


def test_a_daemon_sets_newest_revision_has_the_highest_number():
    owner = [{"kind": "DaemonSet", "name": "d", "uid": "u"}]
    revisions = [
        {
            "metadata": {"labels": {"controller-revision-hash": h}, "ownerReferences": owner},
            "revision": n,
        }
        for h, n in (("new", 10), ("old", 9))
    ]
    pods = [
        pod("a", "old", kind="DaemonSet", label="controller-revision-hash"),
        pod("b", "new", kind="DaemonSet", label="controller-revision-hash"),
    ]
    assert names(newest_pods("DaemonSet", deployment(), revisions, pods)) == ["b"]
