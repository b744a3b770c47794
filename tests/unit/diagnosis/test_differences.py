"""What of the profile's objects differs, and at which root causes that shows."""

from devenv.diagnosis.diagnose import diagnose
from devenv.diagnosis.differences import differences
from devenv.facts.model import Declared
from tests.unit.diagnosis.facts_builder import (
    EXTENSION_POLICY,
    MODELS,
    PATCH_POLICY,
    declared,
    healthy_facts,
    healthy_objects,
    named,
    set_condition,
)


def profiles_own(kind, name, **spec):
    """Return what the profile has of an object: as it is, but for these fields of its spec."""
    obj = named(healthy_objects(), kind, name)
    content = {"metadata": obj["metadata"], "spec": {**obj["spec"], **spec}}
    namespace = obj["metadata"].get("namespace", "")
    return Declared(kind=kind, namespace=namespace, name=name, content=content)


def test_a_root_shows_what_of_its_objects_differs_and_of_no_other():
    objects = healthy_objects()
    set_condition(named(objects, "EnvoyExtensionPolicy", EXTENSION_POLICY), "Accepted")
    own = [
        profiles_own("EnvoyExtensionPolicy", EXTENSION_POLICY, priority=7),
        profiles_own("EnvoyPatchPolicy", PATCH_POLICY, priority=8),
    ]
    (cause,) = diagnose(healthy_facts(objects, declared=(*declared(), *own))).causes
    (piece,) = [e for e in cause.root.evidence if "spec.priority" in e.text]
    assert EXTENSION_POLICY in piece.source


def test_what_a_model_needs_shows_at_the_models_root():
    objects = healthy_objects()
    objects["ReferenceGrant"][0]["spec"]["from"][0]["kind"] = "Other"
    own = profiles_own("ReferenceGrant", "aibrix-grant")
    (cause,) = diagnose(healthy_facts(objects, declared=(*declared(), own))).causes
    assert cause.root.code == "DE504"
    assert any(f"{MODELS}/aibrix-grant" in piece.source for piece in cause.root.evidence)


def test_what_facts_hold_no_content_of_can_not_differ():
    bare = profiles_own("EnvoyPatchPolicy", PATCH_POLICY, priority=8).model_copy(
        update={"content": {}}
    )
    gone = profiles_own("EnvoyPatchPolicy", PATCH_POLICY).model_copy(update={"name": "gone"})
    assert list(differences(healthy_facts(declared=(bare, gone)))) == []
