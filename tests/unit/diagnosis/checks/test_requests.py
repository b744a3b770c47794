"""DE60x: the live requests."""

import json
from dataclasses import replace

import pytest

from devenv.diagnosis.model import Verdict
from devenv.facts.live import EXCERPT, UNPROVEN
from devenv.facts.model import ContainerLog
from devenv.ports.gateway import HttpAnswer
from tests.unit.diagnosis.covers import codes, covers, findings, only_finding
from tests.unit.diagnosis.facts_builder import (
    GATEWAYS,
    MODEL,
    PROXY,
    SERVER,
    TAKEN,
    before,
    healthy_facts,
    healthy_objects,
    healthy_profile,
    pod_named,
    proofs,
)
from tests.unit.diagnosis.spelled import fixes, spelled

EVERY_REQUEST = {"request direct", "request extension", "request plain"}


def failing(*names, status=503, sent=True, failures=("it fails",), profile=None, **changes):
    """These requests fail alike."""
    answer = HttpAnswer(status, sent=sent)
    entries = list(proofs())
    for number, proof in enumerate(entries):
        if proof.name in names:
            entries[number] = replace(proof, answer=answer, failures=failures, **changes)
    return healthy_facts(proofs=tuple(entries), profile=profile or healthy_profile())


def with_requests(**changes):
    """The profile's requests, all with these changes."""
    requests = [r.model_dump() for r in healthy_profile().requests]
    return healthy_profile(requests=[{**r, **changes} for r in requests])


@covers("DE601")
@pytest.mark.parametrize("route", ["direct", "extension", "plain"])
@pytest.mark.parametrize("status", [0, 200, 503])
def test_a_request_that_fails(code, route, status):
    finding = only_finding(failing(route, status=status))
    assert (finding.code, str(finding.subject)) == (code, f"request {route}")
    assert spelled(finding.about) == {f"route/{route}", f"route/{route}/{MODEL}", f"model/{MODEL}"}
    affected = {f"route/{route}/{MODEL}"}
    assert (finding.verdict, spelled(finding.affects)) == (Verdict.FAILED, affected)
    assert fixes(finding) == (f"devenv request --route {route}",)


@pytest.mark.parametrize("fill", [1, 999])
def test_of_the_json_of_an_answer_only_the_message_is_told(fill):
    body = json.dumps({"error": {"message": "podless", "type": "overloaded", "param": "x" * fill}})
    answer, failure = HttpAnswer(503, body=body), f"503 ({body[:EXCERPT]})"
    proof, *others = proofs()
    failing_proof = replace(proof, answer=answer, failures=(failure,))
    finding = only_finding(healthy_facts(proofs=(failing_proof, *others)))
    assert finding.says.count("podless") == 1
    assert "overloaded" not in finding.says
    assert failure in [piece.text for piece in finding.evidence]


def test_each_request_that_fails_is_a_finding():
    assert codes(failing("direct", "plain")) == ["DE601", "DE601"]


def test_a_request_whose_route_could_not_be_proven_has_not_failed():
    assert codes(failing("direct", status=200, failures=(UNPROVEN,))) == []


def access_log(*entries):
    lines = [f"{before(age)} {json.dumps(entry)}" for age, entry in entries]
    return ContainerLog(
        component="proxy",
        namespace=GATEWAYS,
        pod=f"{PROXY}-1-x",
        container="envoy",
        lines=tuple(lines),
    )


def entry(status, route="other", agent="curl"):
    return {"response_code": status, "route_name": route, "user-agent": agent}


@pytest.mark.parametrize(
    ("entries", "since"),
    [
        ([(90, entry(503, agent="devenv/direct/1")), (60, entry(503, "any"))], TAKEN - 90),
        # A good one in between.
        ([(90, entry(503, "any")), (60, entry(200, "any")), (30, entry(500, "any"))], TAKEN - 30),
        ([(90, entry(503, "any")), (60, entry(499, "any"))], 0),
        # By another route, and devenv's own by another one.
        ([(90, entry(503)), (60, entry(503, "any", "devenv/plain/1"))], 0),
        # Of this very look.
        ([(-1, entry(503, "any"))], 0),
    ],
    ids=["own and others", "good between", "good last", "other routes", "this look"],
)
def test_requests_fail_since_the_first_that_failed_without_a_good_one_after_it(entries, since):
    facts = failing("direct").model_copy(update={"logs": (access_log(*entries),)})
    assert only_finding(facts).since == since


@covers("DE602")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer ${KEY}"}])
@pytest.mark.parametrize("upstream", ["10.244.0.15:8000", "-"])
def test_requests_without_a_key_are_one_finding(code, headers, upstream):
    line = replace(proofs()[0].line, upstream=upstream)
    names = ("direct", "extension", "plain")
    facts = failing(*names, status=401, line=line, profile=with_requests(headers=headers))
    finding = only_finding(facts)
    assert (finding.code, str(finding.subject)) == (code, f"model {MODEL}")
    routes = {f"route/{route}/{MODEL}" for route in names}
    assert spelled(finding.about) == {f"model/{MODEL}", *routes}
    assert {e.source for e in finding.evidence} == EVERY_REQUEST
    assert fixes(finding)[-1].startswith("devenv request --route direct --header ")


def test_two_models_that_want_a_key_are_two_findings():
    requests = [r.model_dump() for r in healthy_profile().requests]
    requests[1]["model"] = "other"
    facts = failing("direct", "extension", status=401, profile=healthy_profile(requests=requests))
    subjects = [str(f.subject) for f in findings(facts) if f.code == "DE602"]
    assert subjects == [f"model {MODEL}", "model other"]


def test_another_refusal_wants_no_key():
    assert codes(failing("direct", status=403)) == ["DE601"]


@covers("DE603")
@pytest.mark.parametrize(
    "changes",
    [{"status": 200, "unnamed": True}, {"status": 0, "sent": False}],
    ids=["no pod named", "not sent"],
)
def test_requests_that_only_the_profile_can_mend_are_one_finding(code, changes):
    """DE601 would have `recover` restart the gateway."""
    finding = only_finding(failing("direct", "extension", **changes))
    assert (finding.code, str(finding.subject)) == (code, f"model {MODEL}")
    assert {e.source for e in finding.evidence} == {"request direct", "request extension"}
    assert ("anonymous: true" in fixes(finding)[0]) == ("unnamed" in changes)
    assert fixes(finding)[-1] == "devenv request --route direct"


def test_a_proof_that_failed_otherwise_needs_no_other_profile():
    assert codes(failing("direct", status=0, sent=True)) == ["DE601"]


def test_a_request_that_a_storm_service_has_no_route_for_is_told_so():
    objects = healthy_objects()
    pod_named(objects, SERVER)["metadata"]["labels"]["storm-service-name"] = MODEL
    facts = failing("direct").model_copy(update={"objects": objects})
    assert f"model {MODEL}" in {e.source for e in only_finding(facts).evidence}


@pytest.mark.parametrize(
    ("failure", "blamed"),
    [
        ('500: httproutes.gateway.networking.k8s.io "llama2-7b-router" not found', 1),
        ("500: with an empty body", 0),
        ("Envoy took the route httproute/a/b instead of httproute/a/c", 0),
    ],
)
def test_an_answer_that_blames_the_route_names_it(failure, blamed):
    finding = only_finding(failing("direct", failures=(failure,)))
    assert len(finding.names) == blamed
    assert spelled(finding.names) <= {"http route/llama2-7b"}
