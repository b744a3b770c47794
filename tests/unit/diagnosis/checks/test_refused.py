"""DE317: what the API server refuses a program."""

import json
from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.model import Verdict
from devenv.facts.model import ContainerLog
from devenv.ports.gateway import HttpAnswer
from tests.unit.diagnosis.covers import codes, covers, findings
from tests.unit.diagnosis.facts_builder import (
    PLUGINS,
    SYSTEM,
    before,
    healthy_facts,
    healthy_objects,
    named,
    proofs,
)
from tests.unit.diagnosis.spelled import fixes

ACCOUNT = "aibrix-gateway-plugins"
FULL_ACCOUNT = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
WORDS = (
    f'pods is forbidden: User "{FULL_ACCOUNT}" cannot list resource "pods"'
    ' in API group "" at the cluster scope'
)


def objects_with_account():
    """Return the objects, with gateway-plugins as a ServiceAccount of its own."""
    objects = healthy_objects()
    template = named(objects, "Deployment", PLUGINS)["spec"]["template"]
    reference = {"kind": "ServiceAccount", "name": ACCOUNT, "by": "serviceAccountName"}
    template["spec"]["references"] = [reference]
    return objects


def failing(*names, body=""):
    answer = HttpAnswer(503, body=body)
    changes = {"answer": answer, "failures": ("503",)}
    return tuple(replace(p, **changes) if p.name in names else p for p in proofs())


def log(text, age=5.0, *, previous=False):
    return ContainerLog(
        component="gateway-plugins",
        namespace=SYSTEM,
        pod=f"{PLUGINS}-1-x",
        container="program",
        lines=(f"{before(age)} {text}",),
        previous=previous,
    )


@covers("DE317")
@pytest.mark.parametrize(
    "text", [WORDS, json.dumps({"err": json.dumps(WORDS)})], ids=["plain", "quoted"]
)
def test_a_right_that_the_log_misses_is_the_root_of_what_fails(code, text):
    facts = healthy_facts(
        objects_with_account(), logs=(log(text),), proofs=failing("extension", "plain")
    )
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, str(cause.root.subject)) == (
        code,
        f"ServiceAccount {SYSTEM}/{ACCOUNT}",
    )
    assert {effect.code for effect in cause.consequences} == {"DE601"}
    words = [fix.split() for fix in fixes(cause.root)]
    assert words[0][:2] == ["devenv", "up"]
    assert words[1][3:] == ["auth", "can-i", "list", "pods", "-A", "--as", FULL_ACCOUNT]


def test_an_answer_tells_it_too():
    body = json.dumps({"error": {"message": f"listing pods: {WORDS}"}})
    facts = healthy_facts(objects_with_account(), proofs=failing("extension", "plain", body=body))
    (cause,) = diagnose(facts).causes
    assert cause.root.code == "DE317"


def test_a_right_in_one_namespace_is_asked_for_there():
    words = WORDS.replace("at the cluster scope", f'in the namespace "{SYSTEM}"')
    facts = healthy_facts(
        objects_with_account(), logs=(log(words),), proofs=failing("extension", "plain")
    )
    (cause,) = diagnose(facts).causes
    assert fixes(cause.root)[1].split()[-4:-2] == ["-n", SYSTEM]


def test_while_requests_succeed_it_is_harmless():
    facts = healthy_facts(objects_with_account(), logs=(log(WORDS),))
    (finding,) = findings(facts)
    assert (finding.code, finding.verdict) == ("DE317", Verdict.HARMLESS)


@pytest.mark.parametrize(
    "logs",
    [(log(WORDS, age=600.0),), (log(WORDS, previous=True),), (log("cannot list"),)],
    ids=["old", "of the container before", "other words"],
)
def test_what_is_over_or_no_refusal_is_none(logs):
    facts = healthy_facts(objects_with_account(), logs=logs, proofs=failing("extension", "plain"))
    assert "DE317" not in codes(facts)


def test_an_account_of_no_workload_is_left_alone():
    facts = healthy_facts(logs=(log(WORDS),), proofs=failing("extension", "plain"))
    assert "DE317" not in codes(facts)
