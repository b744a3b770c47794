import pytest

from devenv.adapters.clock import SystemClock
from devenv.errors import DevenvError
from devenv.facts.collect import Collector, akin, repository
from devenv.facts.looks import Looks
from devenv.facts.model import NodeFacts, WasteFacts
from devenv.ports import Node, Space
from tests.unit.diagnosis.test_incidents import read


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/library/redis:latest", "redis"),
        ("redis", "redis"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("localhost:5000/a/b:c", "localhost:5000/a/b"),
        ("aibrix/x:nightly@sha256:0123", "aibrix/x"),
    ],
)
def test_a_repository_is_a_name_without_tag_and_digest(image, name):
    assert repository(image) == name


def test_of_the_engines_images_others_are_nobodys_business():
    facts = read("healthy")
    names = [
        "devenv.local/vllm-mock:elsewhere",
        "redis:7.4",
        "secret/project:1",
        "envoyproxy/gateway:v2",
    ]
    assert akin(names, facts.profile, facts.objects) == [
        "devenv.local/vllm-mock:elsewhere", "envoyproxy/gateway:v2", "redis:7.4",
    ]  # fmt: skip


NODE = Node("n", "id", "running", "c")


def seen(waste, space):
    """What a collector tells of waste, where the node's disk is so full."""
    facts, looks = read("healthy"), Looks(SystemClock(), 5, 5)
    one = Collector("c", facts.profile, *[None] * 7, waste=waste)
    looks.begin("engine's disk", lambda: None)
    looks.begin("node n", lambda: NodeFacts(name="n", status="running", disk=space))
    looks.begin("waste", lambda: one._waste_where_full(looks, [NODE]))
    found = one._own_waste(looks, facts.objects)
    assert looks.unknown == {}
    return found


FULL = Space(0, 20 << 30, 10**6, 10**7)


@pytest.mark.parametrize(
    ("space", "asked"),
    [
        (Space(10 << 30, 20 << 30, 10**6, 10**7), False),
        (FULL, True),
        (Space(10 << 30, 20 << 30, 9, 10**7), True),
        (None, False),
    ],
)
def test_whose_waste_it_is_is_asked_only_where_a_disk_is_full(space, asked):
    calls = []
    seen(lambda: calls.append(1) or (), space)
    assert bool(calls) is asked


def test_what_others_images_were_called_is_left_out():
    names = ["devenv.local/vllm-mock:reference", "secret/project:1", ""]
    found = seen(
        lambda: tuple(WasteFacts(place="engine", former_name=n, count=1, size=1) for n in names),
        FULL,
    )
    assert [w.former_name for w in found] == ["devenv.local/vllm-mock:reference", "", ""]


def test_waste_that_is_not_told_leaves_the_rest_as_it_is():
    def silent():
        raise DevenvError("The Docker engine does not answer.")

    assert seen(silent, FULL) == ()
