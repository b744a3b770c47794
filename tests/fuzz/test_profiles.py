"""Profiles with an odd value anywhere, or with odd text, are read or refused with their place: never a crash."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.profiles.load import check, new_items
from devenv.profiles.settings import read as read_settings
from tests.fuzz.mutations import GONE, bounded, kinds, odd_values, refusal, with_value

FOLDER = data.root() / "profiles"
OWN = {
    "extends": "offline", "name": "mine", "gateway": {"host_port": 8889}, "ignore": ["DE901"], "protect": ["a/*"],
    "images": [{"name": "redis", "ref": "redis:7", "pull": True, "build": ["make"]}, {"name": "new", "ref": "a/b:1"}],
    "manifests": [{"name": "extra", "url": "https://example.com/a.yaml", "sha256": "0" * 64, "after": ["redis"]}],
    "patches": [{"name": "p", "target": {"kind": "Service"}, "merge": {"spec": {"type": "NodePort"}}, "enabled": False}],
    "components": [{"name": "redis", "deadline": 10, "after": ["envoy-gateway"]}],
    "requests": [{"name": "direct", "route": "direct", "model": "m", "headers": {"x-a": "${B}"}}],
    "budgets": {"engine": {"keep_free": "5%"}}, "needs": {"cpus": 2, "memory": "3Gi"}, "auto_prune": True,
    "cluster": {"kind": {"nodes": [{"role": "control-plane"}]}}, "options": {"wide": {"keep_newer": 1}},
    "versions": {"v1": {"keep_newer": 2, "released": True}}, "version": "v1",
}  # fmt: skip
SETTINGS = {
    "budgets": {"node": {"max_use": "9Gi"}},
    "auto_prune": "ask",
    "protect": ["b"],
    "keep_newer": 3,
}
# What YAML itself makes hard.
PIECES = st.sampled_from([
    "a: ", "- ", "&a ", "*a", "<<: ", "[", "]", "{", "}", "'", '"', "\n", "\n  ", "|\n", "? ", "!!int ", "!!set ", "---\n",
    "%YAML 9\n", "#", "\t", "x", "1:30", "1e9", "0o7", "2026-13-45", "null", "true", ".inf", "extends: offline\n", "\ufeff", "\x85",
])  # fmt: skip


def outcome(path: Path, call) -> DevenvError | None:
    """Call, and return the error in devenv's own words if there is one."""
    error = refusal(lambda: call(path))
    assert error is None or error.exit_code == Exit.USAGE
    assert "pydantic" not in str(error)
    return error


def validate(path: Path) -> None:
    check(str(path), FOLDER, ["DE901"])
    new_items(str(path), FOLDER)


def written(folder: Path, content) -> Path:
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@bounded(120)
@given(place=st.sampled_from(kinds(OWN)), value=odd_values)
def test_any_odd_value_in_a_profile(tmp_path_factory, place, value):
    path = written(tmp_path_factory.mktemp("profile"), with_value(OWN, place, value))
    error = outcome(path, validate)
    if error and place and value is not GONE and place[0] != "version":
        assert re.search(r"mine\.yaml:\d+", error.why), "an error says in which line"


@bounded(60)
@given(place=st.sampled_from(kinds(SETTINGS)), value=odd_values)
def test_any_odd_value_in_the_settings(tmp_path_factory, place, value):
    path = written(tmp_path_factory.mktemp("settings"), with_value(SETTINGS, place, value))
    outcome(path, read_settings)


@bounded(150)
@given(pieces=st.lists(PIECES, max_size=25))
def test_any_text(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("text") / "mine.yaml"
    path.write_text("".join(pieces), encoding="utf-8")
    outcome(path, validate)
    outcome(path, read_settings)


# What was found, first.
CRASHES = [
    "a: !!set {b, c}\n",
    "? [a]\n: b\n",
    "a: &a [*a]\n",
    "extends: offline\nimages: [[]]\n",
    "extends: offline\npatches: {a: 1}\n",
]


@pytest.mark.parametrize("text", CRASHES)
def test_what_was_found(tmp_path, text):
    assert outcome(written(tmp_path, text), validate)
