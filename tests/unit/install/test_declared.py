import pytest

from devenv import data
from devenv.base.errors import DevenvError, NotFoundError
from devenv.install import manifests
from devenv.install.declared import Declarations, ObjectName, missing_objects
from devenv.profiles.load import load
from devenv.profiles.model import ManifestSource
from tests.unit.install.offline import declared_offline

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


def test_what_an_older_version_kept_is_read_anew(declarations):
    declarations.read()
    kept = declarations.file.read_text().replace('"form":3', '"form":2')
    declarations.file.write_text(kept.replace('"one"', '"old"'))
    assert names(declarations) == ["one"]


def test_it_has_the_objects_as_facts_hold_live_ones():
    declared = {(d.kind, d.name): d for d in declared_offline()}
    redis = declared["Deployment", "aibrix-redis-master"]
    assert redis.content["spec"]["replicas"] == 1
    assert redis.content["apiVersion"] == "apps/v1"
    assert ("HTTPRoute", "llama2-7b-router") in declared
    assert ("Namespace", "aibrix-system") not in declared


@pytest.mark.parametrize("spec", ["{template: {}}", "{containers: [x]}", "[]", "x"])
def test_an_object_of_a_wrong_form_has_no_content(declarations, tmp_path, spec):
    (tmp_path / "own.yaml").write_text(
        SERVICE.replace("metadata", f"spec: {spec}\nmetadata") % "one"
    )
    assert names(declarations) == ["one"]


def test_a_job_may_be_gone(declarations, tmp_path):
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\n"
    (tmp_path / "own.yaml").write_text(f"{SERVICE % 'one'}{job}")
    assert [name.name for name in declarations.names()] == ["one"]


class Live:
    """An API server with these Services, which has no other kind."""

    def __init__(self, *services):
        self.services = services

    def metadata(self, api_version, kind):
        if kind != "Service":
            raise NotFoundError(kind)
        return [{"metadata": meta} for meta in self.services]


@pytest.mark.parametrize(
    ("namespace", "live", "is_missing"),
    [("n", {"name": "a", "namespace": "n"}, False), ("n", {"name": "a", "namespace": "m"}, True),
     ("n", {"name": "b", "namespace": "n"}, True), ("", {"name": "a"}, False), ("n", {"name": "a"}, False),
     ("", {"name": "a", "namespace": "default"}, False), ("", {"name": "a", "namespace": "n"}, True)],
)  # fmt: skip
def test_an_object_is_missing_if_no_live_one_has_its_name(namespace, live, is_missing):
    name = ObjectName(api_version="v1", kind="Service", namespace=namespace, name="a")
    assert bool(missing_objects(Live(live), [name])) == is_missing


def test_without_its_definition_an_object_is_missing():
    name = ObjectName(api_version="g/v1", kind="HTTPRoute", namespace="n", name="a")
    assert missing_objects(Live(), [name]) == ["HTTPRoute n/a"]
