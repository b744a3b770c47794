"""JUnit and SARIF: valid, roots as failures, what follows skipped with the root's name."""

import json
from xml.etree import ElementTree as ET

import pytest
from junitparser import JUnitXml
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Schema

from devenv.diagnosis.codes import book
from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Advice, Cause, Diagnosis, Finding, Subject
from devenv.facts.model import parse
from devenv.ui.machine import junit, sarif
from tests.paths import INCIDENTS

NAMES = sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json"))
# What the common schema of JUnit's XML (Jenkins' junit-10) knows, demands, and where it allows it.
KNOWN = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "testcase": {"classname", "name", "time"}, "failure": {"message", "type"}, "error": {"message", "type"},
    "skipped": {"message"},
}  # fmt: skip
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
WITHIN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped"},
}


def found(name):
    return diagnose(parse((INCIDENTS / name / "facts.json").read_text()))


@pytest.mark.parametrize("name", NAMES)
def test_junit_counts_causes(name):
    diagnosis, text = found(name), junit(found(name))
    for element in ET.fromstring(text).iter():  # noqa: S314 - our own
        assert REQUIRED.get(element.tag, set()) <= set(element.attrib) <= KNOWN[element.tag]
        assert {child.tag for child in element} <= WITHIN.get(element.tag, set())
    (suite,) = JUnitXml.fromstring(text)
    assert suite.failures == len(diagnosis.causes) + len(diagnosis.progress)
    assert suite.errors == len(diagnosis.unknown)
    assert suite.tests == len(list(suite))
    assert suite.skipped == len(
        {f for c in (*diagnosis.causes, *diagnosis.progress) for f in c.consequences}
    )
    names = [case.name for case in suite]
    assert len(names) == len(set(names)), "each check has one case"


def test_what_follows_is_skipped_with_the_roots_name(check_message):
    cases = {c.get("name"): c for c in ET.fromstring(junit(found("the-incident"))).iter("testcase")}  # noqa: S314
    (root,) = [c for n, c in cases.items() if n.startswith("DE201")]
    check_message(root.find("failure").text)
    (follows,) = [c for n, c in cases.items() if n.startswith("DE401")]
    check_message(follows.find("skipped").get("message"))


@pytest.mark.parametrize("name", NAMES)
def test_sarif_is_valid_and_suppresses_what_follows(name):
    diagnosis, content = found(name), json.loads(sarif(found(name)))
    Schema.model_validate(content)  # made from the standard's own schema
    (run,) = content["runs"]
    levels = [r["level"] for r in run["results"]]
    assert levels.count("error") == len(diagnosis.causes) + len(diagnosis.progress)
    assert all(("suppressions" in r) == (r["level"] == "note") for r in run["results"])
    rules = run["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == list(book())
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])


def test_characters_that_xml_can_not_hold_are_replaced():
    odd = Finding(
        "DE601",
        Subject("request", "\x00<&>"),
        "it says \x1b[31m]]> & more",
        fix=(Advice("a\x07b"),),
    )
    text = junit(Diagnosis("c", "p", 1.0, (Cause(odd),)))
    (suite,) = JUnitXml.fromstring(text)
    assert suite.failures == 1
    json.loads(sarif(Diagnosis("c", "p", 1.0, (Cause(odd),))))
