"""Orderings of the gate at the end: each stage is waited for, and what is missing is named."""

import pytest

from devenv import data
from devenv.base.errors import DevenvError, NotReachableError
from devenv.install.settled import RolledOut, Settled
from devenv.profiles.load import load
from tests.fakes.restarting import LEASE, FakeEnvoy, RestartingKube

PROFILE = load("offline", data.root() / "profiles")
CONTROLLER = RolledOut("Deployment", "envoy-gateway-system", "envoy-gateway")
PROXY = RolledOut("Deployment", "envoy-gateway-system", "proxy")
OLD = "10.244.0.4"
CLUSTERS = [
    {
        "name": "plugins",
        "host_statuses": [{"address": {"socket_address": {"address": OLD, "port_value": 1}}}],
    }
]


class EndingKube(RestartingKube):
    """`old_for`: looks at all pods until the controller's old pod is gone; the lease is its own until then, and after."""

    def __init__(self, log, old_for=0):
        super().__init__(log)
        self.old_for, self.lease_gone = old_for, False
        self.generation["envoy-gateway"] = 2

    def every_pod(self):
        self.old_for -= 1
        old = self._pod("envoy-gateway", {"control-plane": "envoy-gateway"})
        old["metadata"] |= {"name": "envoy-gateway-1", "uid": "1", "deletionTimestamp": "x"}
        return [*super().every_pod(), *([old] if self.old_for >= 0 else [])]

    def select(self, api_version, kind, namespace="", selector=""):
        if kind == "Node":
            return [{"metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.244.0.0/24"]}}]
        if kind == "Lease" and self.lease_gone:
            return []
        return super().select(api_version, kind, namespace, selector)

    def get(self, api_version, kind, namespace, name):
        return (
            None
            if kind == "Lease" and self.lease_gone
            else super().get(api_version, kind, namespace, name)
        )


def settled(fakes, kube, envoy=None):
    return Settled(kube, envoy or FakeEnvoy(), fakes.clock, PROFILE, fakes.reporter)


def missing(fakes, kube, envoy=None, rollouts=(CONTROLLER,)):
    with pytest.raises(DevenvError) as told:
        settled(fakes, kube, envoy).run(rollouts)
    return told.value.why


def deletions(fakes):
    return [line for line in fakes.log if line.startswith("delete")]


def test_the_old_pods_end_comes_first_and_then_its_lease_goes(fakes):
    kube = EndingKube(fakes.log, old_for=4)
    settled(fakes, kube).run([CONTROLLER])
    assert kube.old_for < 0
    assert deletions(fakes) == [f"delete Lease/{LEASE}"]
    assert kube.holder == "envoy-gateway-2_x"


def test_an_old_pod_that_does_not_end_is_named(fakes):
    assert "envoy-gateway-1" in missing(fakes, EndingKube(fakes.log, old_for=10**6))
    assert deletions(fakes) == [], "as long as its pod is there, a lease is its own"


def test_a_lease_that_was_seen_must_be_held_again(fakes):
    kube = EndingKube(fakes.log)

    def delete(*_, **__):
        kube.lease_gone = True

    kube.delete = delete
    assert LEASE in missing(fakes, kube)


def test_a_workload_without_a_lease_has_no_leader_to_wait_for(fakes):
    settled(fakes, EndingKube(fakes.log)).run([PROXY])
    assert deletions(fakes) == []


def test_a_workload_that_is_gone_is_named(fakes):
    assert "ns/nobody" in missing(
        fakes, EndingKube(fakes.log), rollouts=[RolledOut("Deployment", "ns", "nobody")]
    )


def test_envoy_must_let_go_of_old_addresses(fakes):
    envoy = FakeEnvoy()
    envoy.clusters = CLUSTERS
    assert OLD in missing(fakes, EndingKube(fakes.log), envoy, [PROXY])


def test_envoy_must_listen_to_its_controller(fakes):
    envoy = FakeEnvoy()
    envoy.connected = 0
    assert "proxy-1" in missing(fakes, EndingKube(fakes.log), envoy, [PROXY])


def test_an_envoy_that_does_not_answer_yet_is_asked_again(fakes):
    envoy, answers = FakeEnvoy(), []

    def read(*args):
        answers.append(args)
        if len(answers) < 3:
            raise NotReachableError("no answer")
        return FakeEnvoy.read(envoy, *args)

    envoy.read = read
    settled(fakes, EndingKube(fakes.log), envoy).run([PROXY])
    assert len(answers) == 3


def test_nothing_rolled_out_is_nothing_to_wait_for(fakes):
    settled(fakes, EndingKube(fakes.log, old_for=10**6)).run([])
    assert fakes.log == []


def test_a_lease_of_a_pod_that_is_there_is_left_to_it(fakes):
    kube = EndingKube(fakes.log)
    kube.holder = "proxy-1_x"
    assert LEASE in missing(fakes, kube)
    assert deletions(fakes) == []


def test_a_workload_that_is_scaled_to_zero_has_no_pods_to_wait_for(fakes):
    zero = {
        "metadata": {"name": "zero", "namespace": "ns"},
        "spec": {"replicas": 0, "template": {}},
        "status": {},
    }
    kube = EndingKube(fakes.log)
    kube.objects["Deployment", "ns", "zero"] = zero
    settled(fakes, kube).run([RolledOut.of("Deployment", zero)])
