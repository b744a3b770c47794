import pytest

from devenv import data
from devenv.errors import DevenvError
from devenv.lifecycle import manifests
from devenv.lifecycle.declared import Declarations
from devenv.profiles.load import load
from devenv.profiles.model import ManifestSource

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\n---\n"


@pytest.fixture
def declarations(tmp_path):
    profile = load("offline", data.root() / "profiles")
    source = ManifestSource(name="own", path="own.yaml")
    profile = profile.model_copy(update={"manifests": (source,), "components": ()})
    (tmp_path / "own.yaml").write_text(SERVICE % "one")
    return Declarations(profile, lambda s: tmp_path / s.path, tmp_path / "kept" / "c.json")


def names(declarations):
    return [d.name for d in declarations.read()]


def test_manifests_are_read_once_and_again_when_they_change(declarations, tmp_path, monkeypatch):
    assert names(declarations) == ["one"]
    with monkeypatch.context() as patched:
        patched.setattr(manifests, "render", None)
        assert names(declarations) == ["one"]
    (tmp_path / "own.yaml").write_text(SERVICE % "two")
    assert names(declarations) == ["two"]


def test_what_was_kept_and_can_not_be_read_is_read_anew(declarations):
    declarations.read()
    declarations.file.write_text('{"fingerprint": 1}')
    assert names(declarations) == ["one"]


def test_what_manifests_declared_outlives_them(declarations, tmp_path):
    """`prune --caches` removes downloads: a healthy cluster must not become one of which nothing can be told."""
    declarations.read()
    (tmp_path / "own.yaml").unlink()
    assert names(declarations) == ["one"]
    declarations.file.unlink()
    with pytest.raises(DevenvError):
        declarations.read()
