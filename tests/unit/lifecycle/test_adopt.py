import pytest

from devenv.errors import DevenvError, Exit
from devenv.lifecycle import incluster
from devenv.lifecycle.record import Record, Records
from devenv.ports import Node
from tests.unit.lifecycle.test_up import down_of, up  # noqa: F401 - a fixture

PORTS = ((6443, 40001), (30888, 8888))


@pytest.fixture
def foreign(fakes) -> Node:
    """A cluster that somebody else made, with the port that the profile wants."""
    node = Node("c-control-plane", "theirs", "running", "c", 5, PORTS)
    fakes.engine.containers[node.name] = node
    fakes.kube.up = True
    fakes.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "aibrix-system"}})
    fakes.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "theirs"}})
    fakes.engine.in_nodes[node.name] = {"docker.io/library/redis:latest"}
    fakes.log.clear()
    return node


def test_what_would_change_is_listed_before_anything_does(up, fakes, foreign):  # noqa: F811
    shown = []

    def refuse(adoption):
        shown.append(adoption)
        raise DevenvError("Nothing was changed.")

    with pytest.raises(DevenvError, match="Nothing was changed"):
        up(agree=refuse).run(0)
    (adoption,) = shown
    assert ("v1", "Namespace", "", "aibrix-system") in adoption.changed
    assert ("v1", "Namespace", "", "envoy-gateway-system") in adoption.brought
    assert not set(adoption.brought) & set(adoption.changed)
    assert adoption.images["docker.io/library/redis:latest"] == "replaced"
    assert adoption.images["docker.io/envoyproxy/envoy:v1.36.2"] == "brought"
    assert not any(e.startswith(("apply", "load", "kind", "delete")) for e in fakes.log)
    assert Records(fakes.host).read("c") is None


def test_down_of_an_adopted_cluster_takes_out_what_was_brought_and_leaves_the_rest(up, fakes, foreign):  # noqa: F811
    assert up(agree=lambda _: None).run(0).changed
    assert not up().run(0).changed
    fakes.kube.pods.clear()
    fakes.log.clear()
    removal = down_of(fakes).run(0)
    assert not any(e.startswith("kind delete") for e in fakes.log)
    assert set(fakes.kube.objects) == {("Namespace", "", "aibrix-system"), ("ConfigMap", "default", "theirs")}
    assert ("v1", "Namespace", "", "envoy-gateway-system") in removal.objects
    assert removal.stayed == {}
    assert "docker.io/library/redis:latest" in removal.images
    assert Records(fakes.host).read("c") is None


def test_what_others_put_into_a_namespace_keeps_it(up, fakes, foreign):  # noqa: F811
    up(agree=lambda _: None).run(0)
    fakes.kube.pods["their-pod"] = "10.0.0.9"
    removal = down_of(fakes).run(0)
    kept = ("v1", "Namespace", "", "envoy-gateway-system")
    assert "their-pod" in removal.stayed[kept]
    assert kept not in removal.objects
    fakes.kube.pods.clear()
    assert down_of(fakes).run(0).objects == (kept,)
    assert Records(fakes.host).read("c") is None


def test_a_later_up_notes_what_it_brings_too(up, fakes, foreign, tmp_path):  # noqa: F811
    up(agree=lambda _: None).run(0)
    record = Records(fakes.host).read("c")
    gone = ("apps/v1", "Deployment", "default", "mock-llama2-7b")
    assert gone in record.objects
    Records(fakes.host).write(Record(**{**vars(record), "objects": (), "digest": ""}))
    fakes.kube.objects.pop(gone[1:])
    up().run(0)
    assert Records(fakes.host).read("c").objects == (gone,)


@pytest.mark.parametrize(("how", "why", "code"), [
    ("none", "no kind cluster c to adopt", Exit.USAGE),
    ("stopped", "is not running", Exit.PREREQUISITE),
    ("port", "does not map port 30888", Exit.USAGE),
    ("silent", "is not ready", Exit.UNKNOWN),
])  # fmt: skip
def test_a_cluster_that_devenv_cannot_work_with_is_not_adopted(up, fakes, foreign, how, why, code):  # noqa: F811
    n = foreign
    changed = {
        "stopped": Node(n.name, n.id, "exited", "c"),
        "port": Node(n.name, n.id, "running", "c", 5, ((30888, 9999),)),
    }
    fakes.engine.containers = {} if how == "none" else {n.name: changed.get(how, n)}
    fakes.kube.up = how != "silent"
    with pytest.raises(DevenvError, match=why) as caught:
        up(agree=lambda _: None).run(0)
    assert caught.value.exit_code == code
    assert Records(fakes.host).read("c") is None


def test_a_cluster_whose_record_was_lost_is_known_by_its_own(up, fakes):  # noqa: F811
    up().run(0)
    (node,) = fakes.engine.nodes("c")
    fakes.engine.containers[node.name] = Node(node.name, node.id, "running", "c", node.created, PORTS)
    Records(fakes.host).remove("c")
    with pytest.raises(DevenvError, match="devenv did not make"):
        up().run(0)

    def never(_):
        raise AssertionError("asked about a cluster that devenv made")

    up(agree=never).run(0)
    record = Records(fakes.host).read("c")
    assert not record.adopted
    assert [n.name for n in down_of(fakes).run(0).nodes] == [node.name]


def test_a_record_of_other_nodes_is_no_record_of_these(up, fakes, foreign):  # noqa: F811
    """As in a cluster whose objects were copied from one of devenv's."""
    incluster.write(fakes.kube, Record("c", "offline", "engine-1", made=True, nodes=("another",)))
    asked = []
    up(agree=asked.append).run(0)
    assert len(asked) == 1
    assert Records(fakes.host).read("c").adopted


@pytest.mark.parametrize("data", [{}, {"record": "{"}, {"record": '{"cluster": "c"}'}, {"record": "[]"}])
def test_a_record_in_the_cluster_that_makes_no_sense_counts_for_nothing(fakes, data):
    fakes.kube.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": "devenv"}, "data": data}
    )
    assert incluster.read(fakes.kube) is None
