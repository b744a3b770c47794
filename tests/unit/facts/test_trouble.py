from devenv.errors import NotReachableError
from devenv.facts.trouble import Trouble

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

    def select(self, _api, kind, namespace="", selector=""):
        assert namespace == "n"
        return self.pods if kind == "Pod" else self.events

    def logs(self, namespace, pod, container, since, tail):
        return f"first of {container}\nlast of {container}\n"


def pod(*statuses, conditions=(), init=()):
    status = {"containerStatuses": list(statuses), "initContainerStatuses": list(init), "conditions": list(conditions)}
    return {"metadata": {"name": "plugins-1", "namespace": "n"}, "status": status}


def event(name, kind, when, message):
    return {"type": kind, "reason": "Why", "message": message, "lastTimestamp": when, "involvedObject": {"name": name}}


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


def test_only_the_last_warnings_of_this_workload_are_shown():
    events = [event("plugins-1", "Warning", f"2026-01-0{n}", f"w{n}") for n in range(1, 8)]
    events += [event("another", "Warning", "2026-01-09", "no"), event("plugins-1", "Normal", "2026-01-09", "no")]
    lines = Trouble(Kube([], events)).lines({**WORKLOAD, "metadata": {"name": "plugins-1", "namespace": "n"}})
    assert lines == [f"event plugins-1: Why: w{n}" for n in (4, 5, 6, 7)]


def test_what_cannot_be_read_hides_nothing():
    class Down(Kube):
        def select(self, *_):
            raise NotReachableError("down")

    assert Trouble(Down([])).lines(WORKLOAD) == []
