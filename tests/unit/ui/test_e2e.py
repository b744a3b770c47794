"""A run of AIBrix's own tests: the JSON's shape, JUnit that others read, text without control characters."""

import json
from xml.etree import ElementTree as ET

import pytest
from junitparser import JUnitXml

from devenv.e2e.events import Outcome, Result
from devenv.e2e.leftovers import ObjectName
from devenv.e2e.run import Report
from devenv.ui import e2e
from devenv.ui.render import render

PACKAGE = "github.com/vllm-project/aibrix/test/e2e"
TESTS = (
    Result("TestA", PACKAGE, Outcome.PASS, 1.5, ("said",)),
    Result("TestB", PACKAGE, Outcome.FAIL, 0.25, ("first", "no \x1b[31m\x00 & <good>")),
    Result("TestB/sub", PACKAGE, Outcome.UNFINISHED),
    Result("TestC", PACKAGE, Outcome.SKIP, 0.0, ("    a.go:5: set X=true",)),
)


def report(**more):
    left = ObjectName("Deployment", "default", "left", "apps/v1")
    parts = {
        "cluster": "devenv",
        "checkout": "/src",
        "tests": TESTS,
        "built": True,
        "code": 1,
        "seconds": 12.34,
    }
    return Report(**{**parts, "removed": (left,), "log": "/log", **more})


def test_the_shape_of_the_json(capsys):
    render(e2e.report(report()), "json")
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["kind"]) == (1, "test-e2e")
    result = found["result"]
    assert list(result) == [
        "cluster", "checkout", "built", "ended", "seconds", "counts", "tests", "said", "removed", "kept", "log",
    ]  # fmt: skip
    assert result["counts"] == {"pass": 1, "fail": 1, "unfinished": 1, "skip": 1}
    assert list(result["tests"][0]) == ["name", "package", "outcome", "seconds", "output"]
    assert [test["output"] for test in result["tests"][:2]] == [
        [],
        ["first", "no \x1b[31m\x00 & <good>"],
    ]
    assert result["removed"] == ["Deployment default/left"]


def test_junit_has_a_case_a_test_and_counts_them():
    (suite,) = JUnitXml.fromstring(e2e.junit(report()))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 2, 0, 1)
    cases = {case.name: case for case in suite}
    assert [r.type for r in cases["TestB"].result] == ["fail"]
    assert [r.type for r in cases["TestB/sub"].result] == ["unfinished"]
    assert (cases["TestA"].time, cases["TestA"].classname) == (1.5, PACKAGE)


@pytest.mark.parametrize(
    "more",
    [
        {"built": False, "tests": (), "other_lines": ("a.go:1: \x1b no",)},
        {"ended": "it took too long"},
    ],
)
def test_what_ends_the_whole_run_is_an_error_of_its_own(more):
    (suite,) = JUnitXml.fromstring(e2e.junit(report(**more)))
    assert suite.errors == 1


def test_junit_is_xml_whatever_a_test_says():
    for element in ET.fromstring(e2e.junit(report())).iter():  # noqa: S314 - our own
        assert "\x1b" not in "".join([element.text or "", *element.attrib.values()])


def test_the_text_tells_what_failed_and_no_control_characters(capsys):
    render(e2e.report(report()), "text")
    out = capsys.readouterr().out
    assert "TestB/sub" in out
    assert "set X=true" in out
    assert "\x1b[31m\x00" not in out


@pytest.mark.parametrize(
    "more",
    [
        {"built": False, "tests": ()},
        {"tests": (), "code": 0},
        {"ended": "too long"},
        {"tests": TESTS[:1], "code": 1},
    ],
)
def test_a_run_that_shows_no_failed_test_tells_what_go_said(capsys, more):
    render(e2e.report(report(**{"other_lines": ("a.go:1: undefined",), **more})), "text")
    out = capsys.readouterr().out
    assert ("a.go:1: undefined" in out) == ("ended" not in more)
