"""The shapes of `doctor -o json` and `recover -o json` are promises, and the text must be readable."""

import pytest
from rich.text import Text

from devenv.diagnosis import codes
from devenv.diagnosis.model import Cause, Diagnosis, Evidence, Finding, Place, Verdict
from devenv.disk.plan import Removal, Thing, Worth
from devenv.disk.prune import DiskPlan
from devenv.disk.prune import Proposal as RoomProposal
from devenv.facts.logs import LogLine
from devenv.recovery.plan import Kind, Plan, Planned
from devenv.recovery.recover import Proposal, Recovery
from devenv.ui import diagnosis as show
from devenv.ui import logs, recovery
from tests.fakes.disk import FakeSurveyor

ROOT = Finding(
    "DE201",
    "node n",
    "The disk is full.",
    (Evidence("df", "0 B free", 0.0), Evidence("log x", "no space", 100.0)),
    ("devenv recover",),
)
AFTER = Finding(
    "DE601", "request extension", "Requests fail.", (Evidence("access log", "first", 160.0),)
)
FOUND = Diagnosis(
    "c", "offline", 220.0, (Cause(ROOT, (AFTER,)),), requests=(("direct", True), ("extension", False)), broken=frozenset({Place.FILTER}),
)  # fmt: skip
FINDING = {
    "code": "DE601", "subject": "request extension", "says": "Requests fail.", "verdict": "failed", "confidence": "confirmed",
    "evidence": [{"source": "access log", "text": "first", "time": 160.0}], "fix": [],
}  # fmt: skip


def plain(found, **options):
    return "\n".join(Text.from_markup(line).plain for line in show.lines(found, **options))


def test_shape_of_doctor():
    shape = show.shape(FOUND)
    assert set(shape) == {
        "cluster",
        "profile",
        "taken",
        "healthy",
        "causes",
        "in_progress",
        "unknown",
        "harmless",
        "requests",
        "path",
        "ignored",
    }
    (cause,) = shape["causes"]
    assert set(cause) == {
        "code",
        "subject",
        "says",
        "verdict",
        "confidence",
        "evidence",
        "fix",
        "since",
        "consequences",
        "timeline",
    }
    assert cause["consequences"] == [FINDING]
    assert cause["since"] == 100.0
    assert [e["time"] for e in cause["timeline"]] == [100.0, 160.0]
    assert cause["evidence"][0] == {"source": "df", "text": "0 B free", "time": None}
    assert {p["place"]: p["broken"] for p in shape["path"]}["filter"] is True


def test_shape_of_a_code():
    assert set(show.code_json(codes.get("de201"))) == {
        "code",
        "title",
        "meaning",
        "why",
        "fix",
        "source",
        "place",
    }


def test_shape_of_recover():
    step = Planned(Kind.RESTART, "proxy", "DE201")
    assert set(recovery.recovery_shape(Recovery("c", FOUND, FOUND, (step,), ()))) == {
        "cluster",
        "before",
        "after",
        "done",
        "repaired",
        "requests",
    }
    assert recovery.step_shape(step) == {
        "kind": "restart",
        "target": "proxy",
        "code": "DE201",
        "codes": ["DE201"],
    }
    survey = FakeSurveyor(None, None, None).look(plan=True)
    thing = Thing("old:1", Worth.IMAGE, {"layer": 5}, 7, "", "n", "id", ("old:1",))
    room = RoomProposal(survey, (DiskPlan(survey.disks[0], 5, (Removal(thing, 5),)),))
    proposal = Proposal(FOUND, Plan((step,), (AFTER,)), (room,))
    shape = recovery.plan_shape("c", proposal)
    assert set(shape) == {"cluster", "diagnosis", "steps", "removals", "put_back", "beyond"}
    assert shape["removals"] == [
        {
            "place": "n",
            "name": "old:1",
            "kind": "image",
            "reason": "not used",
            "last_used": 7,
            "frees": 5,
        }
    ]


def test_shape_of_a_log_line():
    line = LogLine("t", "proxy", "p", "envoy", "text", "DE901")
    assert logs.shape(line) == {
        "time": "t",
        "component": "proxy",
        "pod": "p",
        "container": "envoy",
        "text": "text",
        "code": "DE901",
    }


def test_the_root_comes_first_then_what_follows_then_the_fix():
    told = plain(FOUND)
    order = ["one root cause", "✗ filter", "DE201", "df: 0 B free", "DE601", "  When:", "  Fix:"]
    assert [told.index(part) for part in order] == sorted(told.index(part) for part in order)


def test_since_is_told_with_how_long_that_is():
    assert "since 1970-01-01 00:01:40Z, 120 s before this look" in plain(FOUND).replace(
        "2 min", "120 s"
    )


def test_what_is_under_way_is_neither_fault_nor_health():
    rollout = Finding("DE312", "proxy", "x is being rolled out: 0 of 1.", verdict=Verdict.PROGRESS)
    told = plain(Diagnosis("c", "offline", 1.0, progress=(Cause(rollout),)))
    assert "not ready yet" in told
    assert "in progress" in told


def test_what_could_not_be_told_says_so():
    told = plain(Diagnosis("c", "offline", 1.0, unknown=(("Envoy x", "no answer"),)))
    assert "could not be told" in told
    assert "Envoy x: no answer" in told


def test_the_harmless_is_named_only_when_asked():
    found = Diagnosis(
        "c",
        "offline",
        1.0,
        harmless=(Finding("DE902", "x", "There are no ModelAdapters.", verdict=Verdict.HARMLESS),),
    )
    assert "DE902" not in plain(found)
    assert "DE902 There are no ModelAdapters." in plain(found, everything=True)


@pytest.mark.parametrize("text", ["[red]", "[/]", "[not markup"])
def test_what_logs_say_is_no_markup(text):
    root = Finding("DE302", text, text, (Evidence(text, text),), (text,))
    assert text in plain(Diagnosis("c", "offline", 1.0, (Cause(root),)))
