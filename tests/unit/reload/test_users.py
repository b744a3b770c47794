"""Workloads that are rolled out, and pods that can't come up."""

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.profiles.load import load
from devenv.reload.users import NoCapacityError, Workload, Workloads
from tests.unit.facts.test_revisions import pod, replica_set
from tests.unit.gates.test_outlook import node, unschedulable, waiting, with_containers

ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


class Kube:
    """A Deployment whose rollout never ends by itself. `log` has what was merged into it."""

    def __init__(self, pods, strategy=ROLLING):
        self.log = []
        meta = {"name": "d", "namespace": "n", "uid": "u", "generation": 2}
        meta["annotations"] = {"deployment.kubernetes.io/revision": "2"}
        template = {"spec": {"containers": [{"name": "c", "image": "a:1"}]}}
        status = {
            "observedGeneration": 2,
            "replicas": 2,
            "updatedReplicas": 1,
            "availableReplicas": 0,
        }
        spec = {"replicas": 1, "strategy": strategy, "template": template}
        self.workload = {"metadata": meta, "spec": spec, "status": status}
        self.objects = {
            "Pod": pods,
            "Node": [node()],
            "ReplicaSet": [replica_set("old", "1"), replica_set("new", "2")],
        }

    def get(self, api_version, kind, namespace, name):
        return self.workload

    def select(self, api_version, kind, namespace="", selector=""):
        return self.objects.get(kind, [])

    def logs(self, *_):
        return ""

    def merge(self, manifest):
        self.log.append(manifest["spec"]["strategy"]["rollingUpdate"])


def old_pod():
    made = pod("old", "old", uid="p0")
    made["spec"] = {"nodeName": "n1"}
    return made


@pytest.fixture
def rolled(fakes):
    def roll(kube):
        workloads = Workloads(kube, fakes.clock, load("offline", data.root() / "profiles"))
        return workloads, Workload("Deployment", kube.workload, None)

    return roll


NO_ROOM = "0/1 nodes are available: 1 Insufficient cpu."


def test_a_new_pod_that_finds_no_room_beside_the_old_one_is_told_as_that(rolled, fakes):
    workloads, workload = rolled(Kube([old_pod(), unschedulable(NO_ROOM)]))
    with pytest.raises(NoCapacityError) as error:
        workloads.await_rollout(workload, fakes.clock.now())
    assert NO_ROOM in error.value.why


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"type": "Recreate"}, NO_ROOM),
        (ROLLING, "0/1 nodes are available: 1 node(s) were unschedulable."),
    ],
)
def test_where_ending_the_old_pod_first_would_not_help_that_is_not_offered(
    rolled, fakes, strategy, message
):
    workloads, workload = rolled(Kube([old_pod(), unschedulable(message)], strategy))
    with pytest.raises(DevenvError) as error:
        workloads.await_rollout(workload, fakes.clock.now())
    assert not isinstance(error.value, NoCapacityError)


def test_pods_of_the_image_before_may_crash_as_they_like(rolled, fakes):
    crashing = with_containers(waiting("RunContainerError", "the old one"), pod_hash="old")
    starting = with_containers(waiting("ContainerCreating"))
    kube = Kube([crashing, starting])
    workloads, workload = rolled(kube)
    looks = []

    def become_ready(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            kube.workload["status"] |= {"replicas": 1, "availableReplicas": 1}

    fakes.clock.sleep = become_ready
    workloads.await_rollout(workload, fakes.clock.now())
    assert len(looks) == 3


def test_a_pod_of_the_new_image_that_can_t_start_ends_the_wait(rolled, fakes, expect_error):
    workloads, workload = rolled(
        Kube([old_pod(), with_containers(waiting("RunContainerError", "exec: /x: no such file"))])
    )
    began = fakes.clock.now()
    with expect_error(Exit.FAILED):
        workloads.await_rollout(workload, began)
    assert fakes.clock.now() == began, "at once"


def test_the_strategy_is_what_it_was_once_old_pods_were_replaced_first(rolled):
    kube = Kube([])
    workloads, workload = rolled(kube)
    with workloads.replacing_first(workload):
        assert kube.log == [{"maxUnavailable": "100%", "maxSurge": 0}]
    assert kube.log[-1] == {"maxUnavailable": 0, "maxSurge": 1}


def test_pods_that_failed_are_none_that_run_an_image(rolled):
    evicted = pod("evicted", "new", "Failed")
    workloads, workload = rolled(Kube([evicted, old_pod()]))
    assert [p["metadata"]["name"] for p in workloads.pods(workload)] == ["old"]
