"""The page: what is on it, and that it loads nothing. test_page_in_browser.py looks at it."""

import re
from html.parser import HTMLParser

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.timeline import Moment, Sort, timeline
from devenv.facts.model import ContainerLog, parse
from devenv.ui.diagnosis import joined
from devenv.ui.page import folded, page, stops
from tests.paths import INCIDENTS
from tests.unit.diagnosis.spelled import fixes
from tests.unit.install.offline import declared_offline

NAMES = sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json"))


def read(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


def made(name):
    facts = read(name)
    return page(facts, diagnose(facts))


class Outline(HTMLParser):
    """Whether every element is closed, and in which order things come."""

    VOID = frozenset({"meta", "link", "input", "br", "wbr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.order, self.refs = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.order.append(tag)
        self.refs += [
            value for key, value in attrs if key in {"src", "href", "srcset", "action", "data"}
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.order.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", NAMES)
def test_it_is_one_whole_file_that_loads_nothing(name):
    text = made(name)
    outline = Outline(text)
    assert outline.open == []
    assert outline.refs == ["data:,"]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", text.partition("</style>")[0])
    assert outline.order.index("h1") < outline.order.index("main"), "the verdict first"
    assert len(text) < 2 << 20


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_every_root_with_its_fix_and_what_follows(name):
    from html import unescape

    found = diagnose(read(name))
    text = unescape(made(name))
    for cause in found.causes:
        assert cause.root.code in text
        assert all(fix in text for fix in fixes(cause.root))
        flat_text = " ".join(text.split())
        assert all(" ".join(says.split()) in flat_text for _, says in joined(cause.consequences))


def test_the_broken_place_is_drawn_and_what_lies_behind_it():
    drawn = {s.name: s for s in stops(diagnose(read("the-incident")))}
    # The route direct has no filter, and leads to the model pod.
    states = ["proven"] * 4 + ["broken", "unproven", "proven"]
    assert [s.state for s in drawn.values()] == states
    assert "DE401" in drawn["filter"].codes
    assert {s.state for s in stops(diagnose(read("healthy")))} == {"proven"}
    assert {s.state for s in stops(diagnose(read("filled-as-root")))} == {"unproven"}


def moment(time, sort=Sort.START):
    return Moment(time, sort, "s", "t")


def test_old_moments_are_folded_and_evidence_is_not():
    starts = [moment(time) for time in range(10)]
    # Three before the onset stay.
    assert folded(starts, onset=8) == 5
    assert folded(starts, onset=5) == 0, "two are not worth a fold"
    assert folded([*starts[:4], moment(4, Sort.EVIDENCE), *starts[5:]], onset=8) == 0
    assert folded([], onset=8) == 0


def test_the_plan_of_recover_has_old_and_new_values():
    facts = read("no-model-pod-and-service-misnamed")
    facts = facts.model_copy(update={"declared": declared_offline()})
    text = page(facts, diagnose(facts))
    (plan,) = re.findall(r'<section class="plan".*?</section>', text, re.DOTALL)
    assert re.search(r"<code>spec\.replicas</code>.*?<del>0</del>.*?<ins>2</ins>", plan, re.DOTALL)
    assert "<strong>Service default/llama2-7b</strong>: missing" in plan


def test_a_plan_for_another_owners_cluster_or_a_healthy_one_is_not_shown():
    facts = read("no-model-pod").model_copy(update={"declared": declared_offline()})
    assert 'class="plan"' in page(facts, diagnose(facts))
    facts = facts.model_copy(update={"context": "elsewhere"})
    assert 'class="plan"' not in page(facts, diagnose(facts))
    assert 'class="plan"' not in made("healthy")


def test_the_time_line_tells_how_it_came_about():
    facts = read("the-incident")
    moments = timeline(facts, diagnose(facts))
    assert [m.time for m in moments] == sorted(m.time for m in moments)
    assert moments[-1].sort is Sort.LOOK
    assert {Sort.EVIDENCE, Sort.START, Sort.CONDITION, Sort.REQUEST} <= {m.sort for m in moments}
    assert len({(m.time, m.source, m.text) for m in moments}) == len(moments)


def test_what_others_have_written_is_text_and_no_markup():
    facts = read("the-incident")
    evil = '</pre><script>alert(1)</script><img src=x onerror="alert(2)"> \x1b[31m {{ 7 * 7 }} {% raw %}'
    log = ContainerLog(
        component="x",
        namespace="x",
        pod="<b>",
        container="c",
        lines=(f"2026-11-26T02:04:01Z {evil}",),
    )
    facts = facts.model_copy(update={"logs": (*facts.logs, log), "cluster": "<i>x</i>"})
    text = page(facts, diagnose(facts))
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "\x1b" not in text
    assert "{{ 7 * 7 }}" in text, "a template's words in it are text, too"
    assert "<i>x</i>" not in text
