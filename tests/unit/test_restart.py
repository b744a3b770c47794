import pytest

from devenv import data
from devenv.base.errors import Exit
from devenv.profiles.load import load
from devenv.restart import Restart
from tests.fakes.restarting import LEASE, FakeEnvoy, RestartingKube

PROFILE = load("offline", data.root() / "profiles")


@pytest.fixture
def kube(fakes):
    return RestartingKube(fakes.log)


@pytest.fixture
def restart(fakes, kube):
    return lambda envoy=None: Restart(
        PROFILE, kube, envoy or FakeEnvoy(), fakes.clock, fakes.reporter
    )


def run(restart, *names):
    made = restart()
    made.run(made.order(names))


def test_the_controller_comes_before_its_proxy_whatever_was_said(restart):
    assert [c.name for c in restart().order(["proxy", "envoy-gateway"])] == [
        "envoy-gateway",
        "proxy",
    ]


def test_all_workloads_in_the_profiles_order(restart):
    names = [c.name for c in restart().order([])]
    assert names.index("redis") < names.index("gateway-plugins")
    assert names.index("envoy-gateway") < names.index("proxy")
    assert "extension-policy" not in names


def test_what_is_no_workload_is_refused(restart, expect_error):
    with expect_error(Exit.USAGE):
        restart().order(["nobody", "extension-policy"])


def test_a_stale_lease_is_deleted_once_its_pod_is_gone(restart, fakes):
    run(restart, "envoy-gateway")
    deletions = [line for line in fakes.log if line.startswith("delete")]
    assert deletions == ["delete Pod/envoy-gateway-1", f"delete Lease/{LEASE}"]


def test_a_lease_that_the_new_pod_holds_is_left(restart, kube, fakes):
    kube.stale_lease = False
    run(restart, "envoy-gateway")
    assert [line for line in fakes.log if "Lease" in line] == []


def test_the_policies_are_a_gate(restart, kube, fakes, expect_error):
    kube.policy_after = 10**9
    with expect_error(Exit.FAILED):
        run(restart, "envoy-gateway", "proxy")
    assert "delete Pod/proxy-1" not in fakes.log, "what comes after a gate that fails is not done"


def test_a_policy_that_takes_its_time_is_waited_for(restart, kube):
    kube.policy_after = 5
    run(restart, "envoy-gateway")


def test_envoys_own_configuration_is_a_gate(restart, expect_error):
    made = restart(FakeEnvoy(lacks=10**9))
    with expect_error(Exit.FAILED):
        made.run(made.order(["proxy"]))


def test_a_filter_that_comes_later_is_waited_for(restart):
    made = restart(FakeEnvoy(lacks=3))
    made.run(made.order(["proxy"]))
