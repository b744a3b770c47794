import dataclasses
import threading

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.images.nodes.containerd import is_own_name
from devenv.install.replacing import Replacing
from devenv.ports.containers import Node
from devenv.state import in_cluster as incluster
from devenv.state.record import Record, Records
from tests.unit.test_up import down_of, index, own_profile, up  # noqa: F401 - a fixture

PORTS = ((6443, 40001), (30888, 8888))


@pytest.fixture
def foreign(fakes) -> Node:
    """A cluster that somebody else made, with the port that the profile wants."""
    node = Node("c-control-plane", "theirs", "running", "c", 5, PORTS)
    fakes.engine.containers[node.name] = node
    fakes.kube.up = True
    fakes.kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "aibrix-system"}}
    )
    fakes.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": "default", "name": "theirs"},
        }
    )
    fakes.engine.in_nodes[node.name] = {"docker.io/library/redis:latest"}
    fakes.log.clear()
    return node


def test_what_would_change_is_listed_before_anything_does(up, fakes, foreign):
    shown = []

    def refuse(adoption):
        shown.append(adoption)
        raise DevenvError("refused")

    with pytest.raises(DevenvError, match="refused"):
        up(agree=refuse).run(0)
    (adoption,) = shown
    assert ("v1", "Namespace", "", "aibrix-system") in adoption.changed
    assert ("v1", "Namespace", "", "envoy-gateway-system") in adoption.brought
    assert not set(adoption.brought) & set(adoption.changed)
    assert adoption.images["docker.io/library/redis:latest"] == "replaced"
    assert adoption.images["docker.io/envoyproxy/envoy:v1.36.2"] == "brought"
    assert not any(e.startswith(("apply", "load", "kind", "delete")) for e in fakes.log)
    assert Records(fakes.host).read("c") is None


def test_down_of_an_adopted_cluster_takes_out_what_was_brought_and_leaves_the_rest(
    up,
    fakes,
    foreign,
):
    assert up(agree=lambda _: None).run(0).changed
    assert not up().run(0).changed
    fakes.kube.pods.clear()
    fakes.log.clear()
    removal = down_of(fakes).run(0)
    assert not any(e.startswith("kind delete") for e in fakes.log)
    assert set(fakes.kube.objects) == {
        ("Namespace", "", "aibrix-system"),
        ("ConfigMap", "default", "theirs"),
    }
    assert ("v1", "Namespace", "", "envoy-gateway-system") in removal.objects
    assert removal.stayed == {}
    assert "docker.io/envoyproxy/envoy:v1.36.2" in removal.images
    assert (
        "docker.io/library/redis:latest" not in removal.images
    )  # the node had one of that name before
    assert "docker.io/library/redis:latest" in fakes.engine.in_nodes["c-control-plane"]
    assert Records(fakes.host).read("c") is None


def test_down_of_an_adopted_cluster_gives_back_what_a_killed_load_took(up, fakes, foreign):
    up(agree=lambda _: None).run(0)
    names, theirs = fakes.engine.in_nodes["c-control-plane"], "docker.io/library/theirs:1"
    fakes.engine.configs |= {
        theirs: "sha256:theirs",
        "devenv.local/superseded:theirs": "sha256:theirs",
    }
    names |= {theirs, "devenv.local/incoming:half", "devenv.local/superseded:left"}
    replacing = Replacing("c", Records(fakes.host), fakes.engine, None)
    replacing.begin(foreign, {theirs: "sha256:theirs"})
    fakes.engine.configs[theirs] = "sha256:devenvs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakes.engine, "exec", tag_too(fakes.engine, fakes.engine.exec))
        down_of(fakes).run(0)
    assert theirs in names
    assert fakes.engine.configs[theirs] == "sha256:theirs"
    assert not [name for name in names if is_own_name(name)]


def tag_too(engine, run):
    """Have a tag move a name in the node, as it does."""

    def exec_(container, argv, stdin=None):
        if "tag" in argv:
            engine.configs[argv[-1]] = engine.configs.get(argv[-2], "sha256:unknown")
        return run(container, argv, stdin)

    return exec_


def test_what_others_put_into_a_namespace_keeps_it(up, fakes, foreign):
    up(agree=lambda _: None).run(0)
    fakes.kube.pods["their-pod"] = "10.0.0.9"
    removal = down_of(fakes).run(0)
    kept = ("v1", "Namespace", "", "envoy-gateway-system")
    assert "their-pod" in removal.stayed[kept]
    assert kept not in removal.objects
    fakes.kube.pods.clear()
    assert down_of(fakes).run(0).objects == (kept,)
    assert Records(fakes.host).read("c") is None


def test_a_later_up_notes_what_it_brings_too(up, fakes, foreign, tmp_path):
    up(agree=lambda _: None).run(0)
    record = Records(fakes.host).read("c")
    gone = ("apps/v1", "Deployment", "default", "mock-llama2-7b")
    assert gone in record.objects
    others = tuple(k for k in record.objects if k != gone)
    Records(fakes.host).write(dataclasses.replace(record, objects=others, digest=""))
    fakes.kube.objects.pop(gone[1:])
    up().run(0)
    assert set(Records(fakes.host).read("c").objects) == set(record.objects)


def test_a_later_up_changes_nothing_that_nobody_agreed_to(up, fakes, foreign):
    up(agree=lambda _: None).run(0)
    record = Records(fakes.host).read("c")
    theirs = ("apps/v1", "Deployment", "default", "mock-llama2-7b")
    others = tuple(k for k in record.objects if k != theirs)
    Records(fakes.host).write(dataclasses.replace(record, objects=others, digest=""))
    fakes.log.clear()
    with pytest.raises(DevenvError) as caught:
        up().run(0)
    assert caught.value.exit_code is Exit.USAGE
    assert "Deployment mock-llama2-7b" in caught.value.why
    assert "--adopt" in caught.value.next_step
    assert {e for e in fakes.log if e.startswith("apply")} == {"apply ConfigMap/devenv"}


def test_a_context_that_leads_elsewhere_is_never_used(up, fakes, foreign, expect_error):
    """Another engine may have a cluster of the same name, and KUBECONFIG may name another file than before."""
    fakes.kube.port = 45555
    with expect_error(Exit.FAILED):
        up(agree=lambda _: None).run(0)
    fakes.kube.port = 40001
    up(agree=lambda _: None).run(0)
    fakes.kube.port = 45555
    fakes.log.clear()
    with expect_error(Exit.FAILED):
        down_of(fakes).run(0)
    assert not any(e.startswith("delete") for e in fakes.log)


def test_nothing_is_applied_through_a_context_that_is_older_than_the_cluster(up, fakes):
    fakes.kube.up = True  # some other cluster's, of the same name and at the same port

    acted = threading.Event()

    def create(*args):
        fakes.log.append("kind create began")
        made(*args)
        assert acted.wait(10)  # somebody looked for the new context, or used the old one

    def then_told(function):
        def call(*args, **more):
            result = function(*args, **more)
            if fakes.log.count("kind create began"):
                acted.set()
            return result

        return call

    fakes.kind.export_kubeconfig = then_told(fakes.kind.export_kubeconfig)
    fakes.kube.apply = then_told(fakes.kube.apply)
    made, fakes.kind.create = fakes.kind.create, create
    up().run(0)
    began, known = fakes.log.index("kind create began"), fakes.log.index("forget the context")
    assert not [e for e in fakes.log[began:known] if e.startswith("apply")]
    assert known < index(fakes.log, "apply")


def test_a_stopped_adopted_cluster_is_started(up, fakes, foreign):
    up(agree=lambda _: None).run(0)
    node = fakes.engine.containers[foreign.name]
    fakes.engine.containers[node.name] = Node(node.name, node.id, "exited", "c")
    fakes.kube.up = False
    started = fakes.engine.start

    def start(name):
        started(name)
        fakes.kube.up = True

    fakes.engine.start = start
    up().run(0)
    assert "start c-control-plane" in fakes.log


def test_an_adopted_cluster_that_its_owner_deleted_is_made_anew(up, fakes, foreign):
    up(agree=lambda _: None).run(0)
    fakes.engine.containers.clear()
    fakes.engine.in_nodes.clear()
    fakes.kube.objects.clear()
    assert up().run(0).changed
    assert not Records(fakes.host).read("c").adopted


def test_a_configmap_of_that_name_which_is_theirs_is_left_alone(up, fakes, foreign):
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "kube-system", "name": "devenv"},
        "data": {"a": "b"},
    }
    fakes.kube.apply(theirs)
    up(agree=lambda _: None).run(0)
    fakes.kube.pods.clear()
    down_of(fakes).run(0)
    assert fakes.kube.objects["ConfigMap", "kube-system", "devenv"]["data"] == {"a": "b"}


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("ConfigMap", "v1"),
        ("Secret", "v1"),
        ("CronJob", "batch/v1"),
        ("Gateway", "gateway.networking.k8s.io/v1"),
    ],
)
def test_whatever_somebody_could_miss_keeps_its_namespace(up, fakes, foreign, kind, version):
    up(agree=lambda _: None).run(0)
    fakes.kube.pods.clear()
    meta = {"namespace": "envoy-gateway-system", "name": "theirs"}
    fakes.kube.apply({"apiVersion": version, "kind": kind, "metadata": meta})
    removal = down_of(fakes).run(0)
    assert f"{kind} theirs" in removal.stayed["v1", "Namespace", "", "envoy-gateway-system"]
    assert (kind, "envoy-gateway-system", "theirs") in fakes.kube.objects


@pytest.mark.parametrize(
    ("managers", "stays"),
    [(["envoy-gateway"], False), (["envoy-gateway", "kubectl-edit"], True), ([], True)],
)
def test_what_a_controller_made_that_devenv_brought_goes_with_it(
    up,
    fakes,
    foreign,
    managers,
    stays,
):
    up(agree=lambda _: None).run(0)
    fakes.kube.pods.clear()
    fields = [{"manager": m} for m in managers]
    meta = {"namespace": "envoy-gateway-system", "name": "certs", "managedFields": fields}
    fakes.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    assert bool(down_of(fakes).run(0).stayed) is stays


def test_a_profile_with_another_port_is_refused_for_an_adopted_cluster(
    up, fakes, foreign, tmp_path, expect_error
):
    up(agree=lambda _: None).run(0)
    with expect_error(Exit.USAGE):
        up(own_profile(tmp_path, "gateway: {host_port: 9999}\n")).run(0)


@pytest.mark.parametrize(("how", "code"), [
    ("none", Exit.USAGE),
    ("stopped", Exit.PREREQUISITE),
    ("port", Exit.USAGE),
    ("silent", Exit.UNKNOWN),
], ids=["none", "stopped", "port", "silent"])  # fmt: skip
def test_a_cluster_that_devenv_cannot_work_with_is_not_adopted(
    up, fakes, foreign, expect_error, how, code
):
    n = foreign
    changed = {
        "stopped": Node(n.name, n.id, "exited", "c"),
        "port": Node(n.name, n.id, "running", "c", 5, ((30888, 9999),)),
    }
    fakes.engine.containers = {} if how == "none" else {n.name: changed.get(how, n)}
    fakes.kube.up = how != "silent"
    with expect_error(code):
        up(agree=lambda _: None).run(0)
    assert Records(fakes.host).read("c") is None


def test_a_cluster_whose_record_was_lost_is_known_by_its_own(up, fakes, expect_error):
    up().run(0)
    (node,) = fakes.engine.nodes("c")
    fakes.engine.containers[node.name] = Node(
        node.name, node.id, "running", "c", node.created, PORTS
    )
    Records(fakes.host).remove("c")
    with expect_error(Exit.FAILED):
        up().run(0)

    def never(_):
        raise AssertionError("asked about a cluster that devenv made")

    up(agree=never).run(0)
    record = Records(fakes.host).read("c")
    assert not record.adopted
    assert [n.name for n in down_of(fakes).run(0).nodes] == [node.name]


def test_a_record_of_other_nodes_is_no_record_of_these(up, fakes, foreign):
    """As in a cluster whose objects were copied from one of devenv's."""
    incluster.write(fakes.kube, Record("c", "offline", "engine-1", made=True, nodes=("another",)))
    asked = []
    up(agree=asked.append).run(0)
    assert len(asked) == 1
    assert Records(fakes.host).read("c").adopted


@pytest.mark.parametrize(
    "data", [{}, {"record": "{"}, {"record": '{"cluster": "c"}'}, {"record": "[]"}]
)
def test_a_record_in_the_cluster_that_makes_no_sense_counts_for_nothing(fakes, data):
    fakes.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": "kube-system", "name": "devenv"},
            "data": data,
        }
    )
    assert incluster.read(fakes.kube) is None
