"""The shapes of `doctor -o json` and `recover -o json` are promises, and the text must be readable."""

from dataclasses import replace

import pytest
from rich.text import Text

from devenv.diagnosis import codes
from devenv.diagnosis.changes import Change
from devenv.diagnosis.model import (
    Advice,
    Cause,
    Command,
    Diagnosis,
    Evidence,
    Finding,
    Joint,
    LiveResult,
    Place,
    Subject,
    Unknown,
    Verdict,
)
from devenv.disk.plan import Removal, Thing, Worth
from devenv.disk.prune import DiskPlan
from devenv.disk.prune import Proposal as RoomProposal
from devenv.facts.logs import LogLine
from devenv.recovery.drift import Drift
from devenv.recovery.plan import Kind, Plan, RepairStep
from devenv.recovery.proposal import Proposal
from devenv.recovery.recover import Recovery
from devenv.ui import diagnosis as show
from devenv.ui import logs, recovery
from devenv.ui.codes import code_shape
from devenv.ui.diagnosis import joined, joined_causes
from devenv.ui.disk import REASONS
from tests.fakes.disk import FakeSurveyor

ROOT = Finding(
    "DE201",
    Subject("node", "n"),
    "The disk is full.",
    (Evidence("df", "0 B free", 0.0), Evidence("log x", "no space", 100.0)),
    (Command(("devenv", "recover")),),
)
AFTER = Finding(
    "DE601",
    Subject("request", "extension"),
    "Requests fail.",
    (Evidence("access log", "first", 160.0),),
)
FOUND = Diagnosis(
    "c", "offline", 220.0, (Cause(ROOT, (AFTER,)),), requests=(LiveResult("direct", is_proven=True), LiveResult("extension", is_proven=False)), broken=frozenset({Place.FILTER}),
    proven=frozenset(Place) - {Place.PLUGINS},
)  # fmt: skip
FINDING = {
    "code": "DE601", "subject": "request extension", "says": "Requests fail.", "verdict": "failed", "confidence": "confirmed",
    "evidence": [{"source": "access log", "text": "first", "time": 160.0}], "fix": [], "reason": "",
}  # fmt: skip


def plain(found, **options):
    return "\n".join(Text.from_markup(line).plain for line in show.lines(found, **options))


def test_shape_of_doctor():
    shape = show.diagnosis_shape(FOUND)
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
        "reason",
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
    places = {p.pop("place"): p for p in shape["path"]}
    assert places["client"] == {"broken": False, "state": "proven"}
    # A request that took another way came through it.
    assert places["filter"] == {"broken": True, "state": "broken"}
    assert places["plugins"] == {"broken": False, "state": "unproven"}


def test_shape_of_a_code():
    assert set(code_shape(codes.get("de201"))) == {
        "code",
        "title",
        "meaning",
        "why",
        "fix",
        "source",
        "place",
    }


def test_shape_of_recover():
    step = RepairStep(Kind.RESTART, "proxy", "DE201")
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
    assert set(shape) == {
        "cluster",
        "diagnosis",
        "steps",
        "removals",
        "put_back",
        "changes",
        "beyond",
    }
    assert (shape["put_back"], shape["changes"]) == ([], [])
    assert shape["removals"] == [
        {
            "place": "n",
            "name": "old:1",
            "kind": "image",
            "reason": REASONS[Worth.IMAGE],
            "last_used": 7,
            "frees": 5,
        }
    ]


def test_shape_of_what_is_put_back(check_message):
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "n", "name": "d"},
    }
    changed = Drift(
        manifest, by=("kubectl",), changes=(Change("spec.a", "0", "1"), Change("spec.b", "", "2"))
    )
    missing = Drift({**manifest, "kind": "Service"}, is_missing=True)
    shape = recovery.plan_shape("c", Proposal(FOUND, Plan((), ()), drifts=(changed, missing)))
    # The texts are older than the values.
    names = [text.partition(":")[0] for text in shape["put_back"]]
    assert names == ["Deployment n/d", "Service n/d"]
    check_message("\n".join(shape["put_back"]))
    assert shape["changes"] == [
        {
            "object": "Deployment n/d",
            "missing": False,
            "by": ["kubectl"],
            "fields": [
                {"path": "spec.a", "old": "0", "new": "1"},
                {"path": "spec.b", "old": None, "new": "2"},
            ],
        },
        {"object": "Service n/d", "missing": True, "by": [], "fields": []},
    ]


def test_the_places_of_a_path_differ_without_colour():
    path, *explanation = [Text.from_markup(line).plain for line in show.path_lines(FOUND)]
    signs = {place: sign for sign, place in (part.split(maxsplit=1) for part in path.split(" → "))}
    assert set(signs) == {place.value for place in Place}
    assert len({signs["client"], signs["filter"], signs["plugins"]}) == 3
    assert explanation, "a sign that is not clear by itself"
    assert len(show.path_lines(replace(FOUND, proven=frozenset(Place)))) == 1


def test_shape_of_a_log_line():
    line = LogLine("t", "proxy", "p", "envoy", "text", "DE901")
    assert logs.log_shape(line) == {
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


def test_since_is_told_with_how_long_that_is(check_message):
    (since,) = [line for line in plain(FOUND).splitlines() if "since" in line]
    check_message(since)


def test_what_is_under_way_is_neither_fault_nor_health(check_message):
    rollout = Finding(
        "DE312",
        Subject.component("proxy"),
        "x is being rolled out: 0 of 1.",
        verdict=Verdict.PROGRESS,
    )
    check_message(plain(Diagnosis("c", "offline", 1.0, progress=(Cause(rollout),))))


def test_what_could_not_be_told_says_so(check_message):
    told = plain(Diagnosis("c", "offline", 1.0, unknown=(Unknown("Envoy x", "no answer"),)))
    assert told.startswith("? ")
    check_message(told)


def test_the_harmless_is_named_only_when_asked(check_message):
    found = Diagnosis(
        "c",
        "offline",
        1.0,
        harmless=(
            Finding("DE902", Subject("x"), "There are no ModelAdapters.", verdict=Verdict.HARMLESS),
        ),
    )
    assert "DE902" not in plain(found)
    check_message(plain(found, everything=True))


@pytest.mark.parametrize("text", ["[red]", "[/]", "[not markup"])
def test_what_logs_say_is_no_markup(text):
    root = Finding("DE302", Subject(text), text, (Evidence(text, text),), (Advice(text),))
    assert text in plain(Diagnosis("c", "offline", 1.0, (Cause(root),)))


def test_the_same_failure_on_several_routes_is_one_effect(check_message):
    routes = ("direct", "extension", "plain")
    refused = [replace(AFTER, says=f"{r} fails", joint=Joint(r, "{} fail: {}")) for r in routes]
    other = replace(AFTER, says="reset", joint=Joint("plain", "{} fail: reset"))
    codes_and_sentences = joined([*refused, other, AFTER])
    assert [code for code, _ in codes_and_sentences] == ["DE601"] * 3
    check_message("\n".join(says for _, says in codes_and_sentences))


def test_the_same_root_on_several_routes_is_one_root(check_message):
    routes = ("direct", "extension")
    roots = [
        replace(
            ROOT,
            joint=Joint(route, "Requests by the routes {} fail."),
            evidence=(Evidence(f"request {route}", "refused"),),
            fix=(Command(("devenv", "request", "--route", route)),),
        )
        for route in routes
    ]
    diagnosis = Diagnosis("c", "offline", 1.0, (Cause(roots[0]), Cause(roots[1]), Cause(ROOT)))
    assert [len(cause.root.fix) for cause in joined_causes(diagnosis)] == [2, len(ROOT.fix)]
    check_message(plain(diagnosis))
    different = replace(diagnosis, causes=(Cause(roots[0], (AFTER,)), Cause(roots[1])))
    assert len(joined_causes(different)) == 2
