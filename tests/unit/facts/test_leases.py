import pytest

from devenv.facts.leases import expired, lease_of, newest_renewal


def lease(name, second, namespace="kube-system", length=15):
    minute, rest = divmod(second, 60)
    spec = {
        "renewTime": f"2026-01-01T12:{minute:02}:{rest:02}.500000Z",
        "leaseDurationSeconds": length,
    }
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"


@pytest.mark.parametrize(("age", "length", "is_expired"), [
    (25, 15, False), (26, 15, True), (26, 60, False), (71, 60, True), (26, None, True),
])  # fmt: skip
def test_a_lease_expires_some_seconds_after_its_length(age, length, is_expired):
    leases = [lease(SCHEDULER, 100 - age, length=length), lease("node", 100, "kube-node-lease")]
    assert [entry["metadata"]["name"] for entry in expired(leases)] == [SCHEDULER] * is_expired


def test_after_a_pause_of_everything_no_lease_is_older_than_another():
    assert expired([lease(MANAGER, 1), lease(SCHEDULER, 3)]) == []


def test_only_the_control_planes_own_leases_count():
    leases = [
        lease("gateway", 1, "envoy-gateway-system"),
        lease(SCHEDULER, 1, "mine"),
        lease("n", 90),
    ]
    assert expired(leases) == []


def test_a_lease_that_was_never_renewed_tells_nothing():
    empty = {"metadata": {"name": MANAGER, "namespace": "kube-system"}, "spec": {}}
    assert expired([empty, lease("n", 90)]) == []
    assert lease_of([empty], MANAGER) is empty
    assert newest_renewal([empty]) == 0
