from datetime import UTC, datetime

from devenv.base.errors import DevenvError
from devenv.cluster.leases import release_dead

STARTED = 1_800_000_000.0


def lease(name, renewed=STARTED - 60, holder="pod_1", **spec):
    time = (
        datetime.fromtimestamp(renewed, UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z")
    )
    content = {"holderIdentity": holder, "acquireTime": time, "renewTime": time, **spec}
    return {"kind": "Lease", "metadata": {"name": name, "namespace": "n"}, "spec": content}


def test_only_leaders_that_ended_with_their_nodes_lose_their_leases(fakes):
    node = lease("node")
    del node["spec"]["acquireTime"]
    leases = [
        lease("dead"),
        lease("alive", STARTED + 1),
        lease("released", holder=""),
        lease("unreadable", renewTime="soon"),
        node,
    ]
    fakes.kube.objects = {("Lease", "n", o["metadata"]["name"]): o for o in leases}
    assert release_dead(fakes.kube, STARTED) == ["dead"]
    assert {name for _, _, name in fakes.kube.objects} == {
        "alive",
        "released",
        "unreadable",
        "node",
    }


def test_a_lease_that_cant_be_deleted_runs_out_by_itself(fakes, monkeypatch):
    def refuse(*_):
        raise DevenvError("refused")

    fakes.kube.objects = {("Lease", "n", "dead"): lease("dead")}
    monkeypatch.setattr(fakes.kube, "delete", refuse)
    assert release_dead(fakes.kube, STARTED) == []
