from datetime import datetime

from devenv.base.errors import NotReachableError
from devenv.facts.trouble import Trouble

WORKLOAD = {
    "metadata": {"name": "plugins", "namespace": "n"},
    "spec": {"selector": {"matchLabels": {"app": "plugins"}}},
}
WAITING = {
    "name": "main",
    "ready": False,
    "restartCount": 3,
    "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
}
DONE = {"name": "init", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
FINE = {"name": "side", "ready": True, "restartCount": 0, "state": {"running": {}}}


class Kube:
    def __init__(self, pods, events=(), replica_sets=(), previous="earlier: fine\n"):
        self.objects = {"Pod": list(pods), "Event": list(events), "ReplicaSet": list(replica_sets)}
        self.previous = previous

    def select(self, _api, kind, namespace="", selector=""):
        assert namespace == "n"
        return self.objects[kind]

    def logs(self, namespace, pod, container, since, tail, *, previous=False):
        return self.previous if previous else f"first of {container}\nlast of {container}\n"


def pod(*statuses, conditions=(), init=()):
    status = {
        "containerStatuses": list(statuses),
        "initContainerStatuses": list(init),
        "conditions": list(conditions),
    }
    return {"metadata": {"name": "plugins-1", "namespace": "n"}, "status": status}


def event(name, kind, when, message):
    return {
        "type": kind,
        "reason": "Why",
        "message": message,
        "lastTimestamp": when,
        "involvedObject": {"name": name},
    }


def test_a_pod_says_why_it_waits_and_its_log_how_it_ended():
    lines = Trouble(Kube([pod(WAITING, FINE, init=[DONE])])).lines(WORKLOAD)
    assert lines == [
        "pod plugins-1, container main: ErrImagePull: not found, 3 restarts",
        "log plugins-1/main: last of main",
    ]


def test_a_pod_that_no_node_takes_says_so():
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "Insufficient cpu",
    }
    lines = Trouble(Kube([pod(conditions=[unscheduled])])).lines(WORKLOAD)
    assert lines == ["pod plugins-1: Unschedulable: Insufficient cpu"]


def test_only_the_last_warnings_of_this_workload_are_shown():
    events = [
        event("plugins-1", "Warning", f"2026-01-0{n}T00:00:00Z", f"w{n}") for n in range(1, 8)
    ]
    events += [
        event("another", "Warning", "2026-01-09T00:00:00Z", "no"),
        event("plugins-1", "Normal", "2026-01-09T00:00:00Z", "no"),
    ]
    lines = Trouble(Kube([], events)).lines(
        {**WORKLOAD, "metadata": {"name": "plugins-1", "namespace": "n"}}
    )
    assert lines == [f"event plugins-1: Why: w{n}" for n in (4, 5, 6, 7)]


def test_warnings_from_before_the_rollout_are_not_shown():
    events = [
        event("plugins-1", "Warning", f"2026-01-0{n}T00:00:00Z", f"w{n}") for n in range(1, 8)
    ]
    began = datetime.fromisoformat("2026-01-06T00:00:00Z").timestamp() + 0.5
    assert Trouble(Kube([pod()], events)).lines(WORKLOAD, began) == [
        f"event plugins-1: Why: w{n}" for n in (6, 7)
    ]


def test_what_cannot_be_read_hides_nothing():
    class Down(Kube):
        def select(self, *_):
            raise NotReachableError("down")

    assert Trouble(Down([])).lines(WORKLOAD) == []


def test_of_a_container_that_runs_again_the_line_tells_why_it_ended_before():
    again = {**WAITING, "state": {"running": {}}}
    kube = Kube(
        [pod(again)],
        previous="panic: no\n\ngoroutine 1 [running]:\nmain.main()\n\t/src/main.go:1\n",
    )
    assert Trouble(kube).lines(WORKLOAD) == ["log plugins-1/main: panic: no"]


def of_revision(name, pod_hash, number, created):
    made = pod(WAITING)
    made["metadata"].update(
        name=name,
        labels={"pod-template-hash": pod_hash},
        creationTimestamp=created,
        ownerReferences=[{"kind": "ReplicaSet", "name": f"plugins-{pod_hash}"}],
    )
    meta = {
        "name": f"plugins-{pod_hash}",
        "labels": {"pod-template-hash": pod_hash},
        "annotations": {"deployment.kubernetes.io/revision": number},
        "ownerReferences": [{"kind": "Deployment", "name": "plugins"}],
    }
    return made, {"metadata": meta}


def test_older_revisions_and_what_happened_before_say_nothing():
    old, old_set = of_revision("old", "a", "1", "2026-01-01T00:00:00Z")
    new, new_set = of_revision("new", "b", "2", "2026-01-02T00:00:00Z")
    events = [
        event("old", "Warning", "2026-01-02T00:00:05Z", "crashes"),
        event("plugins", "Warning", "2026-01-01T00:00:05Z", "before"),
        event("plugins", "Warning", "2026-01-02T00:00:05Z", "since"),
        event("new", "Warning", "2026-01-02T00:00:06Z", "crashes too"),
    ]
    meta = {**WORKLOAD["metadata"], "annotations": {"deployment.kubernetes.io/revision": "2"}}
    lines = Trouble(Kube([old, new], events, [old_set, new_set])).lines(
        {**WORKLOAD, "metadata": meta}
    )
    assert lines == [
        "pod new, container main: ErrImagePull: not found, 3 restarts",
        "event plugins: Why: since",
        "event new: Why: crashes too",
        "log new/main: last of main",
    ]
