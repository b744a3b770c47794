"""What `disk`, `prune` and `schedule` print: shapes that scripts rely on, and lines that fit a person."""

import io
from dataclasses import replace
from datetime import datetime

import pytest
from rich.console import Console

from devenv.disk.accounts import Share
from devenv.disk.budget import Marks
from devenv.disk.ledgers import Disk, Ledger, Survey
from devenv.disk.plan import ENGINE, HOST, Removal, Thing, Worth
from devenv.disk.prune import DiskPlan, Outcome, Proposal, RemovalResult
from devenv.disk.schedule import Job
from devenv.disk.waste import Waste
from devenv.ports.host import Space
from devenv.profiles.model import Budget
from devenv.ui import disk as show
from devenv.ui import prune, schedule
from devenv.workstation.schedule import State

GIB = 1 << 30
SPACE = Space(GIB, 100 * GIB, 10, 1000)
DISK = Disk("1", (HOST, ENGINE), SPACE, Marks(95 * GIB, 90 * GIB, 980), 7200.0)
THING = Thing("old:1", Worth.IMAGE, {"a": GIB}, 86400.0, "", ENGINE, "sha256:1", ("old:1",))
KEPT = Thing(
    "new:1", Worth.IMAGE, {"b": GIB}, 5.0, "the profile has it", ENGINE, "sha256:2", ("new:1",)
)
SHARES = (
    Share("images", GIB, "2, all with a name"),
    Share("image old:1", GIB, "", 5),
    Share("build cache", None, "?"),
)
SURVEY = Survey(
    (Ledger(ENGINE, "/var/lib/docker", "1", SPACE, Budget(), SHARES),),
    (DISK,),
    (THING, KEPT),
    {"n": "it sleeps"},
    ("m",),
)
PLAN = DiskPlan(DISK, 9 * GIB, (Removal(THING, GIB),))
DISK_KEYS = {
    "device", "names", "total", "used", "free", "reserved", "total_inodes", "free_inodes", "high", "low", "over", "full_in",
}  # fmt: skip
THING_KEYS = {"place", "name", "kind", "reason", "last_used"}


@pytest.fixture
def printed():
    """What a report prints on a terminal of 80 columns, without colour."""

    def of(report) -> str:
        out = io.StringIO()
        console = Console(file=out, width=80, no_color=True, highlight=False, emoji=False)
        report.text(console)
        return out.getvalue()

    return of


def test_shape_of_disk():
    shape = show.survey_shape(SURVEY)
    assert set(shape) == {"disks", "ledgers", "stopped", "unknown", "waste"}
    assert set(shape["disks"][0]) == DISK_KEYS
    assert set(shape["ledgers"][0]) == {"name", "path", "device", "budget", "shares"}
    assert shape["ledgers"][0]["shares"][1] == {
        "what": SHARES[1].what,
        "size": GIB,
        "alone": 5,
        "note": "",
        "command": "",
    }
    assert shape["ledgers"][0]["budget"] == {"keep_free": "5%", "max_use": "100%", "headroom": "5%"}


def test_shape_of_a_plan():
    shape = prune.plan_shape(Proposal(SURVEY, (PLAN,)))
    assert set(shape) == {"disks", "kept", "unknown"}
    assert set(shape["disks"][0]) == DISK_KEYS | {"goal", "frees", "removals"}
    assert set(shape["disks"][0]["removals"][0]) == THING_KEYS | {"frees"}
    assert shape["kept"] == [{"place": "engine", "name": "new:1", "why": KEPT.kept}]


def test_shape_of_a_prune():
    shape = prune.outcome_shape(
        Outcome(
            (RemovalResult(THING, 9, 8), RemovalResult(KEPT, 1, 0, "used")),
            (DISK,),
            (SPACE,),
            (DISK,),
        )
    )
    assert set(shape) == {"removed", "skipped", "freed", "estimated", "disks"}
    assert set(shape["removed"][0]) == THING_KEYS | {"estimated", "measured", "why"}
    assert set(shape["disks"][0]) == DISK_KEYS | {"free_after", "left"}
    assert (shape["freed"], shape["estimated"], shape["skipped"][0]["why"]) == (8, 9, "used")


def test_shape_of_a_schedule():
    job = Job(
        11,
        45,
        weekdays=True,
        recover=False,
        cluster="c",
        profile="p",
        python="/py",
        environment={"A": "secret"},
    )
    shape = schedule.status_shape(
        State(job, present=True, next=datetime.fromtimestamp(5).astimezone(), last_at=3.0)
    )
    assert shape == {
        "installed": True,
        "job": {
            "at": "11:45",
            "weekdays": True,
            "recover": False,
            "cluster": "c",
            "backend": "",
            "python": "/py",
        },
        "next": 5,
        "last": {"at": 3, "says": ""},
    }


def test_a_disk_above_its_budget_says_so_and_what_to_do(printed, check_message):
    check_message(printed(show.survey(SURVEY, everything=False)))


def test_what_is_reserved_for_root_is_shown_apart_and_not_as_others_use(printed, check_message):
    space = Space(20 * GIB, 100 * GIB, 10**6, 10**7, 50 * GIB)
    disk = Disk("1", (ENGINE,), space, Marks(95 * GIB, 90 * GIB, 10**7))
    shares = (
        Share("images", 10 * GIB),
        Share("volume v", 15 * GIB, command="docker volume rm v"),
        Share("image a", 5 * GIB, included=True),
    )
    survey = Survey((Ledger(ENGINE, "/", "1", space, Budget(), shares),), (disk,), ())
    # Root's reserve is nobody's use, and the image is among the images.
    check_message(printed(show.survey(survey, everything=False)))
    shape = show.disk_shape(disk)
    assert (shape["used"], shape["reserved"], shape["over"]) == (30 * GIB, 50 * GIB, False)


def test_waste_is_shown_with_the_disk_that_it_is_on(printed):
    waste = (Waste(ENGINE, "a:1", 3, GIB, 1.0, 2.0), Waste("elsewhere", "b:1", 3, GIB, 1.0, 2.0))
    survey = replace(SURVEY, waste=waste)
    told = printed(show.survey(survey, everything=False))
    assert ("a:1" in told, "b:1" in told) == (True, False)
    assert [w["former_name"] for w in show.survey_shape(survey)["waste"]] == ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("other", "size"),
    [
        (replace(KEPT, name="new:2", parts={"b": GIB, "c": GIB}), "2.0"),
        # A layer in a node and one in the engine are two, on whatever disk they are.
        (replace(KEPT, place="n"), "2.0"),
        (replace(KEPT, name="new:2"), "1.0"),
    ],
)
def test_a_part_that_several_things_share_counts_once_among_what_stays(printed, other, size):
    disk = replace(DISK, names=(*DISK.names, "n"))
    survey = replace(SURVEY, disks=(disk,), things=(THING, KEPT, other))
    plan = replace(PLAN, disk=disk)
    words = printed(prune.plan(Proposal(survey, (plan,)))).split()
    items = words.index("items")
    assert words[items - 3 : items] == [size, "GiB", "2"]


def test_a_plan_says_what_each_frees_and_why_it_may_go(printed, check_message):
    check_message(printed(prune.plan(Proposal(SURVEY, (PLAN,)))))
    nothing = Proposal(SURVEY, (DiskPlan(DISK, 0, ()),))
    check_message(printed(prune.plan(nothing)))


def test_the_journal_has_estimated_and_measured(printed, check_message):
    entries = [
        {"at": 1, "event": "remove", "name": "old:1"},
        {
            "at": 2,
            "event": "removed",
            "name": "old:1",
            "who": "schedule",
            "estimated": GIB,
            "measured": 2 * GIB,
        },
        {"at": 3, "event": "skipped", "name": "x", "why": "used", "who": "user"},
        {"at": 4, "event": "schedule", "says": "all gone"},
    ]
    check_message(printed(prune.history(entries)))
    check_message(printed(prune.history([])))


def test_the_largest_images_are_shown_by_their_size_though_others_share_it(printed, check_message):
    small = [Share(f"image small-{n}", GIB, "", GIB) for n in range(6)]
    ledger = replace(SURVEY.ledgers[0], shares=(*small, Share("image large", 9 * GIB, "", 0)))
    check_message(printed(show.survey(replace(SURVEY, ledgers=(ledger,)), everything=False)))
