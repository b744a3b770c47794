"""The hand-made healthy cluster is one that a look could have seen, and healthy."""

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import dump, parse
from devenv.facts.shapes import shaped
from devenv.facts.trim import trimmed
from tests.unit.diagnosis.covers import findings
from tests.unit.diagnosis.facts_builder import healthy_facts, healthy_objects


def test_no_check_finds_anything_in_healthy_facts():
    assert findings(healthy_facts()) == []


def test_healthy_facts_are_healthy_as_a_whole():
    diagnosis = diagnose(healthy_facts())
    assert (diagnosis.healthy, diagnosis.unknown) == (True, ())


def test_healthy_facts_can_be_saved_and_read():
    assert parse(dump(healthy_facts())) == healthy_facts()


def test_objects_have_the_shape_and_the_parts_that_a_look_keeps():
    for kind, objects in healthy_objects().items():
        for obj in objects:
            odd_paths = []
            assert shaped(obj, kind, odd_paths.append) == obj
            assert (kind, odd_paths) == (kind, [])
            assert trimmed(obj) == obj


def test_each_call_makes_objects_of_its_own():
    objects = healthy_objects()
    objects["Pod"].clear()
    assert healthy_objects()["Pod"]
