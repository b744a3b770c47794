"""Facts with an odd value anywhere are read by every form of output, and the value is unknown."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from devenv.base.errors import Exit
from devenv.diagnosis.compare import compare
from devenv.diagnosis.diagnose import diagnose
from devenv.facts import files
from devenv.facts.model import Facts
from devenv.ui import comparison, machine
from devenv.ui import diagnosis as text
from devenv.ui.page import page
from tests.fuzz.mutations import GONE, bounded, kinds, odd_values, refusal, with_value
from tests.paths import INCIDENTS

SOME = (
    "healthy",
    "the-incident",
    "aibrix-healthy",
    "redis-is-down",
    "pod-fits-no-node",
    "engine-stopped",
)
CONTENTS = {name: json.loads((INCIDENTS / name / "facts.json").read_text()) for name in SOME}
# A version that is too high is no odd value: a newer devenv wrote the file.
PLACES = [
    (name, path)
    for name, content in CONTENTS.items()
    for path in kinds(content)
    if path != ("version",)
]
GOOD = files.read(INCIDENTS / "healthy" / "facts.json")


def every_form(facts: Facts) -> dict[str, str]:
    found = diagnose(facts)
    shown = {}
    for width in (80, 160):
        out = io.StringIO()
        console = Console(file=out, width=width, force_terminal=True)
        for everything in (True, False):
            for line in text.lines(found, everything=everything):
                console.print(line)
        shown[f"text {width}"] = out.getvalue()
    shown |= {
        "json": json.dumps(text.diagnosis_shape(found)),
        "plain": text.plain_text(found, everything=True),
    }
    shown |= {
        "html": page(facts, found),
        "junit": machine.junit(found),
        "sarif": machine.sarif(found),
    }
    for one, other in ((GOOD, facts), (facts, GOOD)):
        differences = compare(one, other)
        shown["compare"] = comparison.plain_text(one, other, differences)
        shown["compare json"] = json.dumps(comparison.shape(one, other, differences))
    for content in shown.values():
        content.encode()
    return shown


def saved(folder: Path, content) -> Path:
    path = folder / "facts.json"
    path.write_text(json.dumps(content))
    return path


def read(folder: Path, content) -> Facts | None:
    found: list[Facts] = []
    error = refusal(lambda: found.append(files.read(saved(folder, content))))
    assert error is None or error.exit_code == Exit.USAGE
    return found[0] if found else None


@bounded(40)
@given(place=st.sampled_from(PLACES), value=odd_values)
def test_any_odd_value_is_read_by_every_form(tmp_path_factory, place, value):
    name, path = place
    facts = read(tmp_path_factory.mktemp("facts"), with_value(CONTENTS[name], path, value))
    assert (facts is None) == (not path)
    if facts:
        every_form(facts)
        failed = [what for what, _ in diagnose(facts).unknown if what.startswith("check ")]
        assert failed == []


# Each was a crash, or refused the whole file, before values were looked at one by one.
CRASHES = [
    ("objects", "HTTPRoute", 0, "spec"), ("objects", "Pod", 0, "metadata"), ("objects", "Pod", 0, "metadata", "name"),
    ("objects", "Pod", 0, "status", "containerStatuses"), ("objects", "Gateway", 0, "status", "conditions", 0, "message"),
    ("objects", "Deployment", 0, "spec", "template", "spec", "containers", 0, "env"), ("objects", "ConfigMap", 0, "data"),
    ("objects", "Node", 0, "status", "addresses", 0, "address"), ("objects", "Deployment", 0, "spec", "replicas"),
    ("objects", "EnvoyExtensionPolicy", 0, "metadata", "generation"), ("objects", "Service", 0, "spec", "selector"),
    ("objects",), ("objects", "Pod"), ("nodes",), ("nodes", 0, "disk", "free"), ("nodes", 0, "name"), ("taken",), ("cluster",),
    ("devenv",), ("profile",), ("profile", "images"), ("profile", "components", 0, "name"), ("profile", "requests"),
    ("profile", "cluster"), ("profile", "gateway", "host_port"), ("proofs", 0, "answer", "status"), ("logs", 0, "lines"),
    ("proxies", 0, "listeners"), ("unknown",), ("proofs",),
]  # fmt: skip


@pytest.mark.parametrize("path", CRASHES, ids=lambda path: ".".join(map(str, path)))
def test_what_was_a_crash_is_read(tmp_path, path):
    for value in (GONE, None, 7, "x", [None]):
        facts = read(tmp_path, with_value(CONTENTS["healthy"], path, value))
        assert facts is not None
        found = diagnose(facts)
        assert not [what for what, _ in found.unknown if what.startswith("check ")]
        text.plain_text(found, everything=True)
        compare(GOOD, facts)
        compare(facts, GOOD)


def test_halves_of_characters_and_numbers_that_are_none_are_read(tmp_path):
    content = with_value(CONTENTS["healthy"], ("logs", 0, "lines"), ["\ud800 \u202e"])
    path = saved(tmp_path, content)
    path.write_text(path.read_text().replace('"taken": ', '"taken": 1e999, "took": ', 1))
    every_form(files.read(path))
