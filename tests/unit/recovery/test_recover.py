"""Orderings and failures of `recover`, on fakes and recorded facts."""

import dataclasses
import json
from pathlib import Path

import pytest

from devenv.errors import DevenvError
from devenv.facts.model import parse
from devenv.gates.live import Prober
from devenv.lifecycle.record import Record
from devenv.ports import Completed, Node, Space
from devenv.recovery.recover import Recover
from devenv.recovery.room import Room
from tests.fakes.restarting import FakeEnvoy, RestartingKube
from tests.fakes.world import GIB, PORTS
from tests.unit.lifecycle.test_up import up as up_fixture

INCIDENTS = Path(__file__).parents[2] / "incidents"
NODE = "c-control-plane"
up = up_fixture


def facts_of(name):
    return parse((INCIDENTS / name / "facts.json").read_text().replace("devenv-test-incident", "c").replace("devenv-test", "c"))


class FullNode:
    """A node whose disk is full until so many images were deleted."""

    def __init__(self, fakes, images=3, needed=2, size=1 << 28) -> None:
        self.fakes, self.images, self.needed, self.size, self.deleted = fakes, images, needed, size, []
        self.before = fakes.engine.exec
        fakes.engine.exec = self.exec

    def exec(self, container, argv, stdin=None):
        words = list(argv)
        if words[:2] == ["crictl", "images"]:
            listed = [{"id": f"id{n}", "repoTags": [f"old:{n}"], "size": str((n + 1) * self.size)} for n in range(self.images)]
            listed += [{"id": "used", "repoTags": ["used:1"], "size": "1"}, {"id": "pin", "repoTags": ["x:1"], "pinned": True}]
            listed += [{"id": "ours", "repoTags": ["docker.io/library/redis:latest"], "size": "1"}]
            listed += [{"id": "k8s", "repoTags": ["registry.k8s.io/etcd:1"], "size": "1"}]
            return Completed(0, json.dumps({"images": listed}))
        if words[:2] == ["crictl", "ps"]:
            return Completed(0, json.dumps({"containers": [{"imageRef": "used"}]}))
        if words[:2] == ["crictl", "rmi"]:
            self.deleted.append(words[2])
            self.fakes.log.append(f"rmi {words[2]}")
            return Completed(0, "")
        if words[0] == "df":
            free = GIB if len(self.deleted) >= self.needed else 0
            return Completed(0, f"{free} {10 * GIB} 100000 1000000")
        if "du" in words:
            return Completed(0, f"{5 * GIB}\t/var/fill\n1024\t/var/log\n")
        return self.before(container, argv, stdin)


@pytest.fixture
def recover(up, fakes):
    made = up()
    kube = RestartingKube(fakes.log)
    context = dataclasses.replace(made.context, kube=kube)
    fakes.engine.containers[NODE] = Node(NODE, "id-1", "running", "c", 1001, PORTS)
    context.records.write(Record("c", "offline", "engine-1", "", 1000.0, made=True, nodes=("id-1",)))
    agreed = []

    def make(*names):
        queue = [facts_of(n) for n in names]

        def give(_):
            return queue.pop(0) if len(queue) > 1 else queue[0]

        prober = Prober(kube, fakes.gateway, context.clock, context.profile)
        one = Recover(dataclasses.replace(made, context=context, prober=prober), FakeEnvoy(), prober, give, agreed.append)
        one.agreed, one.kube = agreed, kube
        return one

    fakes.gateway.kube = kube
    return make


def did(fakes):
    return [line for line in fakes.log if line.split()[0] in {"rmi", "delete", "apply", "replace", "start"}]


def test_disk_first_then_the_controller_then_the_proxy(recover, fakes):
    FullNode(fakes)
    told = recover("the-incident", "healthy").run(5)
    assert did(fakes) == [
        "rmi id2",
        "rmi id1",
        "delete Pod/envoy-gateway-1",
        "delete Lease/5b9825d2.gateway.envoyproxy.io",
        "delete Pod/proxy-1",
    ]
    assert [s.target for s in told.done] == [NODE, "envoy-gateway", "proxy"]
    assert all(p.ok for p in told.proofs)


def test_what_is_deleted_was_shown_before(recover, fakes):
    node, one = FullNode(fakes), recover("the-incident", "healthy")
    one.run(5)
    (proposal,) = one.agreed
    assert set(node.deleted) <= {u.id for u in proposal.unused}
    assert {u.id for u in proposal.unused} == {"id0", "id1", "id2"}, "neither used, pinned, Kubernetes' nor the profile's"


def test_an_image_that_is_used_by_now_is_left(fakes):
    node = FullNode(fakes)
    (unused,) = [u for u in Room(fakes.engine, facts_of("healthy").profile).unused(NODE, set()) if u.id == "id0"]
    node.before, fakes.engine.exec = (
        node.exec,
        lambda c, a, stdin=None: (
            Completed(0, '{"containers": [{"imageRef": "id0"}]}') if a[1] == "ps" else node.exec(c, a, stdin)
        ),
    )
    assert not Room(fakes.engine, facts_of("healthy").profile).delete(unused)
    assert node.deleted == []


def test_where_unused_images_are_not_enough_it_stops_and_says_what_takes_the_disk(recover, fakes):
    FullNode(fakes, needed=99)
    with pytest.raises(DevenvError, match="unused images are not enough") as stopped:
        recover("the-incident").run(5)
    assert "5.0 GiB  /var/fill" in stopped.value.why
    assert not [line for line in fakes.log if "Pod/" in line], "nothing is restarted on a full disk"


def test_nothing_is_deleted_where_it_could_not_be_enough(recover, fakes):
    node = FullNode(fakes, size=1 << 20)
    with pytest.raises(DevenvError, match="unused images are not enough"):
        recover("the-incident").run(5)
    assert node.deleted == []


def test_devenvs_own_files_go_first_where_they_lie_on_the_full_disk(recover, fakes):
    node, one = FullNode(fakes), recover("the-incident", "healthy")
    cache = fakes.host.cache_dir()
    for name in ("go-build", "built"):
        (cache / name).mkdir(exist_ok=True)
        (cache / name / "file").write_text("x")
    total = facts_of("the-incident").nodes[0].disk.total
    fakes.host.space = lambda path: Space(0, total, 10**6, 10**7)
    one.run(5)
    (proposal,) = one.agreed
    assert [i.folder.name for i in proposal.files] == ["go-build"], "what is built is no cache"
    assert not (cache / "go-build").exists()
    assert (cache / "built" / "file").exists()
    assert node.deleted


def test_devenvs_files_on_another_disk_stay(recover, fakes):
    FullNode(fakes)
    (fakes.host.cache_dir() / "go-build").mkdir()
    one = recover("the-incident", "healthy")
    one.run(5)
    assert one.agreed[0].files == ()
    assert (fakes.host.cache_dir() / "go-build").exists()


def test_an_image_that_a_workload_names_is_not_unused(fakes):
    """A Deployment that is scaled to zero has no container just now."""
    FullNode(fakes)
    room = Room(fakes.engine, facts_of("healthy").profile)
    assert {u.id for u in room.unused(NODE, {"old:1"})} == {"id0", "id2"}
    assert room.unused(NODE, None) == [], "where the API server can't say, nothing is unused"


def test_no_is_no(recover, fakes):
    one = recover("latched")

    def refuse(_):
        raise DevenvError("Nothing was changed.")

    one.agree = refuse
    with pytest.raises(DevenvError, match="Nothing was changed"):
        one.run(5)
    assert did(fakes) == []


def test_a_gate_that_fails_ends_the_round_and_is_diagnosed_again(recover, fakes):
    one = recover("latched")
    one.kube.policy_after = 10**9
    with pytest.raises(DevenvError, match="can't repair all of it: DE401"):
        one.run(5)
    assert "delete Pod/proxy-1" not in fakes.log
    assert len(one.agreed) == 1, "a plan that has changed nothing is not tried again"


def test_what_only_the_user_can_mend_is_said_with_its_fix(recover):
    with pytest.raises(DevenvError, match="DE103") as told:
        recover("port-taken").run(5)
    assert "stop " in told.value.why


def test_a_healthy_cluster_is_only_proven(recover, fakes):
    told = recover("healthy").run(5)
    assert told.done == ()
    assert did(fakes) == []


def test_a_cluster_of_somebody_elses_is_refused(recover, fakes):
    fakes.engine.containers[NODE] = Node(NODE, "other", "running", "c", 5001, PORTS)
    with pytest.raises(DevenvError, match="devenv did not make the kind cluster c"):
        recover("latched").run(5)
    assert did(fakes) == []
