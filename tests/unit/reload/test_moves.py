"""How an image comes into the nodes, decided from what they have."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.images.formats.layers import chain_ids, sizes
from devenv.images.nodes.containerd import NodeImages
from devenv.ports.engine import Image
from devenv.ports.host import Space
from devenv.profiles.model import Budget
from devenv.reload.moves import Source, Way, find_space_problems, plan_move

NAME = "docker.io/library/a:1"
ANY = Budget(keep_free="0")


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


LAYERS = tuple(digest(f"layer {n}") for n in range(4))
IMAGE = Image("sha256:new", "amd64", 40, {}, ("a:1",), LAYERS)
SOURCE = Source("a:1", IMAGE, (10, 10, 10, 10))


def node(name="n", images=None, layers=(), free=1 << 40) -> NodeImages:
    return NodeImages(
        name, images or {}, frozenset(chain_ids(layers)), frozenset(), Space(free, 1 << 41, 1, 1)
    )


def pick(*have, known=(), quick=False, source=SOURCE):
    return plan_move(source, NAME, have, set(known), lambda *_: quick)


def test_an_image_that_is_there_moves_nothing():
    move = pick(node(images={"sha256:new": (NAME,)}, layers=LAYERS))
    assert (move.way, move.nodes, move.layers) == (Way.PRESENT, (), frozenset())


def test_what_devenv_put_there_is_there_whatever_the_node_calls_it():
    have = node(images={"sha256:config": (NAME,)}, layers=LAYERS)
    assert pick(have, known=["n"]).way is Way.PRESENT
    assert pick(have).way is Way.ARCHIVE


def test_an_image_under_another_name_gets_this_one():
    move = pick(node(images={"sha256:new": ("other:1",), "sha256:old": (NAME,)}, layers=LAYERS))
    assert (move.way, move.nodes, move.old_digests) == (Way.RETAG, ("n",), {"n": "sha256:old"})


def test_an_image_without_a_name_can_t_be_given_one():
    assert pick(node(images={"sha256:new": ()}, layers=LAYERS)).way is Way.ARCHIVE


@pytest.mark.parametrize(("quick", "way"), [(True, Way.PUSH), (False, Way.ARCHIVE)])
def test_the_engine_pushes_where_that_is_quick(quick, way):
    move = pick(node(layers=LAYERS[:3]), quick=quick)
    assert (move.way, move.layers) == (way, {LAYERS[3]})


def test_each_node_gets_what_it_lacks():
    move = pick(
        node("a", layers=LAYERS[:3]),
        node("b"),
        node("c"),
        node("d", {"sha256:new": (NAME,)}, LAYERS),
    )
    assert move.missing_layers == {"a": {LAYERS[3]}, "b": set(LAYERS), "c": set(LAYERS)}
    assert move.groups() == [(frozenset({LAYERS[3]}), ("a",)), (frozenset(LAYERS), ("b", "c"))]


def test_room_is_needed_for_what_comes_and_while_it_is_unpacked():
    spare = 64 << 20
    move = pick(node("a", layers=LAYERS[:3]), node("b"))
    alone = Space(spare + 80, 1 << 42, 1, 1)
    assert (
        find_space_problems(
            [move], [node("a", free=spare + 20), replace(node("b"), space=alone)], ANY
        )
        == []
    )
    problems = find_space_problems(
        [move],
        [node("a", free=spare + 19), replace(node("b"), space=replace(alone, free=spare + 79))],
        ANY,
    )
    assert [p.split()[0] for p in problems] == ["a", "b"]
    assert (
        find_space_problems([pick(node(images={"sha256:new": (NAME,)}))], [node(free=0)], ANY) == []
    ), "nothing comes"


def test_nodes_of_one_disk_need_room_for_all_of_them():
    spare = 64 << 20
    move = pick(node("a", layers=LAYERS[:3]), node("b"))
    assert (
        find_space_problems([move], [node("a", free=spare + 100), node("b", free=spare + 100)], ANY)
        == []
    )
    assert (
        len(
            find_space_problems(
                [move], [node("a", free=spare + 99), node("b", free=spare + 99)], ANY
            )
        )
        == 2
    )


def test_a_budget_that_would_be_exceeded_is_told():
    roomy = Space(1 << 30, 10 << 30, 0, 0)
    there = replace(node("a"), space=roomy)
    assert find_space_problems([pick(there)], [there], Budget(keep_free="512Mi")) == []
    assert "9.0 GiB" in find_space_problems([pick(there)], [there], Budget(keep_free="1Gi"))[0]


HISTORY = st.lists(st.integers(0, 9).map(lambda n: digest(str(n))), min_size=1, max_size=8)


@given(history=HISTORY, nodes=st.lists(st.lists(HISTORY, max_size=4), min_size=1, max_size=4))
def test_what_is_sent_and_what_is_there_make_the_image_whole_in_every_node(history, nodes):
    have = [
        NodeImages(
            f"n{n}",
            {},
            frozenset(c for image in images for c in chain_ids(image)),
            frozenset(),
            Space(1, 1, 1, 1),
        )
        for n, images in enumerate(nodes)
    ]
    image = Image("sha256:new", "amd64", 1, {}, (), tuple(history))
    move = plan_move(Source("a:1", image, (1,) * len(history)), NAME, have, set(), lambda *_: True)
    assert sorted(n for _, group in move.groups() for n in group) == sorted(h.node for h in have)
    for layers, group in move.groups():
        for look in (h for h in have if h.node in group):
            above = {
                d
                for d, c in zip(history, chain_ids(history), strict=True)
                if c not in look.snapshots
            }
            assert layers == above, "all that is not there, and nothing that is"


@pytest.mark.parametrize(
    ("history", "layers", "expected"),
    [
        ([5, 0, 7], 2, (5, 7)),
        ([5, 0, 7], 3, (0, 5, 7)),
        ([0, 0], 1, (0,)),
        ([], 0, ()),
        ([1, 2, 3], 2, (2, 3)),
    ],
)
def test_sizes_are_those_of_the_steps_that_made_something(history, layers, expected):
    assert sizes(history, layers) == expected


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), max_size=8))
def test_the_uppermost_layers_never_have_more_than_is_said(steps):
    """A step has bytes or not, and made a layer or not; one with bytes made one."""
    real = [size for size, made in steps if made or size]
    told = sizes([size for size, _ in steps], len(real))
    assert len(told) == len(real)
    for count in range(len(real) + 1):
        assert sum(told[len(told) - count :]) >= sum(real[len(real) - count :])
