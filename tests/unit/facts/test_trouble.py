from datetime import datetime

from devenv.errors import NotReachableError
from devenv.facts.trouble import Trouble
from tests.unit.facts.test_revisions import deployment, replica_set
from tests.unit.facts.test_revisions import pod as revision_pod

WORKLOAD = {"metadata": {"name": "plugins", "namespace": "n"}, "spec": {"selector": {"matchLabels": {"app": "plugins"}}}}
WAITING = {
    "name": "main",
    "ready": False,
    "restartCount": 3,
    "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
}
DONE = {"name": "init", "ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}
FINE = {"name": "side", "ready": True, "restartCount": 0, "state": {"running": {}}}


class Kube:
    def __init__(self, pods, events=()):
        self.pods, self.events = pods, list(events)

    def get(self, _api, kind, namespace, name):
        return None

    def select(self, _api, kind, namespace="", selector=""):
        assert namespace == "n"
        return {"Pod": self.pods, "Event": self.events}.get(kind, [])

    def logs(self, namespace, pod, container, since, tail):
        return f"first of {container}\nlast of {container}\n"


def pod(*statuses, conditions=(), init=()):
    status = {"containerStatuses": list(statuses), "initContainerStatuses": list(init), "conditions": list(conditions)}
    owner = {"kind": "ReplicaSet", "name": "plugins-1"}
    labels = {"pod-template-hash": "1"}
    meta = {"name": "plugins-1", "namespace": "n", "uid": "p1", "labels": labels, "ownerReferences": [owner]}
    return {"metadata": meta, "status": status}


def event(uid, kind, when, message):
    about = {"name": "plugins-1", "uid": uid}
    return {"type": kind, "reason": "Why", "message": message, "lastTimestamp": when, "involvedObject": about}


def test_a_pod_says_why_it_waits_and_its_log_how_it_ended():
    lines = Trouble(Kube([pod(WAITING, FINE, init=[DONE])])).lines(WORKLOAD)
    assert lines == [
        "pod plugins-1, container main: ErrImagePull: not found, 3 restarts",
        "log plugins-1/main: first of main",
        "log plugins-1/main: last of main",
    ]


def test_a_pod_that_no_node_takes_says_so():
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    lines = Trouble(Kube([pod(conditions=[unscheduled])])).lines(WORKLOAD)
    assert lines == ["pod plugins-1: Unschedulable: Insufficient cpu"]


def test_only_the_last_warnings_of_this_workloads_pods_are_shown():
    events = [event("p1", "Warning", f"2026-01-0{n}T00:00:00Z", f"w{n}") for n in range(1, 8)]
    events += [event("another", "Warning", "2026-01-09T00:00:00Z", "no"), event("p1", "Normal", "2026-01-09T00:00:00Z", "no")]
    assert Trouble(Kube([pod()], events)).lines(WORKLOAD) == [f"event plugins-1: Why: w{n}" for n in (4, 5, 6, 7)]


def test_warnings_from_before_the_rollout_are_not_shown():
    events = [event("p1", "Warning", f"2026-01-0{n}T00:00:00Z", f"w{n}") for n in range(1, 8)]
    began = datetime.fromisoformat("2026-01-06T00:00:00Z").timestamp() + 0.5
    assert Trouble(Kube([pod()], events)).lines(WORKLOAD, since=began) == [f"event plugins-1: Why: w{n}" for n in (6, 7)]


def test_pods_of_an_older_revision_say_nothing():
    replica_sets = [replica_set("old", "1"), replica_set("new", "2")]
    crashing, starting = revision_pod("crashing", "old"), revision_pod("starting", "new")
    crashing["status"] |= {"containerStatuses": [WAITING]}
    starting["status"] |= {"containerStatuses": [{**WAITING, "name": "new"}]}

    class Rolled(Kube):
        def get(self, *_):
            return deployment()

        def select(self, _api, kind, namespace="", selector=""):
            return replica_sets if kind == "ReplicaSet" else super().select(_api, kind, namespace, selector)

    lines = Trouble(Rolled([crashing, starting])).lines(deployment())
    assert lines
    assert not [line for line in lines if "crashing" in line]


def test_what_cannot_be_read_hides_nothing():
    class Down(Kube):
        def select(self, *_):
            raise NotReachableError("down")

    assert Trouble(Down([])).lines(WORKLOAD) == []
