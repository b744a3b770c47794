"""Recorded facts give the recorded diagnoses, with every name changed too, in seconds and anywhere."""

import json
import re
from datetime import datetime, timedelta

import pytest

from devenv.diagnosis.codes import book
from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Facts, dump, parse
from devenv.ui.diagnosis import diagnosis_shape, lines
from tests.cluster.faults import FAULTS
from tests.paths import INCIDENTS
from tests.unit.diagnosis.typed import faults_of_fix

NAMES = sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json"))
# Of a cluster from a checkout of AIBrix's shape (tests/cluster/test_aibrix.py): name → (what was done, root).
AIBRIX = {
    "aibrix-controller-at-zero": ("scaled", "DE305"), "aibrix-metadata-service-at-zero": ("scaled", "DE305"),
    "aibrix-the-models-route-is-gone": ("deleted", "DE503"), "aibrix-the-webhooks-service-leads-nowhere": ("patched", "DE701"),
    "aibrix-webhooks-without-a-certificate": ("patched", "DE701"), "aibrix-label-only-on-the-deployment": ("applied", "DE505"),
    "aibrix-label-only-on-the-pods": ("applied", "DE503"), "aibrix-service-of-another-name": ("applied", "DE502"),
    "aibrix-wrong-port": ("applied", "DE506"),
}  # fmt: skip
EXPECTED = {
    **{f.name.lower().replace(" ", "-"): [code for code, _ in f.roots] for f in FAULTS},
    "healthy": [], "the-incident": ["DE201"], "latched": ["DE401"], "filled-as-root": ["DE201"], "no-inodes": ["DE202"],
    **{name: [code] for name, (_, code) in AIBRIX.items()}, "aibrix-healthy": [],
    "node-paused": ["DE203"], "port-taken": ["DE103"], "engine-stopped": ["DE101"], "no-context": ["DE105"],
    "inotify-is-used-up": ["DE108"], "kube-proxy-needs-an-image": ["DE301"],
    "gatewayclass-held-in-deletion": ["DE314"], "evicted-again-and-again": ["DE315"],
    "bare-pod-with-an-old-image": ["DE316"], "the-proxys-certificate-is-gone": ["DE417"],
}  # fmt: skip
# What a user may name otherwise, and what else would then be named so.
RENAMED = (
    ("envoy-gateway-system", "gateways"), ("aibrix-system", "routing"), ("aibrix-eg", "front-door"), ("llama2-7b", "other-model"),
    ("aibrix-gateway-plugins", "chooser"), ("aibrix-redis-master", "memory"),
)  # fmt: skip


def read(name: str) -> Facts:
    return parse((INCIDENTS / name / "facts.json").read_text())


def roots(facts: Facts) -> list[str]:
    return sorted(c.root.code for c in diagnose(facts).causes)


def test_every_fault_of_the_campaign_is_recorded():
    assert set(NAMES) == set(EXPECTED)


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_roots(name):
    assert roots(read(name)) == sorted(EXPECTED[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_text(name):
    from rich.text import Text

    told = "\n".join(
        Text.from_markup(line).plain for line in lines(diagnose(read(name)), everything=True)
    )
    assert told + "\n" == (INCIDENTS / name / "diagnosis.txt").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_fix_says_can_be_typed(name):
    found = [finding for cause in diagnose(read(name)).causes for finding in cause.findings]
    assert [fault for f in found for fix in f.fix for fault in faults_of_fix(fix)] == []


@pytest.mark.parametrize("name", NAMES)
def test_with_all_names_changed_the_codes_stay(name):
    text = (INCIDENTS / name / "facts.json").read_text()
    for old, new in RENAMED:
        text = text.replace(old, new)
    facts = parse(text)
    before, after = diagnose(read(name)), diagnose(facts)
    assert [c.root.code for c in after.causes] == [c.root.code for c in before.causes]
    assert [[f.code for f in c.consequences] for c in after.causes] == [
        [f.code for f in c.consequences] for c in before.causes
    ]


@pytest.mark.parametrize("lead", [7200.0, -7200.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_clock_that_is_off_hides_no_fault_and_makes_none(name, lead):
    """All times are the nodes' own, except that of the look. A node that does not run tells none."""

    def shift(time: re.Match) -> str:
        return (datetime.fromisoformat(time[0]) + timedelta(seconds=lead)).isoformat()

    text = (INCIDENTS / name / "facts.json").read_text()
    facts = parse(re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", shift, text))
    nodes = tuple(shifted_node(node, lead) for node in facts.nodes)
    shifted = facts.model_copy(update={"nodes": nodes, "stopped": facts.stopped + lead})
    clock = {"DE210"} if nodes else set()
    assert all_codes(shifted) == all_codes(read(name)) | clock


def all_codes(facts: Facts) -> set[str]:
    return {finding.code for cause in diagnose(facts).causes for finding in cause.findings}


def shifted_node(node, lead):
    times = {"started": node.started + lead, "ended": node.ended and node.ended + lead}
    return node.model_copy(update={"clock_lead": lead, **times})


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_as_it_was_written(name):
    facts = read(name)
    assert parse(dump(facts)) == facts


@pytest.mark.parametrize("name", [n for n in NAMES if len(EXPECTED[n]) == 1])
def test_one_root_fits_a_small_terminal(name):
    assert len(lines(diagnose(read(name)))) < 24


@pytest.mark.parametrize("name", NAMES)
def test_what_follows_is_told_beneath_and_not_beside(name):
    found = diagnose(read(name))
    every = [f.code for c in found.causes for f in c.findings]
    assert set(every) <= set(book())
    failed = {r for r, ok in found.requests if not ok}
    explained = {
        str(f.subject).removeprefix("request ")
        for c in found.causes
        for f in c.findings
        if f.code == "DE601"
    }
    assert explained <= failed


def test_a_diagnosis_can_be_json():
    for name in NAMES:
        json.dumps(diagnosis_shape(diagnose(read(name))))


def test_the_incident_has_a_time_line():
    (cause,) = diagnose(read("the-incident")).causes
    sources = [e.source for e in cause.timeline]
    assert any(s.startswith("log envoy-gateway") for s in sources)
    assert any(s == "access log" for s in sources)
    assert 0 < cause.since <= cause.timeline[1].time


def test_a_request_of_this_look_began_nothing():
    facts = read("the-incident")
    failed = [
        e
        for f in diagnose(facts).causes[0].findings
        if f.code == "DE601"
        for e in f.evidence
        if e.time
    ]
    earlier = facts.model_copy(update={"taken": min(e.time for e in failed)})
    (cause,) = diagnose(earlier).causes
    assert failed
    assert not [e for e in cause.timeline if e.source == "access log"]


def test_codes_may_be_ignored():
    """What followed from it stands alone then: nothing is hidden with it."""
    found = diagnose(read("redis-is-down"), ["DE305"])
    assert "DE305" not in [f.code for c in found.causes for f in c.findings]
    assert found.ignored == {"DE305"}
    assert not found.healthy


def test_the_profile_may_ignore_codes():
    facts = read("redis-is-down")
    profile = facts.profile.model_copy(update={"ignore": ("DE305",)})
    assert diagnose(facts.model_copy(update={"profile": profile})).ignored == {"DE305"}


def test_what_could_not_be_read_is_never_fine():
    healthy = read("healthy")
    found = diagnose(
        healthy.model_copy(update={"proxies": (), "unknown": {"Envoy x": "no answer"}})
    )
    assert not found.healthy
    assert ("Envoy x", "no answer") in found.unknown


@pytest.mark.parametrize("left_out", [{"objects": {}}, {"proofs": ()}, {"proxies": ()}])
def test_what_is_not_among_the_facts_is_never_fine(left_out):
    found = diagnose(read("healthy").model_copy(update=left_out))
    assert found.unknown
    assert not found.healthy


def test_an_object_that_no_check_can_read_is_unknown_and_hides_nothing():
    incident = read("the-incident")
    odd = {
        "metadata": {"name": "odd", "namespace": "x"},
        "spec": {"template": None, "jsonPatches": [None]},
    }
    objects = {
        **incident.objects,
        "Deployment": (*incident.objects["Deployment"], odd),
        "Event": ({"metadata": {"name": "e"}},),
    }
    found = diagnose(incident.model_copy(update={"objects": objects}))
    assert [c.root.code for c in found.causes] == ["DE201"]


def test_an_ignored_code_hides_nothing_but_itself():
    found = diagnose(read("redis-is-down").model_copy(update={"inotify": (100, 8192)}), ["DE104"])
    assert [c.root.code for c in found.causes] == ["DE305"]


def test_two_roots_of_the_lost_disk_and_a_lost_route():
    """A failure that the graph does not explain is a second root: the dangling filter breaks no request by `model`."""
    incident = read("the-incident")
    routes = tuple(
        r for r in incident.objects["HTTPRoute"] if r["metadata"]["name"] != "llama2-7b-router"
    )
    both = incident.model_copy(update={"objects": {**incident.objects, "HTTPRoute": routes}})
    assert roots(both) == ["DE201", "DE503"]
