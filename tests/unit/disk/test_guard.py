"""Room before it is needed: asked for, made by itself, or refused, as the user says."""

from types import SimpleNamespace

import pytest

from devenv import data
from devenv.base.errors import Exit
from devenv.disk.guard import Guard
from devenv.disk.plan import ENGINE, Thing, Worth
from devenv.disk.prune import Prune
from devenv.ports.host import Space
from devenv.profiles.load import load
from devenv.profiles.model import Budget, Budgets
from tests.fakes.disk import FakeSurveyor
from tests.fakes.world import FakeClock, FakeHost, FakeReporter

MIB = 1 << 20


@pytest.fixture
def guard(tmp_path):
    def make(policy: str, *, answer: bool = False, free: int = 50) -> Guard:
        budget = Budget(keep_free="100Mi", headroom="100Mi")
        profile = load("offline", data.root() / "profiles").model_copy(
            update={"auto_prune": policy, "budgets": Budgets(engine=budget, host=budget)}
        )
        log: list[str] = []
        at = FakeSurveyor(FakeHost(tmp_path, log), FakeClock(), profile, log=log)
        at.things, at.free = (
            [Thing("old:1", Worth.IMAGE, {"x": 200 * MIB}, 1, "", ENGINE, "id", ("old:1",))],
            free * MIB,
        )
        at.stock.images = {"id": ("old:1",)}
        at.stock.info = lambda: SimpleNamespace(local=True, data_root=tmp_path)
        at.host.space = lambda _: Space(at.free, at.total, 0, 0)
        return Guard(Prune(at, FakeReporter(log)), lambda _: log.append("asked") or answer)

    return make


def gone(one: Guard) -> bool:
    return "gone old:1" in one.prune.surveyor.log


def test_below_the_budget_nothing_is_asked(guard):
    one = guard("ask", free=150)
    one.make({ENGINE: 40 * MIB}, 0)
    assert "asked" not in one.prune.surveyor.log


def test_yes_makes_room_by_itself_and_journals_it_first(guard):
    one = guard("yes")
    one.make({ENGINE: 0}, 0)
    log = one.prune.surveyor.log
    assert gone(one)
    assert "asked" not in log
    assert log.index("remove old:1") < log.index("gone old:1")


def test_what_is_about_to_come_counts(guard):
    one = guard("yes", free=150)
    one.make({ENGINE: 60 * MIB}, 0)
    assert gone(one)


@pytest.mark.parametrize(("policy", "answer"), [("no", True), ("ask", False)])
def test_without_a_yes_it_is_refused_and_nothing_is_removed(guard, expect_error, policy, answer):
    one = guard(policy, answer=answer)
    with expect_error(Exit.PREREQUISITE):
        one.make({ENGINE: 0}, 0)
    assert not gone(one)
    one.make({ENGINE: 0}, 0, strict=False)


def test_a_yes_to_the_question_makes_room(guard):
    one = guard("ask", answer=True)
    one.make({ENGINE: 0}, 0)
    assert gone(one)


def test_an_engine_that_is_elsewhere_is_not_judged_by_this_machines_disk(guard, tmp_path):
    one = guard("no")
    one.prune.surveyor.stock.info = lambda: SimpleNamespace(local=False, data_root=tmp_path)
    one.make({ENGINE: 0}, 0)
