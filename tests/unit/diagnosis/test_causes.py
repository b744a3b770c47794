import re
from dataclasses import replace

import pytest

from devenv.diagnosis import codes
from devenv.diagnosis.causes import BLINDING, FOLLOWS, causes, explains
from devenv.diagnosis.model import Finding, Subject, Verdict
from tests.paths import ROOT
from tests.unit.diagnosis.spelled import keys
from tests.unit.diagnosis.typed import faults_of_prose

DOCS = ROOT / "docs" / "codes.md"
CHECKS = ROOT / "devenv" / "diagnosis" / "checks"


def finding(code, about=(), affects=(), verdict=Verdict.FAILED, subject="x") -> Finding:
    return Finding(
        code, Subject(subject), code, about=keys(about), affects=keys(affects), verdict=verdict
    )


def test_the_graph_knows_only_codes_of_the_book():
    named = set(FOLLOWS) | {c for effects in FOLLOWS.values() for c in effects} | BLINDING
    assert named <= set(codes.book())


def test_every_code_is_found_by_a_check():
    text = "".join(p.read_text() for p in CHECKS.glob("*.py"))
    assert {c for c in codes.book() if f'"{c}"' not in text} == set()


def test_every_code_that_a_check_names_is_in_the_book():
    text = "".join(p.read_text() for p in CHECKS.glob("*.py"))
    assert set(re.findall(r'"(DE\d{3})"', text)) - set(codes.book()) == set()


def test_every_code_is_explained_whole():
    for code in codes.book().values():
        assert all((code.title, code.meaning, code.why, code.fix, code.source)), code.code


def test_commands_in_an_explanation_can_be_typed():
    faults: list[str] = []
    for code in codes.book().values():
        for text in (code.meaning, code.why, code.fix):
            faults += faults_of_prose(text)
    assert not faults, faults


def test_the_page_of_codes_is_up_to_date():
    assert DOCS.read_text() == codes.markdown()


def test_what_follows_is_no_root():
    disk = finding("DE201", affects={"*"})
    cache = finding("DE401", affects={"filter", "route/extension"})
    dangling = finding("DE410", {"filter"}, {"route/extension"})
    request = finding("DE601", {"route/extension"})
    (only,) = causes([disk, cache, dangling, request])
    assert [f.code for f in only.findings] == ["DE201", "DE401", "DE410", "DE601"]


def test_what_nothing_explains_is_a_root_of_its_own():
    dangling = finding("DE410", {"filter"}, {"route/extension"})
    direct = finding("DE601", {"route/direct"})
    assert [c.root.code for c in causes([dangling, direct])] == ["DE410", "DE601"]


def test_two_faults_of_one_workload_are_two_roots():
    one, other = (
        finding(c, {"component/a"}, {"component/a"}, subject="a") for c in ("DE301", "DE302")
    )
    assert len(causes([one, other])) == 2


def test_a_fault_explains_before_what_is_under_way_does():
    crash = finding("DE302", {"component/a"}, {"route/plain"})
    rollout = finding("DE312", {"component/b"}, {"route/plain"}, Verdict.PROGRESS, "b")
    request = finding("DE601", {"route/plain"})
    found = {
        c.root.code: [f.code for f in c.consequences] for c in causes([crash, rollout, request])
    }
    assert found == {"DE302": ["DE601"], "DE312": []}


def test_the_harmless_is_no_root():
    assert causes([finding("DE901", verdict=Verdict.HARMLESS)]) == []


def test_what_a_finding_names_is_its_only_cause():
    redis = finding("DE305", {"component/redis"}, {"route/plain"}, subject="redis")
    route = finding("DE503", {"http route/m"}, {"http route/m"}, subject="m")
    request = finding("DE601", {"route/plain"})
    blaming = replace(request, names=keys({"http route/m"}))
    assert [len(c.consequences) for c in causes([redis, route, request])] == [1, 0]
    assert [len(c.consequences) for c in causes([redis, route, blaming])] == [0, 1]
    assert [len(c.consequences) for c in causes([redis, blaming])] == [1]


def test_an_object_explains_what_names_it_whatever_the_codes():
    secret = finding("DE313", {"Secret/n/s"}, {"Secret/n/s"}, subject="Secret n/s")
    image = finding("DE301", {"component/a"}, subject="a")
    assert len(causes([secret, image])) == 2
    (only,) = causes([secret, replace(image, names=keys({"Secret/n/s"}))])
    assert [f.code for f in only.findings] == ["DE313", "DE301"]


def explained_by_one(one, other) -> list[str]:
    """Return the code and subject of each of two findings that explains the other."""
    pairs = [(one, other), (other, one)]
    return [f"{cause.code} {cause.subject}" for cause, effect in pairs if explains(cause, effect)]


def test_the_higher_code_explains_the_lower_one_if_no_edge_leads_back():
    address = finding("DE412", {"gateway"}, {"gateway"})
    filter_ = finding("DE410", {"gateway"}, {"gateway"})
    assert explained_by_one(filter_, address) == ["DE412 x"]
    assert [cause.root.code for cause in causes([filter_, address])] == ["DE412"]


@pytest.mark.parametrize(
    ("first_code", "second_code"), [("DE601", "DE604"), ("DE409", "DE409"), ("DE302", "DE304")]
)
def test_two_findings_never_explain_each_other(first_code, second_code):
    first = finding(first_code, {"a"}, {"a"}, subject="first")
    second = finding(second_code, {"a"}, {"a"}, subject="second")
    assert explained_by_one(first, second) == [f"{first_code} first"]
    assert explained_by_one(second, first) == [f"{first_code} first"]


def test_two_findings_with_edges_to_each_other_need_not_be_about_the_same():
    live = finding("DE601", {"route/a"}, {"limit/a"})
    limit = finding("DE604", {"limit/a"}, {"route/a"})
    assert explained_by_one(limit, live) == ["DE601 x"]


def test_what_a_finding_names_is_no_effect_of_it():
    live = replace(finding("DE601", {"a"}, {"b"}), names=keys({"b"}))
    limit = finding("DE604", {"b"}, {"a"})
    assert explained_by_one(live, limit) == ["DE604 x"]


def test_two_findings_that_name_each_other_are_one_root_cause():
    one = replace(finding("DE313", {"a"}, {"a"}, subject="a"), names=keys({"b"}))
    other = replace(finding("DE313", {"b"}, {"b"}, subject="b"), names=keys({"a"}))
    assert [str(cause.root.subject) for cause in causes([other, one])] == ["a"]
