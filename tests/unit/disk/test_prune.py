"""Orderings and failures of a prune, on fakes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.disk.budget import Marks
from devenv.disk.engine import BUILD_CACHE
from devenv.disk.plan import ENGINE, HOST, Thing, Worth
from devenv.disk.prune import SCHEDULE, USER, Prune
from devenv.ports.processes import Completed
from devenv.profiles.load import load
from tests.fakes.disk import FakeSurveyor
from tests.fakes.world import FakeClock, FakeHost, FakeReporter

MIB = 1 << 20


def image(name: str, size: int = 100, used: float = 1.0, worth: Worth = Worth.IMAGE) -> Thing:
    return Thing(name, worth, {name: size * MIB}, used, "", ENGINE, f"id-{name}", (name,))


@pytest.fixture
def prune(tmp_path):
    log: list[str] = []
    profile = load("offline", data.root() / "profiles")
    at = FakeSurveyor(FakeHost(tmp_path, log), FakeClock(), profile, log=log)

    def make(*things: Thing, free: int = 0) -> Prune:
        at.things, at.free = list(things), free * MIB
        at.stock.images = {t.id: t.names for t in things if t.place == ENGINE and t.names}
        return Prune(at, FakeReporter([]))

    return make


def did(one: Prune) -> list[str]:
    return [line for line in one.surveyor.log if line.split()[0] in {"gone", "drop", "restore"}]


def test_a_disk_below_its_high_mark_is_left_alone(prune):
    one = prune(image("a"), free=101)
    assert one.propose().empty
    assert did(one) == []


def test_it_stops_at_the_low_mark_whatever_was_planned(prune):
    one = prune(image("a", 100, 1), image("b", 100, 2), image("c", 100, 3), free=50)
    proposal = one.propose()
    assert [r.thing.name for p in proposal.plans for r in p.removals] == ["a", "b"]
    one.surveyor.free = 60 * MIB  # something else went meanwhile
    one.surveyor.things[0] = image("a", 150)
    outcome = one.run(proposal, USER, 0)
    assert did(one) == ["gone a", "restore ballast"]
    assert not outcome.unfinished


def test_a_full_disk_gets_what_needs_no_space_then_its_ballast_then_the_rest(prune, tmp_path):
    stale = tmp_path / "stale"
    stale.write_text("x")
    one = prune(
        image("a", 300), Thing(str(stale), Worth.STALE, {"s": MIB}, place=HOST, id=str(stale))
    )
    one.run(one.propose(), USER, 0)
    assert not stale.exists()
    journal = [line for line in one.surveyor.log if "lock" not in line]
    assert journal == [
        f"remove {stale}", f"removed {stale}", "drop ballast", "remove a", "gone a", "removed a", "restore ballast",
    ]  # fmt: skip


def test_what_somebody_uses_by_now_stays_and_is_told(prune, check_message):
    one = prune(image("a", 200))
    proposal = one.propose()
    one.surveyor.stock.users["id-a"] = "somebody"
    outcome = one.run(proposal, USER, 0)
    (removal,) = outcome.removals
    check_message(removal.skipped)
    assert outcome.unfinished
    assert did(one) == ["drop ballast", "restore ballast"]


def test_an_image_that_has_other_names_by_now_stays(prune, check_message):
    one = prune(image("a", 200))
    proposal = one.propose()
    one.surveyor.things[0] = replace(one.surveyor.things[0], names=("a", "mine:1"))
    check_message(one.run(proposal, USER, 0).removals[0].skipped)
    assert did(one) == ["drop ballast", "restore ballast"]


def test_what_nobody_confirmed_is_not_removed_where_it_can_t_be_journalled(prune, expect_error):
    one = prune(image("a", 200), free=50)

    def full(event, **_):
        raise OSError("full")

    one.surveyor.history.note = full
    with expect_error(Exit.FAILED):
        one.run(one.propose(), SCHEDULE, 0)
    assert "gone a" not in did(one)
    one.run(one.propose(), USER, 0)
    assert "gone a" in did(one)


def test_an_engine_that_refuses_is_told_and_the_rest_goes_on(prune):
    one = prune(image("a", 200, 1), image("b", 200, 2))
    proposal = one.propose(300 * MIB)

    def refuse(ref):
        if ref == "id-a":
            raise DevenvError("The Docker engine refused.", "conflict")
        type(one.surveyor.stock).untag(one.surveyor.stock, ref)

    one.surveyor.stock.untag = refuse
    outcome = one.run(proposal, USER, 0)
    assert [(d.thing.name, d.skipped) for d in outcome.removals] == [("a", "conflict"), ("b", "")]


def test_asked_for_bytes_are_freed_below_the_mark_too(prune):
    one = prune(image("a", 100, 1), image("b", 100, 2), free=500)
    outcome = one.run(one.propose(50 * MIB), USER, 0)
    assert did(one) == ["gone a", "restore ballast"]
    assert outcome.freed == 100 * MIB


def test_asked_for_bytes_count_though_somebody_writes_meanwhile(prune):
    one = prune(image("a", 100, 1), image("b", 100, 2), free=500)
    proposal = one.propose(90 * MIB)
    # A build that began after the plan was shown.
    one.surveyor.free -= 80 * MIB
    outcome = one.run(proposal, USER, 0)
    assert [removal.thing.name for removal in outcome.removals] == ["a"]
    assert not outcome.unfinished


def test_what_is_about_to_come_must_fit_too(prune):
    one = prune(image("a", 100), free=150)
    assert one.propose().empty
    assert [r.thing.name for p in one.propose(incoming=60 * MIB).plans for r in p.removals] == ["a"]


def test_what_is_needed_by_now_stays_though_it_was_planned(prune, check_message):
    """A plan may stand in a question, or wait for a lock, for long."""
    one = prune(image("a", 200))
    proposal = one.propose()
    one.surveyor.things[0] = replace(one.surveyor.things[0], kept="a workload")
    (removal,) = one.run(proposal, USER, 0).removals
    check_message(removal.skipped)


def in_node(prune, users: str, worth: Worth = Worth.IMAGE) -> tuple[Prune, list[list[str]]]:
    one, ran = (
        prune(Thing("old:1", worth, {"x": 200 * MIB}, 1, "", "n", "sha256:1", ("old:1",))),
        [],
    )
    one.surveyor.places = ("n",)

    def execute(_, argv, stdin=None):
        ran.append(list(argv))
        return Completed(0, f'{{"containers": {users}}}')

    one.surveyor.containers = SimpleNamespace(exec=execute)
    return one, ran


def test_a_nodes_image_goes_by_its_id_unless_a_container_has_it_by_now(prune):
    one, ran = in_node(prune, "[]")
    one.run(one.propose(), USER, 0)
    assert ["crictl", "rmi", "sha256:1"] in ran
    one, ran = in_node(prune, '[{"imageRef": "sha256:1"}]')
    assert "a container " in one.run(one.propose(), USER, 0).removals[0].skipped
    assert ["crictl", "rmi", "sha256:1"] not in ran


def test_where_nothing_comes_of_it_it_stops(prune):
    """An engine in a VM that is taken for one on this machine, for one."""
    one = prune(*(image(f"a{n}", 600, n) for n in range(6)), free=0)
    one.surveyor.total, one.surveyor.marks = 4000 * MIB, Marks(900 * MIB, 800 * MIB)
    one.surveyor.gone = lambda _: None
    outcome = one.run(one.propose(), USER, 0)
    assert len(outcome.removals) == 3
    assert outcome.unfinished


def test_a_budget_that_leaves_nothing_is_refused(prune, expect_error):
    one = prune(image("a"))
    one.surveyor.marks = Marks(0, 0)
    with expect_error(Exit.USAGE):
        one.propose()


def test_a_place_that_is_not_there_is_refused_with_those_that_are(prune, expect_error):
    with expect_error(Exit.USAGE):
        prune().propose(place="nowhere")


def test_build_cache_that_came_after_it_was_listed_stays(prune):
    one = prune(
        Thing(
            "build cache",
            Worth.BUILD_CACHE,
            {"cache": 200 * MIB},
            940.0,
            place=ENGINE,
            id=BUILD_CACHE,
        )
    )
    proposal = one.propose()
    one.surveyor.clock.time = 1000.0
    one.run(proposal, USER, 0)
    assert one.surveyor.stock.unused_for == 60.0
