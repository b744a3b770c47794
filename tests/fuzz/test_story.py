"""Odd values in what the reader of Kubernetes' words reads: no check fails, and none is a crash."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import dump
from devenv.facts.reading import read
from tests.fuzz.mutations import bounded, kinds, odd_values, with_value
from tests.unit.diagnosis.checks import test_evicted, test_told
from tests.unit.diagnosis.facts_builder import healthy_facts

STORIES = {
    "secret": test_told.without_secret(),
    "quota": test_told.refused(test_told.QUOTA),
    "key": test_told.unconfigured("couldn't find key kez in ConfigMap a/m"),
    "claim": test_told.claim(),
    "probe": test_told.killed(),
    "evicted": test_evicted.with_evicted(60, 120, 180),
    "bare": test_told.with_pod(test_told.bare_pod(phase="Pending", conditions=[])),
    "scheduler": test_told.unscheduled("0/1 nodes: 1 Insufficient cpu, 1 node(s) unschedulable"),
}
CONTENTS = {name: json.loads(dump(healthy_facts(objects))) for name, objects in STORIES.items()}
READ = {"Event", "Pod", "Node", "ResourceQuota", "PersistentVolumeClaim", "ConfigMap", "Secret"}
PLACES = [
    (name, path)
    for name, content in CONTENTS.items()
    for path in kinds(content)
    if path[:1] == ("objects",) and (len(path) == 1 or path[1] in READ)
]


def judge(content):
    facts = read(json.dumps(content))
    diagnosis = diagnose(facts)
    assert [what for what, _ in diagnosis.unknown if what.startswith("check ")] == []
    return diagnosis


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_read_from_a_file(name):
    assert judge(CONTENTS[name]) == diagnose(healthy_facts(STORIES[name]))


@bounded(60)
@given(place=st.sampled_from(PLACES), value=odd_values)
def test_an_odd_value_in_a_story_fails_no_check(place, value):
    name, path = place
    judge(with_value(CONTENTS[name], path, value))


@bounded(60)
@given(message=st.text(max_size=80), reason=st.text(max_size=20))
def test_any_words_of_kubernetes_are_told(message, reason):
    objects = test_told.without_secret()
    objects["Event"][0].update(message=message, reason=reason)
    judge(json.loads(dump(healthy_facts(objects))))
