"""DE606: who had a request when its client gave up waiting."""

from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.live import PATCHED_ROUTE, AccessLine
from devenv.ports.gateway import HttpAnswer, Obstacle
from tests.unit.diagnosis.covers import codes, covers, findings
from tests.unit.diagnosis.facts_builder import (
    ADDRESSES,
    MODEL,
    MODEL_ROUTE,
    MODELS,
    SERVER,
    SYSTEM,
    healthy_facts,
    healthy_objects,
    healthy_profile,
    pod_of,
    proofs,
)
from tests.unit.diagnosis.spelled import fixes, spelled

GIVEN_UP = HttpAnswer(0, error="timed out after 4 s", seconds=4.0, obstacle=Obstacle.TIMEOUT)
OWN_ROUTE = f"httproute/{SYSTEM}/{MODEL_ROUTE}/0"


def unanswered(*names, upstream=f"{ADDRESSES[SERVER]}:8000", pod=f"{SERVER}-1-x", route="any"):
    """Return the proofs, of which those of these names were given up."""
    line = AccessLine(route, "any", "DC", "downstream_remote_disconnect", upstream)
    changes = {"answer": GIVEN_UP, "line": line, "pod": pod, "failures": ("no answer",)}
    return tuple(replace(p, **changes) if p.name in names else p for p in proofs())


def silent(facts):
    (finding,) = [f for f in findings(facts) if f.code == "DE606"]
    return finding


@covers("DE606")
def test_a_models_pod_that_takes_requests_and_never_answers(code):
    facts = healthy_facts(proofs=unanswered("direct", "extension", "plain"))
    (cause,) = diagnose(facts).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, "model")
    assert [effect.code for effect in cause.consequences] == ["DE601"] * 3
    assert fixes(cause.root) == ("devenv recover",)
    assert any(f"{SERVER}-1-x" in piece.text for piece in cause.root.evidence)


def test_requests_that_go_elsewhere_fail_for_another_reason():
    proven, *_ = unanswered("direct")
    finding = silent(healthy_facts(proofs=(proven, *proofs()[1:])))
    assert spelled(finding.affects) == {f"route/direct/{MODEL}"}


def test_a_request_that_no_pod_got_waits_for_the_plugin_where_the_route_has_its_filter():
    given_up = unanswered("extension", upstream="-", pod="", route=PATCHED_ROUTE)
    finding = silent(healthy_facts(proofs=given_up))
    assert str(finding.subject) == "gateway-plugins"


@pytest.mark.parametrize(
    "proofs_given_up",
    [
        # Without a filter, nobody is known to have it.
        unanswered("direct", upstream="-", pod="", route=OWN_ROUTE),
        # A pod that no workload made.
        unanswered("direct", pod="other"),
        # Envoy did not log it.
        tuple(replace(p, line=None) for p in unanswered("direct")),
        # It was refused, or there was an answer.
        tuple(replace(p, answer=HttpAnswer(503)) for p in unanswered("direct")),
    ],
    ids=["no filter", "unknown pod", "no line", "answered"],
)
def test_where_it_is_not_certain_nobody_is_named(proofs_given_up):
    assert "DE606" not in codes(healthy_facts(proofs=proofs_given_up))


def test_of_two_plugins_neither_is_named():
    objects = healthy_objects()
    (plugins,) = [d for d in objects["Deployment"] if "gateway-plugins" in d["metadata"]["name"]]
    second = pod_of(plugins)
    second["metadata"]["name"] += "2"
    objects["Pod"].append(second)
    given_up = unanswered("extension", upstream="-", pod="", route=PATCHED_ROUTE)
    assert "DE606" not in codes(healthy_facts(objects, proofs=given_up))


def test_a_workload_that_is_no_component_gets_the_command_that_replaces_its_pod():
    others = [c for c in healthy_profile().model_dump()["components"] if c["name"] != "model"]
    facts = healthy_facts(proofs=unanswered("direct"), profile=healthy_profile(components=others))
    finding = silent(facts)
    assert str(finding.subject) == f"model {MODEL}"
    replacement = fixes(finding)[0].split()
    assert replacement[-5:] == ["-n", MODELS, "delete", "pod", f"{SERVER}-1-x"]
