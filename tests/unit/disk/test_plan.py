"""A plan never takes what must stay, never promises a byte twice, and suffices wherever what may go does."""

from hypothesis import given
from hypothesis import strategies as st

from devenv.disk.budget import marks, used
from devenv.disk.plan import Removal, Thing, Worth, plan
from devenv.ports.host import Space
from devenv.profiles.model import Budget

PARTS = {f"layer{n}": size for n, size in enumerate([1, 5, 10, 50, 100, 300, 0])}


def freed(things, gone) -> int:
    """Bytes of the parts that only these have."""
    names = {t.name for t in gone}
    left = {part for t in things if t.name not in names for part in t.parts}
    return sum(PARTS[p] for p in {p for t in gone for p in t.parts} - left)


@st.composite
def inventories(draw):
    number = draw(st.integers(0, 8))
    return [
        Thing(
            f"image{n}",
            draw(st.sampled_from(Worth)),
            {p: PARTS[p] for p in draw(st.sets(st.sampled_from(sorted(PARTS))))},
            draw(st.integers(0, 5)),
            draw(st.sampled_from(["", "", "a container has it"])),
        )
        for n in range(number)
    ]


@given(inventories(), st.integers(0, 600))
def test_what_must_stay_stays(things, goal):
    assert not [r for r in plan(things, goal) if r.thing.kept]


@given(inventories(), st.integers(0, 600))
def test_the_goal_is_reached_wherever_what_may_go_suffices(things, goal):
    possible = freed(things, [t for t in things if not t.kept])
    assert sum(r.frees for r in plan(things, goal)) >= min(goal, possible)


@given(inventories(), st.integers(0, 600))
def test_no_byte_is_promised_twice_and_none_that_somebody_else_has(things, goal):
    planned = plan(things, goal)
    gone = {r.thing.name for r in planned}
    left = {part for t in things if t.name not in gone for part in t.parts}
    really = sum(
        size
        for part, size in PARTS.items()
        if part not in left and any(part in r.thing.parts for r in planned)
    )
    assert sum(r.frees for r in planned) == really


@given(inventories(), st.integers(0, 600))
def test_no_image_goes_in_vain(things, goal):
    planned = [r.thing for r in plan(things, goal)]
    whole = freed(things, planned)
    for thing in (
        t for t in planned if t.worth not in {Worth.STALE, Worth.BUILD_CACHE, Worth.BLOB}
    ):
        needed = whole if thing.worth is Worth.DANGLING else min(goal, whole)
        assert freed(things, [t for t in planned if t is not thing]) < needed


def test_nothing_dearer_takes_the_place_of_waste():
    earlier_build = Thing("image", Worth.DANGLING, {"layer": 1})
    cache = Thing("go-build", Worth.CACHE, {"files": 8})
    assert [r.thing for r in plan([cache, earlier_build], 5)] == [earlier_build, cache]


def test_a_waste_that_frees_nothing_stays():
    earlier_build = Thing("image", Worth.DANGLING, {"layer": 1})
    image = Thing("named", Worth.IMAGE, {"layer": 1}, kept="a container has it")
    cache = Thing("go-build", Worth.CACHE, {"files": 8})
    assert [r.thing for r in plan([image, cache, earlier_build], 5)] == [cache]


def test_the_cheapest_goes_first_then_what_was_not_used_for_longest():
    stale = Thing("stale", Worth.STALE, {"a": 10}, used=9)
    old, new = (
        Thing("old", Worth.IMAGE, {"b": 10}, used=1),
        Thing("new", Worth.IMAGE, {"c": 10}, used=2),
    )
    assert plan([new, old, stale], 15) == (Removal(stale, 10), Removal(old, 10))


def test_layers_that_are_shared_go_with_the_last():
    one, two = (
        Thing("one", Worth.IMAGE, {"base": 100, "a": 1}, 1),
        Thing("two", Worth.IMAGE, {"base": 100, "b": 1}, 2),
    )
    assert plan([one, two], 50) == (Removal(one, 1), Removal(two, 101))
    assert plan([one, Thing("two", Worth.IMAGE, {"base": 100}, kept="pinned")], 50) == (
        Removal(one, 1),
    )


GIB = 1 << 30


def test_marks_and_what_must_go():
    space = Space(10 * GIB, 100 * GIB, 1, 1)
    found = marks(Budget(keep_free="20%", max_use="100%", headroom="10%"), space)
    assert (found.high, found.low) == (80 * GIB, 70 * GIB)
    assert found.over(space)
    assert used(space) - found.low == 20 * GIB
    assert not found.over(Space(20 * GIB, 100 * GIB, 1, 1))
    assert found.over(Space(20 * GIB, 100 * GIB, 1, 1), incoming=1)
    assert marks(Budget(keep_free="0", max_use="50Gi"), space).high == 50 * GIB
    assert marks(Budget(keep_free="200Gi"), space).high == 0
