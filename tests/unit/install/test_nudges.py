"""What a start of many pods at once breaks is tried again at once, and only that."""

import pytest

from devenv.base.errors import NotFoundError
from devenv.install.nudges import SANDBOX_RETRIED, replace_unstarted, retry_sandboxes

UNFROZEN = {
    "reason": "StartError",
    "exitCode": 128,
    "message": "runc create failed: unable to freeze",
}


class Kube:
    def __init__(self, events=(), *, gone=False):
        self.events, self.gone = list(events), gone
        self.merged, self.deleted = [], []

    def select(self, api_version, kind, namespace="", selector=""):
        assert kind == "Event"
        return self.events

    def merge(self, manifest):
        if self.gone:
            raise NotFoundError("no such pod")
        self.merged.append((manifest["metadata"]["name"], manifest["metadata"]["annotations"]))

    def delete(self, api_version, kind, namespace, name, *, grace=None):
        self.deleted.append(name)


def pod(name="p", *, ready="False", annotations=None, owner="ReplicaSet", statuses=()):
    owners = [{"kind": owner, "controller": True}] if owner else []
    meta = {
        "name": name,
        "namespace": "n",
        "uid": f"uid-{name}",
        "annotations": annotations or {},
        "ownerReferences": owners,
    }
    status = {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": list(statuses),
    }
    return {"metadata": meta, "status": status}


def event(reason="FailedCreatePodSandBox", of="p", time="2026-01-01T00:00:01Z"):
    return {"reason": reason, "involvedObject": {"uid": f"uid-{of}"}, "lastTimestamp": time}


def container(state="waiting", ended=UNFROZEN):
    return {"name": "c", "state": {state: {}}, "lastState": {"terminated": ended}}


def test_a_pod_without_a_sandbox_is_looked_at_once_for_each_failure():
    kube = Kube([event(), event(time="2026-01-01T00:00:09Z")])
    retry_sandboxes(kube, [pod()])
    assert kube.merged == [("p", {SANDBOX_RETRIED: "2026-01-01T00:00:09Z"})]
    retry_sandboxes(kube, [pod(annotations=kube.merged[0][1])])
    assert len(kube.merged) == 1
    kube.events.append(event(time="2026-01-01T00:00:20Z"))
    retry_sandboxes(kube, [pod(annotations=kube.merged[0][1])])
    assert len(kube.merged) == 2


@pytest.mark.parametrize(
    ("events", "own_pod"),
    [
        ([event(of="another")], pod()),
        ([event(reason="BackOff")], pod()),
        ([event(time=None)], pod()),
        ([event()], pod(ready="True")),
        ([], pod()),
    ],
)
def test_no_other_pod_is_touched(events, own_pod):
    kube = Kube(events)
    retry_sandboxes(kube, [own_pod])
    assert kube.merged == []


def test_a_pod_that_is_gone_meanwhile_is_no_error():
    retry_sandboxes(Kube([event()], gone=True), [pod()])


@pytest.mark.parametrize("owner", ["ReplicaSet", "DaemonSet"])
def test_a_container_that_could_not_be_frozen_costs_its_pod(owner):
    kube = Kube()
    replace_unstarted(
        kube, [pod(owner=owner, statuses=[container()]), pod("healthy", ready="True")]
    )
    assert kube.deleted == ["p"]


@pytest.mark.parametrize(
    "own_pod",
    [
        pod(owner="", statuses=[container()]),
        pod(owner="StatefulSet", statuses=[container()]),
        pod(statuses=[container("running")]),
        pod(statuses=[container(ended={"reason": "Error", "message": "unable to freeze"})]),
        pod(statuses=[container(ended={"reason": "StartError", "message": "exec: no such file"})]),
        pod(statuses=[{"name": "c", "state": {"waiting": {}}}]),
    ],
)
def test_pods_that_nobody_makes_anew_or_that_fail_by_themselves_stay(own_pod):
    kube = Kube()
    replace_unstarted(kube, [own_pod])
    assert kube.deleted == []
