"""What is put back: what roots are about, and what is gone of what they affect."""

import pytest

from devenv.diagnosis.changes import Change
from devenv.diagnosis.model import Finding, Subject
from devenv.facts.model import parse
from devenv.install.manifests import key
from devenv.recovery.drift import to_put_back
from tests.fakes.world import FakeKube
from tests.paths import INCIDENTS
from tests.unit.diagnosis.spelled import keys

HEALTHY = INCIDENTS / "healthy" / "facts.json"
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "httproutes.gateway.networking.k8s.io"},
    "spec": {"group": "gateway.networking.k8s.io", "names": {"kind": "HTTPRoute"}},
}
ROUTE = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "reserved", "namespace": "n"},
    "spec": {"rules": []},
}
MODEL = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "mock-llama2-7b",
        "namespace": "default",
        "labels": {"model.aibrix.ai/name": "llama2-7b"},
    },
    "spec": {"replicas": 2},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "llama2-7b", "namespace": "default"},
    "spec": {"x": 1},
}
EVERY = [CRD, ROUTE, MODEL, SERVICE]


@pytest.fixture
def kube():
    made = FakeKube([])
    for manifest in EVERY:
        made.objects[key(manifest)[1:]] = manifest
    return made


def put_back(kube, about, affects=frozenset()):
    profile = parse(HEALTHY.read_text()).profile
    root = Finding("DE308", Subject("x"), "x", about=keys(about), affects=keys(affects))
    return [
        (d.manifest["kind"], d.is_missing) for d in to_put_back(kube.get, EVERY, [root], profile)
    ]


def test_with_a_definition_come_all_objects_of_its_kind(kube):
    for manifest in (CRD, ROUTE):
        del kube.objects[key(manifest)[1:]]
    about = {"CustomResourceDefinition/httproutes.gateway.networking.k8s.io"}
    assert put_back(kube, about) == [("CustomResourceDefinition", True), ("HTTPRoute", True)]


def test_a_definition_that_is_there_is_left_as_it_is(kube):
    kube.objects[key(CRD)[1:]] = {**CRD, "spec": {"group": "other"}}
    assert put_back(kube, {"CustomResourceDefinition/httproutes.gateway.networking.k8s.io"}) == []


def test_a_models_deployment_brings_its_service_that_is_gone_too(kube):
    for manifest in (MODEL, SERVICE):
        del kube.objects[key(manifest)[1:]]
    assert put_back(kube, {"component/model"}, {"model/llama2-7b"}) == [
        ("Deployment", True),
        ("Service", True),
    ]


def test_what_was_changed_elsewhere_is_left_as_it_is(kube):
    del kube.objects[key(MODEL)[1:]]
    kube.objects[key(SERVICE)[1:]] = {**SERVICE, "spec": {"x": 2}}
    assert put_back(kube, {"component/model"}, {"model/llama2-7b"}) == [("Deployment", True)]


def test_a_drift_has_each_field_with_its_value_and_the_profiles(kube):
    kube.objects[key(MODEL)[1:]] = {**MODEL, "spec": {"replicas": 0}}
    profile = parse(HEALTHY.read_text()).profile
    root = Finding("DE305", Subject("x"), "x", about=keys({"component/model"}))
    (drift,) = to_put_back(kube.get, EVERY, [root], profile)
    assert drift.changes == (Change("spec.replicas", "0", "2"),)
    assert (drift.name.split()[0], drift.state) == ("Deployment", "changed")
    assert str(drift).endswith(drift.changes[0].path)
