"""The page in Chromium, where it is installed: on a phone and on a wide screen, light and dark."""

import re
import shutil

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import parse
from devenv.ui.page import page
from tests.paths import INCIDENTS

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PHONE, WIDE = (390, 844), (1280, 900)
# CSS pixels that a finger needs (WCAG 2.5.5).
FINGER = 44
# Seconds for the page to follow.
PATIENCE = 5
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
NAMES = sorted(file.parent.name for file in INCIDENTS.glob("*/facts.json"))
# So many pages that have most to say at their beginning.
_LONGEST = 8
# One of each form: nothing wrong, one root, two roots, only the engine, AIBrix's, no context.
FORMS = (
    "healthy",
    "the-incident",
    "no-model-pod-and-service-misnamed",
    "engine-stopped",
    "aibrix-wrong-port",
    "no-context",
)
PAGE_WIDTH = "return document.documentElement.scrollWidth"
FACTS_TEXT = "return document.querySelector('.facts').textContent"
# The least contrast of any text with what is behind it, and the text.
CONTRAST = """
const luminance = ([r, g, b]) => [r, g, b].map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
function behind(element) {
  for (; element; element = element.parentElement) {
    const colour = parts(getComputedStyle(element).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
let least = [99, ""];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
  if (!text || !element.checkVisibility() || element.closest("script")) continue;
  const [dark, light] = [parts(getComputedStyle(element).color), behind(element)]
    .map(luminance).sort((a, b) => a - b);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < least[0]) least = [contrast, text];
}
return least;
"""


@pytest.fixture(scope="module")
def driver():
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium with its driver is installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield chromium
    chromium.quit()


class Screen:
    """A page on a screen."""

    def __init__(self, driver, folder):
        self.driver, self.folder = driver, folder

    def show(self, name, size=WIDE, theme="light", zone="UTC"):
        facts = facts_of(name)
        file = self.folder / f"{name}.html"
        file.write_text(page(facts, diagnose(facts)))
        self.resize(*size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self._emulate("setEmulatedMedia", features=features)
        self._emulate("setTimezoneOverride", timezoneId=zone)
        self.driver.get(file.as_uri())

    def resize(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._emulate("setDeviceMetricsOverride", **metrics)

    def _emulate(self, what, **settings):
        self.driver.execute_cdp_cmd(f"Emulation.{what}", settings)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def one(self, selector):
        return self.driver.find_element("css selector", selector)

    def box(self, element):
        """Where an element is on the screen: top, bottom, width and height."""
        script = "const b = arguments[0].getBoundingClientRect(); return [b.top, b.bottom, b.width, b.height]"
        return self.run(script, element)

    def style(self, element, name):
        return self.run("return getComputedStyle(arguments[0])[arguments[1]]", element, name)

    def wait(self, condition):
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, PATIENCE).until(lambda _: condition())

    def problems(self):
        return self.driver.get_log("browser")


@pytest.fixture
def screen(driver, tmp_path):
    shown = Screen(driver, tmp_path)
    yield shown
    assert shown.problems() == []


def facts_of(name):
    return parse((INCIDENTS / name / "facts.json").read_text())


def first_words(name):
    """How much a page begins with: the first root, and its fix."""
    for cause in diagnose(facts_of(name)).causes:
        return len(cause.root.says) + len(str(cause.root.fix[0]))
    return 0


@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_cut_off_at_the_side(screen, name):
    screen.show(name)
    for width in (320, 390, 800, 1280, 1600):
        screen.resize(width, 900)
        assert screen.run(PAGE_WIDTH) <= width


def test_cause_and_fix_are_on_the_first_screen_of_a_phone(screen):
    for name in sorted(NAMES, key=first_words, reverse=True)[:_LONGEST]:
        screen.show(name, PHONE)
        cause = screen.one("#cause1")
        for selector in ("h2", ".fix, .advice"):
            top, bottom, width, height = screen.box(cause.find_element("css selector", selector))
            assert 0 <= top < bottom <= PHONE[1], f"{name}: {selector}"
            assert min(width, height) > 0


@pytest.mark.parametrize("size", [PHONE, WIDE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_healthy_page_is_green_with_pod_latency_and_url_of_each_route(screen, size, theme):
    facts = facts_of("healthy")
    screen.show("healthy", size, theme)
    for name in ("backgroundColor", "borderLeftColor"):
        red, green, blue, *_ = map(
            int, re.findall(r"\d+", screen.style(screen.one("header"), name))
        )
        assert green > red
        assert green > blue
    cards = screen.all(".routes > .proven")
    assert len(cards) == len(facts.proofs) == 3
    for card, proof in zip(cards, facts.proofs, strict=True):
        shown = {part: card.find_element("class name", part) for part in ("pod", "latency", "url")}
        assert shown["pod"].text == proof.pod
        assert f"{proof.answer.seconds * 1000:.0f} ms" in shown["latency"].text
        assert facts.profile.gateway.url in shown["url"].text.replace("\n", "")
        assert all(screen.box(part)[1] <= size[1] for part in shown.values())


@pytest.mark.parametrize("size", [PHONE, WIDE])
def test_the_states_of_the_path_differ_by_more_than_colour(screen, size):
    screen.show("the-incident", size)
    looks = {}
    for place in screen.all(".way li"):
        sign = place.find_element("class name", "sign").text
        looks.setdefault(place.get_attribute("class"), set()).add(
            (sign, screen.style(place, "borderTopStyle"))
        )
    assert set(looks) == {"proven", "broken", "unproven"}
    (proven,), (broken,), (unproven,) = looks.values()
    signs, borders = zip(proven, broken, unproven, strict=True)
    assert len(set(signs)) == len(set(borders)) == 3


def test_times_are_local_with_utc_beside_them(screen):
    screen.show("the-incident", zone="America/New_York")
    last_time = screen.all(".moments time")[-1]
    local, utc = (last_time.find_element("class name", name).text for name in ("local", "utc"))
    assert local == "2026-11-25 21:04:16"
    # Its day differs, so it is there.
    assert utc == "2026-11-26 02:04:16Z"
    screen.show("the-incident", zone="Europe/Berlin")
    assert screen.all(".moments time")[-1].text.split() == ["2026-11-26", "03:04:16", "02:04:16Z"]


def test_old_rows_are_folded_and_unfold(screen):
    screen.show("the-incident", PHONE)
    old_rows = screen.all(".old li")
    assert old_rows
    assert not any(row.is_displayed() for row in old_rows)
    assert all(row.is_displayed() for row in screen.all(".moments .evidence"))
    screen.one(".old summary").click()
    assert all(row.is_displayed() for row in old_rows)


def test_a_search_marks_scrolls_and_steps(screen):
    from selenium.webdriver.common.keys import Keys

    screen.show("the-incident", PHONE)
    assert not any(item.is_displayed() for item in screen.all(".item")), "facts are folded"
    text = screen.run(FACTS_TEXT)
    screen.one("body").send_keys("/")
    search = screen.driver.switch_to.active_element
    assert search.get_attribute("id") == "search", "the keyboard reaches it"
    search.send_keys("NO SPACE [left")
    screen.wait(lambda: screen.one("#hits").text)
    assert screen.all("mark") == [], "no pattern: the text itself is sought"
    search.clear()
    search.send_keys("FAILED")
    screen.wait(lambda: screen.all("mark"))
    marks = screen.all("mark")
    assert len(marks) > 1
    assert {mark.get_attribute("textContent").lower() for mark in marks} == {"failed"}
    for step, keys in enumerate(("", Keys.ENTER, Keys.SHIFT + Keys.ENTER)):
        search.send_keys(keys)
        (current,) = screen.all("mark.current")
        assert current == marks[step % 2]
        assert screen.one("#hits").text == f"{step % 2 + 1} of {len(marks)}"
        top, bottom, *_ = screen.box(current)
        bar = screen.box(screen.one(".bar"))[1]
        assert bar <= top < bottom <= PHONE[1], "it is seen, below the search bar"
    # Keys.SHIFT stays down until it is sent again.
    search.send_keys(Keys.NULL)
    search.send_keys(Keys.ESCAPE)
    assert screen.all("mark") == []
    assert not any(item.is_displayed() for item in screen.all(".item"))
    assert screen.run(FACTS_TEXT) == text


# Another command each time, since the clipboard keeps the one before.
@pytest.mark.parametrize(("name", "api"), [("the-incident", True), ("aibrix-wrong-port", False)])
def test_a_command_is_copied_from_a_file(screen, name, api):
    from selenium.webdriver.common.keys import Keys

    screen.show(name, PHONE)
    if not api:
        screen.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    button = screen.one(".copy")
    button.click()
    screen.wait(lambda: button.text == "Copied")
    search = screen.one("#search")
    search.send_keys(Keys.CONTROL + "v")
    (cause,) = diagnose(facts_of(name)).causes
    assert search.get_attribute("value") == str(cause.root.fix[0])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FORMS)
def test_all_text_has_contrast(screen, name, theme):
    screen.show(name, PHONE, theme)
    screen.run("for (const fold of document.querySelectorAll('details')) fold.open = true")
    least, text = screen.run(CONTRAST)
    assert least >= 4.5, text
    screen.one("#search").send_keys("name")
    screen.wait(lambda: screen.all("mark"))
    least, text = screen.run(CONTRAST)
    assert least >= 4.5, text


def test_a_finger_hits_what_it_means(screen):
    screen.show("the-incident", PHONE)
    screen.one("#search").send_keys("name")
    screen.wait(lambda: screen.all("mark"))
    targets = [t for t in screen.all("button, input, summary") if t.is_displayed()]
    assert len(targets) > 5
    for target in targets:
        _, _, width, height = screen.box(target)
        assert min(width, height) >= FINGER, target.get_attribute("outerHTML")


def test_on_paper_are_all_rows_and_no_controls(screen):
    screen.show("the-incident")
    screen.driver.execute_cdp_cmd("Page.printToPDF", {})
    assert screen.one(".old").get_attribute("open")
    screen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not any(control.is_displayed() for control in screen.all("button, .facts"))
    assert screen.one(".fix pre").is_displayed()
    screen.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
