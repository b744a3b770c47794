"""What runs by itself: quiet where all is well, and never half of the cure."""

from types import SimpleNamespace

import pytest

from devenv import data
from devenv.disk.history import History
from devenv.disk.plan import ENGINE, Thing, Worth
from devenv.disk.prune import Prune
from devenv.disk.schedule import Jobs
from devenv.errors import LockedError
from devenv.ports import Node
from devenv.profiles.load import load
from devenv.recovery.scheduled import Scheduled
from tests.fakes.disk import FakeSurveyor
from tests.fakes.world import FakeClock, FakeHost, FakeReporter

MIB = 1 << 20
WELL = SimpleNamespace(causes=())
LATCHED = SimpleNamespace(causes=(SimpleNamespace(root=SimpleNamespace(code="DE401", says="The filter is lost.")),))


@pytest.fixture
def scheduled(tmp_path):
    def make(*, free: int, found=WELL, recover: bool = False, running: bool = True) -> Scheduled:
        host, clock = FakeHost(tmp_path, []), FakeClock()
        at = FakeSurveyor(host, clock, load("offline", data.root() / "profiles"), history=History(host, clock))
        at.things, at.free = [Thing("old:1", Worth.IMAGE, {"x": 200 * MIB}, 1, "", ENGINE, "id", ("old:1",))], free * MIB
        at.stock.images = {"id": ("old:1",)}
        status = "running" if running else "exited"
        containers = SimpleNamespace(nodes=lambda _: [Node("n", "1", status, "c")])
        log: list[str] = []
        return Scheduled(
            "c", Prune(at, FakeReporter([])), containers, host, lambda: found,
            (lambda: log.append("recover")) if recover else None, log.append,
        )  # fmt: skip

    return make


def history(one: Scheduled) -> list[str]:
    return [e["event"] for e in one.prune.surveyor.history.entries()]


def test_where_all_is_well_nothing_is_said_but_that_it_ran(scheduled):
    one = scheduled(free=500)
    assert one.run() == ""
    assert history(one) == []
    assert Jobs(one.host).last()["says"] == "all is well"


def test_room_is_made_journalled_and_told(scheduled):
    one = scheduled(free=50)
    assert one.run() == "200 MiB freed on host"
    assert history(one) == ["remove", "removed", "schedule"]


def test_a_gateway_that_latched_meanwhile_is_found_and_with_recover_repaired(scheduled):
    assert scheduled(free=500, found=LATCHED).run() == "DE401 The filter is lost.; run `devenv recover`"
    one = scheduled(free=50, found=LATCHED, recover=True)
    assert one.run() == "200 MiB freed on host; DE401 The filter is lost.; repaired"


def test_a_cluster_that_was_stopped_is_left_alone(scheduled):
    assert scheduled(free=500, found=LATCHED, recover=True, running=False).run() == ""


def test_it_gives_up_politely_where_something_is_being_loaded(scheduled):
    one = scheduled(free=50)

    def taken(name):
        raise LockedError(f"{name} is being changed by process 7.")

    one.host.lock = taken
    assert one.run().startswith("gave up: ")
    assert "process 7" in one.run()
    assert "remove" not in history(one)


def test_a_failure_is_written_down(scheduled):
    one = scheduled(free=50)
    one.prune.surveyor.things = []
    assert one.run() == "host + engine is above its budget, and nothing that may go frees anything".replace(" + engine", "")
