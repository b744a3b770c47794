"""Orderings and failures of `recover`, on fakes and recorded facts."""

import dataclasses
import itertools
import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from devenv.base.errors import DevenvError
from devenv.diagnosis.model import Advice, Cause, Command, Diagnosis, Finding, Subject
from devenv.disk.budget import Marks
from devenv.disk.plan import Thing, Worth
from devenv.disk.prune import Prune
from devenv.facts.certificates import CERTIFICATES
from devenv.facts.model import Declared, dump, parse
from devenv.gates.live import Prober
from devenv.gates.proving import REQUESTS
from devenv.install.settled import ROLLOUTS
from devenv.ports.containers import Node
from devenv.ports.processes import Completed
from devenv.recovery.plan import Kind, Plan, RepairStep
from devenv.recovery.progress import DIAGNOSIS
from devenv.recovery.proposal import Proposal
from devenv.recovery.recover import Recover, _not_repaired
from devenv.state.record import Record
from devenv.ui.recovery import recovery
from tests.fakes.disk import FakeSurveyor
from tests.fakes.restarting import FakeEnvoy, RestartingKube
from tests.fakes.world import GIB, PORTS
from tests.paths import INCIDENTS
from tests.unit.test_up import SECRET as CERTGEN
from tests.unit.test_up import up as up_fixture

NODE = "c-control-plane"
FULL_DISK = f"{NODE} is full"
up = up_fixture


def facts_of(name):
    return parse(
        (INCIDENTS / name / "facts.json")
        .read_text()
        .replace("devenv-test-incident", "c")
        .replace("devenv-test", "c")
    )


class FullNode:
    """A node whose disk is full until so many of its images were removed."""

    def __init__(self, one, fakes, images=3, needed=2, size=1 << 28) -> None:
        self.fakes, self.needed, self.deleted, self.users = fakes, needed, [], "[]"
        self.before = fakes.engine.exec
        fakes.engine.exec = self.exec
        disk = one.prune.surveyor
        disk.containers, disk.places = fakes.engine, (NODE,)
        disk.things = [
            Thing(f"old:{n}", Worth.IMAGE, {f"id{n}": size}, n, "", NODE, f"id{n}", (f"old:{n}",))
            for n in range(images)
        ]
        disk.total, disk.marks = 10 * GIB, Marks(9 * GIB, 9 * GIB + 1 - needed * size)
        disk.free = GIB - 1
        self.disk = disk

    def exec(self, container, argv, stdin=None):
        words = list(argv)
        if words[:2] == ["crictl", "ps"]:
            return Completed(0, f'{{"containers": {self.users}}}')
        if words[:2] == ["crictl", "rmi"]:
            self.deleted.append(words[2])
            self.fakes.log.append(f"rmi {words[2]}")
            self.disk.gone(words[2])
            return Completed(0, "")
        if words[0] == "df":
            free = GIB if len(self.deleted) >= self.needed else 0
            return Completed(0, f"{free} {10 * GIB} 100000 1000000 {9 * GIB - free}")
        if "du" in words:
            return Completed(0, f"{5 * GIB}\t/var/fill\n1024\t/var/log\n")
        return self.before(container, argv, stdin)


class Planned(Recover):
    """A recovery all of whose planned steps must have begun, or been skipped, once it has ended well."""

    def run(self, wait):
        recovery = super().run(wait)
        assert not self.up.context.reporter.unbegun
        return recovery


@pytest.fixture
def recover(up, fakes):
    made = up()
    kube = RestartingKube(fakes.log)
    context = dataclasses.replace(made.context, kube=kube)
    fakes.engine.containers[NODE] = Node(NODE, "id-1", "running", "c", 1001, PORTS)
    context.records.write(
        Record("c", "offline", "engine-1", "", 1000.0, made=True, nodes=("id-1",))
    )
    agreed, undone = [], []

    def make(*names):
        queue = [facts_of(n) for n in names]

        def give(_):
            return queue.pop(0) if len(queue) > 1 else queue[0]

        prober = Prober(kube, fakes.gateway, context.clock, context.profile)
        prune = Prune(FakeSurveyor(context.host, context.clock, context.profile), context.reporter)
        own_up = dataclasses.replace(made, context=context, prober=prober)
        one = Planned(own_up, FakeEnvoy(), prober, prune, give, agreed.append, undone.extend)
        one.agreed, one.undone, one.kube = agreed, undone, kube
        return one

    fakes.gateway.kube = kube
    return make


def did(fakes):
    return [
        line
        for line in fakes.log
        if line.split()[0] in {"rmi", "delete", "apply", "replace", "start"}
    ]


def test_disk_first_then_the_controller_then_the_proxy(recover, fakes):
    one = recover("the-incident", "healthy")
    FullNode(one, fakes)
    told = one.run(5)
    assert did(fakes) == [
        "rmi id0",
        "rmi id1",
        "delete Pod/envoy-gateway-1",
        "delete Lease/5b9825d2.gateway.envoyproxy.io",
        "delete Pod/proxy-1",
    ]
    assert [s.target for s in told.done] == [NODE, "envoy-gateway", "proxy"]
    assert all(p.ok for p in told.proofs)


def test_what_is_removed_was_shown_before(recover, fakes):
    one = recover("the-incident", "healthy")
    node = FullNode(one, fakes)
    one.run(5)
    (proposal,) = one.agreed
    shown = {r.thing.id for room in proposal.room for p in room.plans for r in p.removals}
    assert set(node.deleted) == shown == {"id0", "id1"}


def test_an_image_that_is_used_by_now_is_left(recover, fakes):
    one = recover("the-incident")
    node = FullNode(one, fakes)
    node.users = '[{"imageRef": "id0"}]'
    with pytest.raises(DevenvError, match=FULL_DISK):
        one.run(5)
    assert node.deleted == ["id1"]


def test_where_what_may_go_is_not_enough_it_stops_and_says_what_takes_the_disk(recover, fakes):
    one = recover("the-incident")
    FullNode(one, fakes, needed=99)
    with pytest.raises(DevenvError, match=FULL_DISK) as stopped:
        one.run(5)
    assert "5.0 GiB  /var/fill" in stopped.value.why
    assert not [line for line in fakes.log if "Pod/" in line], "nothing is restarted on a full disk"


def test_nothing_is_removed_where_it_could_not_be_enough(recover, fakes):
    one = recover("the-incident")
    node = FullNode(one, fakes, size=1 << 20)
    with pytest.raises(DevenvError, match=FULL_DISK):
        one.run(5)
    assert node.deleted == []


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
    with pytest.raises(DevenvError, match="DE401"):
        one.run(5)
    assert "delete Pod/proxy-1" not in fakes.log
    assert len(one.agreed) == 1, "a plan that has changed nothing is not tried again"


@pytest.mark.parametrize(
    ("readings", "count"),
    [
        (["healthy"], 2),
        (["latched", "healthy"], 3),
        (["healthy", "latched", "healthy"], 4),  # one that is not good begins the count anew
        (["healthy", "latched", "healthy", "latched", "healthy"], 6),
    ],
)
def test_two_good_readings_in_a_row_end_the_wait(recover, fakes, readings, count):
    one = recover("latched", *readings)
    taken = []
    give = one.facts

    def facts(seconds):
        taken.append(fakes.clock.time)
        return give(seconds)

    one.facts = facts
    one.run(5)
    assert len(taken) == 1 + count
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(taken[1:]))


def test_rollouts_end_before_it_is_diagnosed_again(recover, fakes):
    recover("latched", "healthy").run(5)
    log = fakes.log
    assert (
        log.index("end restart proxy")
        < log.index("begin end of the rollouts")
        < log.index("begin diagnose again")
    )


def test_a_rollout_that_does_not_end_is_for_the_diagnosis_to_explain(recover, fakes):
    one = recover("latched", "healthy")
    one.up.envoy.connected = 0
    assert one.run(5).after.healthy
    assert "fail end of the rollouts" in fakes.log


def with_objects(facts, change):
    content = json.loads(dump(facts))
    change(content["objects"])
    return parse(json.dumps(content))


def certgen_makes_all_secrets(one):
    """Add the Job to the profile's manifests, and let it make its Secrets once it is applied."""
    chart = one.up.recipe_file("", "")
    chart.write_text(CERTGEN + chart.read_text())
    applied = one.kube.apply

    def apply(manifest):
        applied(manifest)
        if manifest["kind"] == "Job":
            for name in CERTIFICATES:
                meta = {"name": name, "namespace": "envoy-gateway-system"}
                one.kube.objects["Secret", meta["namespace"], name] = {"metadata": meta}

    one.kube.apply = apply


def test_all_certificates_are_made_anew_before_the_controller_and_the_proxy(recover, fakes):
    one = recover("healthy")
    certgen_makes_all_secrets(one)

    def lose_the_proxys(objects):
        names = [name for name in CERTIFICATES if name != "envoy"]
        place = "envoy-gateway-system"
        objects["Secret"] = [{"metadata": {"name": n, "namespace": place}} for n in names]
        # certgen may take a moment after the install.
        for workload in objects["Deployment"]:
            workload["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"

    looks = [with_objects(facts_of("healthy"), lose_the_proxys), facts_of("healthy")]
    one.facts = lambda _: looks.pop(0) if len(looks) > 1 else looks[0]
    result = one.run(5)
    assert result.repaired == ("DE417",)
    assert did(fakes) == [
        "delete Job/certgen",
        *(f"delete Secret/{name}" for name in CERTIFICATES),
        "apply Job/certgen",
        "delete Pod/envoy-gateway-1",
        "delete Lease/5b9825d2.gateway.envoyproxy.io",
        "delete Pod/proxy-1",
    ]


def test_a_held_object_of_the_profile_is_released_and_then_put_back(recover, fakes):
    one = recover("healthy")
    healthy = facts_of("healthy")
    gateway = Declared(kind="Gateway", namespace="aibrix-system", name="aibrix-eg")
    healthy = healthy.model_copy(update={"declared": (gateway,)})

    def hold(objects):
        (held,) = objects["Gateway"]
        held["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
        held["metadata"]["finalizers"] = ["example.com/hold"]

    held, gone = with_objects(healthy, hold), with_objects(healthy, lambda o: o["Gateway"].clear())

    def facts(_):
        if "apply Gateway/aibrix-eg" in fakes.log:
            return healthy
        return gone if "merge Gateway/aibrix-eg" in fakes.log else held

    # Missing in the cluster, too, until it is applied.
    found = one.kube.get

    def get(api_version, kind, namespace, name):
        is_gone = kind == "Gateway" and "apply Gateway/aibrix-eg" not in fakes.log
        return None if is_gone else found(api_version, kind, namespace, name)

    one.facts, one.kube.get = facts, get
    result = one.run(5)
    kinds = [step.kind for step in result.done]
    assert kinds[:2] == [Kind.RELEASE, Kind.PUT_BACK]
    assert {"DE314", "DE406"} <= set(result.repaired)


def test_what_only_the_user_can_mend_is_said_with_its_fix(recover):
    with pytest.raises(DevenvError, match="DE103") as told:
        recover("port-taken").run(5)
    assert "stop " in told.value.why


def test_a_healthy_cluster_is_only_proven(recover, fakes):
    told = recover("healthy").run(5)
    assert told.done == ()
    assert did(fakes) == []


def rolling():
    """A healthy cluster whose model is being rolled out since a second."""
    facts = facts_of("healthy")
    content = json.loads(dump(facts))
    (model,) = [
        d for d in content["objects"]["Deployment"] if d["metadata"]["name"] == "mock-llama2-7b"
    ]
    now = datetime.fromtimestamp(facts.taken - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    model["status"]["updatedReplicas"] = 0
    for condition in model["status"]["conditions"]:
        condition["lastUpdateTime"] = now
    return parse(json.dumps(content))


def test_what_is_under_way_is_awaited_and_nothing_is_repaired(recover, fakes):
    one = recover("healthy")
    looks = [rolling(), rolling(), facts_of("healthy"), facts_of("healthy")]
    one.facts = lambda _: looks.pop(0) if len(looks) > 1 else looks[0]
    result = one.run(5)
    assert result.before.progress
    assert result.after.healthy
    assert (result.done, did(fakes), one.agreed) == ((), [], [])


def test_what_stays_under_way_is_neither_repaired_nor_called_well(recover):
    one = recover("healthy")
    one.facts = lambda _: rolling()
    result = one.run(5)
    assert result.after.exit_code == 1
    console = Console(file=StringIO(), width=200)
    recovery(result).text(console)
    # Those of the requests are indented.
    assert not [line for line in console.file.getvalue().splitlines() if line.startswith("✓")]


def test_a_cluster_of_somebody_elses_is_refused(recover, fakes):
    fakes.engine.containers[NODE] = Node(NODE, "other", "running", "c", 5001, PORTS)
    with pytest.raises(DevenvError, match="devenv did not make the kind cluster c"):
        recover("latched").run(5)
    assert did(fakes) == []


def test_what_is_left_to_the_user_is_every_fix_but_recover_itself():
    fixes = (
        Command(("devenv", "recover", "--name", "c")),
        Command(("devenv", "up")),
        Advice("devenv recover can't help here"),
    )
    root = Finding("DE103", Subject("port", "80"), "Port 80 is taken.", fix=fixes)
    error = _not_repaired(Diagnosis("c", "p", 1.0, (Cause(root),)))
    assert error.why.splitlines() == ["devenv up", "devenv recover can't help here"]


def test_a_manifest_is_written_before_anything_else_and_its_leader_awaited(
    recover, fakes, monkeypatch
):
    one = recover("scheduler-does-not-run", "healthy")
    commands, before = [], fakes.engine.exec

    def run(container, argv, stdin=None):
        commands.append(argv[0])
        return before(container, argv, stdin)

    monkeypatch.setattr(fakes.engine, "exec", run)
    told = one.run(5)
    assert "kubeadm" in commands
    assert [(s.kind.name, s.target) for s in told.done] == [
        ("STATIC_POD", f"{NODE}/kube-scheduler")
    ]
    assert told.repaired == ("DE207",)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (Kind.NETWORK, "kind"),
        (Kind.START, NODE),
        (Kind.UNIT, f"{NODE}/kubelet"),
        (Kind.CONTEXT, "kind-c"),
        (Kind.SCALE, "kube-system/coredns"),
    ],
)
def test_a_repair_shows_the_steps_that_its_plan_names(recover, fakes, kind, target):
    one = recover("healthy")
    reporter = one.up.context.reporter
    if kind is Kind.NETWORK:
        fakes.engine.stop(NODE)
        fakes.engine.node_networks[NODE] = (("kind", "lost"),)
        fakes.engine.engine_networks.clear()
    fakes.engine.exec = lambda container, argv, stdin=None: Completed(0, "active")
    plan = Plan((RepairStep(kind, target, "DE000"),), ())
    one._run_round(Proposal(one.propose().diagnosis, plan))
    assert reporter.unbegun == {ROLLOUTS, DIAGNOSIS, REQUESTS}
