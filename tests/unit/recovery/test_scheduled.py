"""What runs by itself: quiet where all is well, and never half of the cure."""

from types import SimpleNamespace

import pytest

from devenv import data
from devenv.base.errors import DevenvError, LockedError
from devenv.disk.history import History
from devenv.disk.plan import ENGINE, Thing, Worth
from devenv.disk.prune import Prune
from devenv.disk.schedule import Jobs
from devenv.ports.containers import Node
from devenv.profiles.load import load
from devenv.recovery.scheduled import Report, Scheduled
from devenv.workstation.schedule import Schedule
from tests.fakes.disk import FakeSurveyor
from tests.fakes.world import FakeClock, FakeHost, FakeReporter

MIB = 1 << 20
WELL = SimpleNamespace(causes=())
LATCHED = SimpleNamespace(
    causes=(SimpleNamespace(root=SimpleNamespace(code="DE401", says="The filter is lost.")),)
)


@pytest.fixture
def scheduled(tmp_path):
    def make(*, free: int, found=WELL, recover: bool = False, running: bool = True) -> Scheduled:
        host, clock = FakeHost(tmp_path, []), FakeClock()
        at = FakeSurveyor(
            host, clock, load("offline", data.root() / "profiles"), history=History(host, clock)
        )
        at.things, at.free = (
            [Thing("old:1", Worth.IMAGE, {"x": 200 * MIB}, 1, "", ENGINE, "id", ("old:1",))],
            free * MIB,
        )
        at.stock.images = {"id": ("old:1",)}
        status = "running" if running else "exited"
        containers = SimpleNamespace(nodes=lambda _: [Node("n", "1", status, "c")])
        log: list[str] = []
        keeper = Schedule(host, clock, [], [], dict)
        return Scheduled(
            "c", Prune(at, FakeReporter([])), containers, lambda: found, (lambda: log.append("recover")) if recover else None,
            lambda report: keeper.keep(report.says),
        )  # fmt: skip

    return make


def history(one: Scheduled) -> list[str]:
    return [e["event"] for e in one.prune.surveyor.history.entries()]


def test_where_all_is_well_nothing_is_said_but_that_it_ran(scheduled):
    one = scheduled(free=500)
    assert one.run() == Report()
    assert history(one) == []
    assert Jobs(one.prune.surveyor.host).last()["says"] == "all is well"


def test_room_is_made_journalled_and_told(scheduled):
    one = scheduled(free=50)
    assert one.run() == Report("200 MiB freed on host")
    assert history(one) == ["remove", "removed", "schedule"]


def test_a_gateway_that_latched_meanwhile_is_found_and_with_recover_repaired(scheduled):
    assert scheduled(free=500, found=LATCHED).run() == Report(
        "DE401 The filter is lost.; run `devenv recover`", well=False
    )
    one = scheduled(free=50, found=LATCHED, recover=True)
    assert one.run() == Report("200 MiB freed on host; DE401 The filter is lost.; repaired")


def test_a_cluster_that_was_stopped_is_left_alone(scheduled):
    assert scheduled(free=500, found=LATCHED, recover=True, running=False).run() == Report()


def test_it_gives_up_politely_where_something_is_being_loaded(scheduled):
    one = scheduled(free=50)

    def taken(name):
        raise LockedError(f"{name} is being changed by process 7.")

    one.prune.surveyor.host.lock = taken
    report = one.run()
    assert report.says.startswith("gave up: ")
    assert "process 7" in report.says
    assert not report.well
    assert "remove" not in history(one)


def test_what_could_not_be_removed_is_told_and_the_cluster_is_looked_at_all_the_same(scheduled):
    one = scheduled(free=50, found=LATCHED)
    one.prune.surveyor.things = []
    report = one.run()
    assert not report.well
    space, cluster, command = report.says.split("; ")
    assert space.startswith("host ")
    assert cluster.startswith("DE401 ")
    assert "devenv recover" in command
    assert Jobs(one.prune.surveyor.host).last()["says"] == report.says


@pytest.mark.parametrize("error", [DevenvError("It broke."), OSError("disk"), ValueError("mine")])
def test_a_part_that_fails_does_not_keep_the_other_from_being_done(scheduled, error):
    one = scheduled(free=50, found=LATCHED)

    def fail(**_):
        raise error

    one.prune.surveyor.look = fail
    report = one.run()
    assert str(error) in report.says
    assert "DE401" in report.says
    assert history(one) == ["schedule"]
