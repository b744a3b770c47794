import pytest

from devenv.base.errors import DevenvError
from devenv.gates.leading import missing_leaders, require_leaders
from tests.unit.facts.test_leases import MANAGER, SCHEDULER, lease


def pods(*components):
    return [{"metadata": {"name": c, "labels": {"component": c}}} for c in components]


ALL = pods("kube-apiserver", MANAGER, SCHEDULER)


@pytest.mark.parametrize(("leases", "of", "missing"), [
    ([lease(MANAGER, 99), lease(SCHEDULER, 99)], ALL, []),
    ([lease(MANAGER, 1), lease(SCHEDULER, 99)], ALL, [MANAGER]),
    # The lease has not run out yet.
    ([lease(MANAGER, 99), lease(SCHEDULER, 99)], pods("kube-apiserver", MANAGER), [SCHEDULER]),
    # The control plane is no pod of the cluster, or its pods may not be read.
    ([lease(MANAGER, 99)], [], []),
    ([], [], []),
])  # fmt: skip
def test_leaders_that_do_not_lead(leases, of, missing):
    assert missing_leaders(leases, of) == missing


class Kube:
    def __init__(self, leases):
        self.leases = leases

    def select(self, _, kind, namespace="", selector=""):
        return self.leases if kind == "Lease" else ALL


def test_a_rollout_is_refused_without_a_leader():
    require_leaders(Kube([lease(SCHEDULER, 99)]), "c")
    with pytest.raises(DevenvError) as caught:
        require_leaders(Kube([lease(SCHEDULER, 1), lease("n", 99)]), "c")
    assert SCHEDULER in caught.value.what
