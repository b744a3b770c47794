"""DE901 to DE903: what looks alarming and isn't."""

import pytest

from devenv.diagnosis.model import Verdict
from devenv.facts.model import ContainerLog
from tests.unit.diagnosis.covers import codes, covers, only_finding
from tests.unit.diagnosis.facts_builder import (
    GATEWAYS,
    PLUGINS,
    PROXY,
    REDIS,
    before,
    healthy_facts,
    healthy_objects,
    named,
)
from tests.unit.diagnosis.spelled import fixes, spelled


def is_harmless(finding):
    """It explains nothing, and nothing is to be done."""
    return (finding.verdict, fixes(finding)) == (Verdict.HARMLESS, ()) and not spelled(
        finding.affects
    )


def envoys_log(*texts):
    lines = tuple(f"{before(60)} {text}" for text in texts)
    return ContainerLog(
        component="proxy",
        namespace=GATEWAYS,
        pod=f"{PROXY}-1-x",
        container="envoy",
        lines=lines,
    )


@covers("DE901")
def test_header_matches_that_are_deprecated(code):
    log = envoys_log("fine", "Deprecated field: exact_match", "Deprecated field: exact_match")
    finding = only_finding(healthy_facts(logs=(log,)))
    assert (finding.code, str(finding.subject)) == (code, f"log {PROXY}-1-x")
    assert is_harmless(finding)


@pytest.mark.parametrize("line", ["a match", "a deprecated flag"])
def test_another_line_that_has_one_of_the_words(line):
    assert codes(healthy_facts(logs=(envoys_log(line),))) == []


@covers("DE902")
def test_no_adapters(code):
    objects = healthy_objects()
    objects["ModelAdapter"].clear()
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert is_harmless(finding)


def test_adapters_that_could_not_be_read():
    objects = healthy_objects()
    objects["ModelAdapter"].clear()
    assert codes(healthy_facts(objects, unknown={"ModelAdapter": "no answer"})) == []


def test_adapters_that_were_not_looked_for():
    objects = healthy_objects()
    del objects["ModelAdapter"]
    assert codes(healthy_facts(objects)) == []


@covers("DE903")
def test_a_variable_that_has_a_default(code):
    objects = healthy_objects()
    template = named(objects, "Deployment", PLUGINS)["spec"]["template"]
    template["spec"]["containers"][0]["env"] = [{"name": "REDIS_HOST"}]
    finding = only_finding(healthy_facts(objects))
    assert (finding.code, str(finding.subject)) == (code, "gateway-plugins")
    assert is_harmless(finding)


def test_other_workloads_do_not_need_the_variable():
    workload = named(healthy_objects(), "Deployment", REDIS)
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert container["env"] == []
    assert codes(healthy_facts()) == []
