"""Recorded facts give the recorded diagnoses, with every name changed too, in seconds and anywhere."""

import json
from pathlib import Path

import pytest

from devenv.diagnosis.codes import book
from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Facts, dump, parse
from devenv.ui.diagnosis import lines, shape
from tests.cluster.faults import FAULTS

INCIDENTS = Path(__file__).parents[2] / "incidents"
NAMES = sorted(p.parent.name for p in INCIDENTS.glob("*/facts.json"))
EXPECTED = {
    **{f.name.lower().replace(" ", "-"): [code for code, _ in f.roots] for f in FAULTS},
    "healthy": [], "the-incident": ["DE201"], "latched": ["DE401"], "filled-as-root": ["DE201"], "no-inodes": ["DE202"],
    "node-paused": ["DE203"], "port-taken": ["DE103"], "engine-stopped": ["DE101"], "no-context": ["DE105"],
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

    told = "\n".join(Text.from_markup(line).plain for line in lines(diagnose(read(name)), everything=True))
    assert told + "\n" == (INCIDENTS / name / "diagnosis.txt").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_with_all_names_changed_the_codes_stay(name):
    text = (INCIDENTS / name / "facts.json").read_text()
    for old, new in RENAMED:
        text = text.replace(old, new)
    facts = parse(text)
    before, after = diagnose(read(name)), diagnose(facts)
    assert [c.root.code for c in after.causes] == [c.root.code for c in before.causes]
    assert [[f.code for f in c.consequences] for c in after.causes] == [[f.code for f in c.consequences] for c in before.causes]


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
    explained = {f.subject.removeprefix("request ") for c in found.causes for f in c.findings if f.code == "DE601"}
    assert explained <= failed


def test_a_diagnosis_can_be_json():
    for name in NAMES:
        json.dumps(shape(diagnose(read(name))))


def test_the_incident_has_a_time_line():
    (cause,) = diagnose(read("the-incident")).causes
    sources = [e.source for e in cause.timeline]
    assert any(s.startswith("log envoy-gateway") for s in sources)
    assert any(s == "access log" for s in sources)
    assert cause.since == cause.timeline[0].time


def test_codes_may_be_ignored():
    facts = read("redis-is-down")
    assert [c.root.code for c in diagnose(facts, ["DE305"]).causes] == []
    assert diagnose(facts, ["DE305"]).ignored == {"DE305"}


def test_the_profile_may_ignore_codes():
    facts = read("redis-is-down")
    profile = facts.profile.model_copy(update={"ignore": ("DE305",)})
    assert diagnose(facts.model_copy(update={"profile": profile})).causes == ()


def test_what_could_not_be_read_is_never_fine():
    healthy = read("healthy")
    found = diagnose(healthy.model_copy(update={"proxies": (), "unknown": {"Envoy x": "no answer"}}))
    assert not found.healthy
    assert found.unknown == (("Envoy x", "no answer"),)


def test_two_roots_of_the_lost_disk_and_a_lost_route():
    """A failure that the graph does not explain is a second root: the dangling filter breaks no request by `model`."""
    incident = read("the-incident")
    routes = tuple(r for r in incident.objects["HTTPRoute"] if r["metadata"]["name"] != "llama2-7b-router")
    both = incident.model_copy(update={"objects": {**incident.objects, "HTTPRoute": routes}})
    assert roots(both) == ["DE201", "DE503"]
