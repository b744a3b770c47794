"""The page: what is on it, that it loads nothing, and, where a browser is, that it works in one."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.timeline import Sort, timeline
from devenv.facts.model import ContainerLog, parse
from devenv.ui.page import page, stops

INCIDENTS = Path(__file__).parents[2] / "incidents"
NAMES = sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json"))
CHROMIUM, DRIVER = (
    shutil.which("chromium") or shutil.which("google-chrome"),
    shutil.which("chromedriver"),
)


def read(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


def made(name):
    facts = read(name)
    return page(facts, diagnose(facts))


class Outline(HTMLParser):
    """Whether every element is closed, and in which order things come."""

    VOID = frozenset({"meta", "link", "input", "br"})

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
    assert outline.order.index("h1") < outline.order.index("svg") < outline.order.index("table"), (
        "the verdict first"
    )
    assert len(text) < 2 << 20


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_every_root_with_its_fix_and_what_follows(name):
    from html import unescape

    found = diagnose(read(name))
    text = unescape(made(name))
    for cause in found.causes:
        assert cause.root.code in text
        assert all(fix in text for fix in cause.root.fix)
        assert all(" ".join(f.says.split()) in " ".join(text.split()) for f in cause.consequences)


def test_the_broken_place_is_drawn_and_what_lies_behind_it():
    drawn = {s.name: s for s in stops(diagnose(read("the-incident")))}
    assert [s.state for s in drawn.values()] == ["fine"] * 4 + ["broken", "beyond", "beyond"]
    assert "DE401" in drawn["filter"].codes
    assert {s.state for s in stops(diagnose(read("healthy")))} == {"fine"}


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


@pytest.fixture(scope="module")
def browser():
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium with its driver is installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES)
def test_in_a_browser_it_fits_folds_and_is_searched(browser, name, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    file = tmp_path / "page.html"
    file.write_text(made(name))
    for width in (360, 800, 1600):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get(file.as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, (
            "nothing is cut off at the side"
        )
        shown = [s for s in browser.find_elements(By.TAG_NAME, "svg") if s.is_displayed()]
        assert len(shown) == 1, "the way is drawn once, wide or tall"
    items = browser.find_elements(By.CSS_SELECTOR, ".item")
    assert not any(i.is_displayed() for i in items), "facts are folded"
    browser.find_element(By.TAG_NAME, "body").send_keys("/")
    search = browser.switch_to.active_element
    assert search.get_attribute("id") == "search", "the keyboard reaches it"
    search.send_keys("control-plane")  # the node, whatever the cluster is called
    hits = [i for i in items if i.is_displayed()]
    assert hits
    assert browser.find_element(By.ID, "hits").text == f"{len(hits)} found"
    search.send_keys(Keys.ESCAPE)
    assert not any(
        i.is_displayed()
        for i in items
        if i.find_element(By.XPATH, "..").get_attribute("open") is None
    )
    assert browser.get_log("browser") == []
