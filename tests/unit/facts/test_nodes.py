import pytest

from devenv.facts.model import NodeFacts, StaticPodFacts, UnitFacts
from devenv.facts.nodes import NodeReader, is_in_trouble
from devenv.ports.containers import Node
from tests.unit.facts.test_node_programs import CLOSE_LOOK, LOOK, NOON

NOW = float(NOON)


@pytest.fixture
def reader(fakes):
    fakes.engine.programs, fakes.engine.close_look = LOOK, CLOSE_LOOK
    return NodeReader(fakes.engine, fakes.clock)


def node(status="running"):
    return Node("n", "id", status, "c")


def test_a_look_at_a_node_has_its_programs(reader):
    facts = reader.read(node())
    assert [unit.name for unit in facts.units] == ["kubelet", "containerd"]
    assert facts.memory == 1000 << 10
    assert facts.inotify_used_up
    assert facts.images == ()


def test_images_are_not_asked_of_a_containerd_that_is_down(reader, fakes):
    fakes.engine.programs = LOOK.replace("ActiveState=active", "ActiveState=failed")
    assert reader.read(node()).images is None


def test_a_close_look_adds_what_programs_say(reader):
    facts = reader.look_closely(reader.read(node()))
    assert facts.units[0].lines
    assert [pod.name for pod in facts.static_pods if pod.lines] == ["kube-apiserver"]


@pytest.mark.parametrize(("clock", "lead"), [
    (NOON, 0), (NOON - 1, 1 - 1), (NOON - 7200, 7200), (NOON + 7200, -7199),
])  # fmt: skip
def test_by_how_much_a_nodes_clock_is_ahead(reader, fakes, clock, lead):
    fakes.clock.now = lambda: float(clock) + 0.5
    assert abs(reader.read(node()).clock_lead - lead) <= 1


@pytest.mark.parametrize(("networks", "missing"), [
    ((("kind", "kind-id"),), ()),
    ((("kind", "former-id"),), ("kind",)),
    ((("kind", ""),), ()),
    ((("other", ""),), ("other",)),
    ((), ()),
])  # fmt: skip
def test_networks_that_a_stopped_node_has_lost(reader, fakes, networks, missing):
    fakes.engine.node_networks["n"] = networks
    assert reader.read(node("exited")).missing_networks == missing


def facts(unit=None, pod=None):
    return NodeFacts(
        name="n",
        status="running",
        units=(UnitFacts(name="kubelet", **(unit or {"state": "active"})),),
        static_pods=(StaticPodFacts(name="etcd", **(pod or {})),),
    )


@pytest.mark.parametrize(("unit", "pod", "trouble"), [
    (None, None, False),
    ({"state": "activating"}, None, True),
    ({"state": "active", "restarts": 9, "since": NOW - 5}, None, True),
    ({"state": "active", "restarts": 9, "since": NOW - 50}, None, False),
    ({"state": "active", "restarts": 1, "since": NOW - 5}, None, False),
    (None, {"manifest": False}, True),
])  # fmt: skip
def test_what_calls_for_a_closer_look(unit, pod, trouble):
    assert is_in_trouble(facts(unit, pod), NOW) is trouble
