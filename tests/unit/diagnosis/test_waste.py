"""A full disk's finding says whose waste it is."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Facts, WasteFacts, dump, parse
from devenv.ports.host import Space
from tests.unit.diagnosis.test_diagnose_incidents import read

MOCK = "devenv.local/vllm-mock:reference"
MIB = 1 << 20


def waste(
    place: str = "engine", former_name: str = MOCK, size: int = 1200 * MIB, **more
) -> WasteFacts:
    return WasteFacts(place=place, former_name=former_name, count=4, size=size, **more)


def told(facts: Facts, code: str) -> list[str]:
    finding = next(c.root for c in diagnose(facts).causes if c.root.code == code)
    return [e.text for e in finding.evidence if e.source == "waste"]


@pytest.mark.parametrize(("name", "code"), [("the-incident", "DE201"), ("no-inodes", "DE202")])
def test_the_largest_come_first_and_no_more_than_three(name, code):
    facts = read(name)
    node = facts.nodes[0].name
    every = [waste(former_name=f"a{n}:1", size=n * MIB) for n in range(1, 5)] + [
        waste(node, size=99 * MIB)
    ]
    texts = told(facts.model_copy(update={"waste": tuple(every)}), code)
    assert len(texts) == 3
    assert [MOCK in texts[0], "a4:1" in texts[1], "a3:1" in texts[2]] == [True] * 3


def test_what_is_on_the_engines_own_disk_is_not_the_nodes():
    facts = read("the-incident")
    other = Space(50 << 30, 999 << 30, 10**6, 10**7)
    facts = facts.model_copy(update={"waste": (waste(),), "engine_disk": other})
    assert told(facts, "DE201") == []


def test_the_engines_own_full_disk_names_it_too():
    facts = read("healthy")
    facts = facts.model_copy(
        update={"waste": (waste(),), "engine_disk": Space(0, 999 << 30, 10**6, 10**7)}
    )
    assert len(told(facts, "DE102")) == 1


def test_without_waste_nothing_is_said_and_a_saved_look_keeps_it():
    facts = read("the-incident")
    assert told(facts, "DE201") == []
    with_waste = facts.model_copy(
        update={"waste": (waste(oldest=1.0, newest=2.0), waste(former_name="", build_cache=True))}
    )
    assert parse(dump(with_waste)).waste == with_waste.waste
    assert len(told(parse(dump(with_waste)), "DE201")) == 2
