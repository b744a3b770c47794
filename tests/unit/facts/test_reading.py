"""What of a saved file is unknown, and what is no file of facts."""

import json
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.diagnosis.diagnose import diagnose
from devenv.facts import files
from devenv.facts.model import VERSION, parse
from tests.fuzz.mutations import GONE, with_value
from tests.paths import INCIDENTS

HEALTHY = INCIDENTS / "healthy" / "facts.json"
CONTENT = json.loads(HEALTHY.read_text())


def read(folder: Path, content):
    path = folder / "facts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return files.read(path)


def unknown(folder: Path, path: tuple, value) -> set[str]:
    return set(read(folder, with_value(CONTENT, path, value)).unknown) - set(CONTENT["unknown"])


def test_a_file_without_odd_values_is_as_it_was_written():
    facts = files.read(HEALTHY)
    assert facts.unknown == parse(HEALTHY.read_text()).unknown
    assert diagnose(facts) == diagnose(parse(HEALTHY.read_text()))


@pytest.mark.parametrize(("path", "value", "names"), [
    (("nodes", 0, "load"), "high", {"nodes.0.load"}),
    (("nodes", 0, "disk", "free"), None, {"nodes.0.disk.free", "nodes.0.disk"}),
    (("nodes", 0, "name"), 7, {"nodes.0.name", "nodes.0"}),
    (("taken",), GONE, {"taken"}),
    (("objects", "Pod", 0, "metadata", "name"), [], {"Pod"}),
    (("objects", "Pod"), 7, {"Pod"}),
    (("port_owner",), {}, {"port_owner"}),
    (("profile",), "offline", {"profile"}),
    (("a_key_of_another_devenv",), 1, {"a_key_of_another_devenv"}),
])  # fmt: skip
def test_an_odd_value_is_unknown_by_its_place(tmp_path, path, value, names):
    assert unknown(tmp_path, path, value) == names


def test_an_odd_value_in_an_object_is_unknown_with_the_object(tmp_path):
    service = CONTENT["objects"]["Service"][0]["metadata"]
    name = f"Service {service['namespace']}/{service['name']}"
    assert unknown(tmp_path, ("objects", "Service", 0, "spec", "selector"), 7) == {name}


def test_what_is_odd_is_never_taken_for_fine(tmp_path):
    assert diagnose(files.read(HEALTHY)).healthy
    assert not diagnose(read(tmp_path, with_value(CONTENT, ("nodes", 0, "load"), "high"))).healthy


def test_the_time_of_a_look_that_has_none_is_the_last_that_the_file_names(tmp_path):
    facts = read(tmp_path, with_value(CONTENT, ("taken",), "yesterday"))
    assert 0 < CONTENT["taken"] - facts.taken < 3600


def test_a_newer_devenv_s_file_is_reported_as_that(tmp_path):
    with pytest.raises(DevenvError, match="newer devenv") as caught:
        read(tmp_path, {**CONTENT, "version": VERSION + 1, "devenv": "9.9.9"})
    assert caught.value.exit_code == Exit.USAGE
    assert "9.9.9" in caught.value.what


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null", "{}", '{"a": 1}', "[" * 100_000])
def test_what_holds_no_facts_is_refused(tmp_path, content):
    with pytest.raises(DevenvError) as caught:
        read(tmp_path, content)
    assert caught.value.exit_code == Exit.USAGE
    assert str(tmp_path) in caught.value.what


def test_a_file_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(files, "_LARGEST", 1 << 20)
    with pytest.raises(DevenvError) as caught:
        files.read(Path("/dev/zero"))
    assert caught.value.exit_code == Exit.USAGE
