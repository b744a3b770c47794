import re
from pathlib import Path

from devenv.diagnosis import codes
from devenv.diagnosis.causes import BLINDING, FOLLOWS, causes
from devenv.diagnosis.model import Finding, Verdict

DOCS = Path(__file__).parents[3] / "docs" / "codes.md"
CHECKS = Path(__file__).parents[3] / "devenv" / "diagnosis" / "checks"


def finding(code, about=(), affects=(), verdict=Verdict.FAILED, subject="x") -> Finding:
    return Finding(
        code, subject, code, about=frozenset(about), affects=frozenset(affects), verdict=verdict
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
