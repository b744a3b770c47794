"""DE419: what differs from the profile, where nothing else explains a failure."""

from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Declared
from devenv.ports.gateway import HttpAnswer
from tests.unit.diagnosis.covers import covers
from tests.unit.diagnosis.facts_builder import (
    EXTENSION_POLICY,
    MODEL_ROUTE,
    PATCH_POLICY,
    PLUGINS,
    SERVER,
    declared,
    healthy_facts,
    healthy_objects,
    named,
    proofs,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes


def failing(*names):
    changes = {"answer": HttpAnswer(404), "failures": ("404",)}
    return tuple(replace(p, **changes) if p.name in names else p for p in proofs())


def profiles_own(kind, name, **spec):
    """Return what the profile has of an object: as it is, but for these fields of its spec."""
    obj = named(healthy_objects(), kind, name)
    content = {**obj, "spec": {**obj["spec"], **spec}}
    content.pop("status", None)
    namespace = obj["metadata"].get("namespace", "")
    return Declared(kind=kind, namespace=namespace, name=name, content=content)


def diagnosed(own, *failing_names, objects=None, ignore=()):
    facts = healthy_facts(objects, declared=(*declared(), *own), proofs=failing(*failing_names))
    return diagnose(facts, ignore)


def roots(diagnosis):
    return [(cause.root.code, str(cause.root.subject)) for cause in diagnosis.causes]


@covers("DE419")
def test_a_changed_object_on_the_way_is_the_root_of_what_nothing_explains(code):
    own = profiles_own("EnvoyPatchPolicy", PATCH_POLICY, priority=7)
    diagnosis = diagnosed([own], "extension")
    (cause,) = diagnosis.causes
    assert (cause.root.code, cause.root.subject.kind) == (code, "EnvoyPatchPolicy")
    assert [effect.code for effect in cause.consequences] == ["DE601"]
    assert fixes(cause.root) == ("devenv recover",)
    assert [piece.text.split()[0] for piece in cause.root.evidence] == ["spec.priority"]


@pytest.mark.parametrize(
    ("kind", "name", "changes", "failing_names"),
    [
        # The patched route is not theirs.
        ("EnvoyPatchPolicy", PATCH_POLICY, {"priority": 7}, ["direct"]),
        ("EnvoyExtensionPolicy", EXTENSION_POLICY, {"priority": 7}, ["direct"]),
        ("HTTPRoute", MODEL_ROUTE, {"parentRefs": []}, ["extension"]),
        # Nothing fails.
        ("EnvoyPatchPolicy", PATCH_POLICY, {"priority": 7}, []),
        # As the profile has it.
        ("EnvoyPatchPolicy", PATCH_POLICY, {}, ["extension"]),
        # How many pods a user wants is the user's business.
        ("Deployment", SERVER, {"replicas": 3}, ["direct"]),
    ],
)
def test_what_is_not_on_the_way_or_not_changed_is_no_suspect(kind, name, changes, failing_names):
    diagnosis = diagnosed([profiles_own(kind, name, **changes)], *failing_names)
    assert "DE419" not in [code for code, _ in roots(diagnosis)]


def test_a_workloads_image_is_no_suspect_and_its_other_fields_are():
    own = profiles_own("Deployment", PLUGINS)
    pod = own.content["spec"]["template"]["spec"]
    pod["containers"] = [{**pod["containers"][0], "image": "other"}]
    assert [code for code, _ in roots(diagnosed([own], "extension"))] == ["DE601"]
    pod["containers"][0]["command"] = ["other"]
    assert [code for code, _ in roots(diagnosed([own], "extension"))] == ["DE419"]


def test_a_service_that_leads_nowhere_is_a_suspect_though_nobody_is_behind_it():
    objects = healthy_objects()
    named(objects, "Service", PLUGINS)["spec"]["selector"] = {"app": "other"}
    diagnosis = diagnosed([profiles_own("Service", PLUGINS)], "extension", "plain", objects=objects)
    assert [code for code, _ in roots(diagnosis)] == ["DE419"]


def test_what_explains_a_failure_leaves_no_suspect():
    objects = healthy_objects()
    named(objects, "Deployment", PLUGINS)["spec"]["replicas"] = 0
    own = profiles_own("EnvoyExtensionPolicy", EXTENSION_POLICY, priority=7)
    diagnosis = diagnosed([own], "extension", "plain", objects=objects)
    assert [code for code, _ in roots(diagnosis)] == ["DE305"]


def test_an_object_that_a_root_is_about_is_named_once():
    objects = healthy_objects()
    set_condition(named(objects, "EnvoyExtensionPolicy", EXTENSION_POLICY), "Accepted")
    own = profiles_own("EnvoyExtensionPolicy", EXTENSION_POLICY, priority=7)
    # The route direct does not need the policy.
    diagnosis = diagnosed([own], "extension", "direct", objects=objects)
    assert [code for code, _ in roots(diagnosis)] == ["DE402", "DE601"]


def test_it_can_be_ignored():
    own = profiles_own("EnvoyPatchPolicy", PATCH_POLICY, priority=7)
    diagnosis = diagnosed([own], "extension", ignore=["DE419"])
    assert [code for code, _ in roots(diagnosis)] == ["DE601"]
    assert diagnosis.ignored == {"DE419"}
