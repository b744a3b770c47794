"""Models by annotation and StormServices, beside a recorded healthy cluster."""

from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Facts
from devenv.facts.trim import trimmed
from devenv.profiles.model import Route
from tests.unit.diagnosis.test_diagnose_incidents import read

QWEN, SLUG, HASHED = "Qwen/Qwen2.5-7B", "m-qwen", "qwen-qwen2-5-7b-401a4b448e74-router"
NAMES = {"model.aibrix.ai/name": QWEN, "model.aibrix.ai/service-name": SLUG}
READY = [{"type": t, "status": "True"} for t in ("Ready", "Accepted", "ResolvedRefs")]


def codes(facts: Facts) -> list[str]:
    return sorted(c.root.code for c in diagnose(facts).causes)


def changed(facts: Facts, *, annotated: bool = True, **update) -> Facts:
    profile = facts.profile.model_copy(
        update={"model_annotations": annotated, **update.pop("profile", {})}
    )
    objects = {
        **facts.objects,
        **{kind: (*facts.of(kind), *more) for kind, more in update.pop("objects", {}).items()},
    }
    return facts.model_copy(update={"profile": profile, "objects": objects, **update})


def pod(name, labels=None, annotations=None):
    meta = {
        "name": name,
        "namespace": "default",
        "uid": name,
        "labels": labels or {},
        "annotations": annotations or {},
    }
    meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": "m-qwen-1"}]
    spec = {
        "nodeName": "",
        "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 8000}], "env": []}],
    }
    return {
        "metadata": meta,
        "spec": spec,
        "status": {"phase": "Running", "podIP": "10.9.9.9", "conditions": READY},
    }


def model(**without):
    """Everything that makes a model of main's whole, without some of it."""
    labels = {"app": SLUG, "model.aibrix.ai/port": "8000"}
    deployment = {
        "metadata": {"name": SLUG, "namespace": "default", "generation": 1, "labels": labels, "annotations": NAMES},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": SLUG}},
            "template": {"metadata": {"labels": labels, "annotations": {**NAMES, "other": "hush"}}, "spec": {"containers": []}},
        },
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1},
    }  # fmt: skip
    service = {"metadata": {"name": SLUG, "namespace": "default"},
               "spec": {"selector": {"app": SLUG}, "ports": [{"port": 8000}]}}  # fmt: skip
    rule = {
        "matches": [{"headers": [{"name": "model", "value": QWEN}]}],
        "backendRefs": [{"name": SLUG, "namespace": "default", "port": 8000}],
    }
    route = {
        "metadata": {"name": HASHED, "namespace": "aibrix-system", "generation": 1},
        "spec": {"parentRefs": [{"name": "aibrix-eg"}], "rules": [rule]}, "status": {"parents": [{"conditions": READY}]},
    }  # fmt: skip
    own = pod("m-qwen-1-x", {**labels, "pod-template-hash": "1"}, NAMES)
    every = {"Deployment": deployment, "Service": service, "HTTPRoute": route, "Pod": own}
    return {kind: [trimmed(obj)] for kind, obj in every.items() if kind not in without}


def test_a_model_that_annotations_name_is_whole():
    assert codes(changed(read("healthy"), objects=model())) == []


@pytest.mark.parametrize(("kind", "code"), [("HTTPRoute", "DE503"), ("Service", "DE502")])
def test_what_such_a_model_lacks_is_found(kind, code):
    (cause,) = diagnose(changed(read("healthy"), objects=model(**{kind: True}))).causes
    assert (cause.root.code, str(cause.root.subject)) == (code, f"model {QWEN}")


def test_a_release_does_not_read_annotations():
    objects = model(HTTPRoute=True, Service=True)
    assert codes(changed(read("healthy"), annotated=False, objects=objects)) == []


def test_trimmed_facts_keep_those_names_and_no_other_annotation():
    (deployment,) = model()["Deployment"]
    assert deployment["metadata"]["annotations"] == NAMES
    assert deployment["spec"]["template"]["metadata"]["annotations"] == NAMES


@pytest.mark.parametrize("running", [True, False])
def test_a_storm_service_without_a_route_is_no_fault(running):
    facts = read("healthy")
    live = facts.profile.requests[1].model_copy(update={"model": "pd", "by": "", "name": "pd"})
    good = replace(next(p for p in facts.proofs if p.route is Route.EXTENSION), name="pd")
    labels = {"model.aibrix.ai/name": "pd", "storm-service-name": "pd"}
    pods = [trimmed(pod("pd-0", labels))] if running else []
    requests = {"requests": (*facts.profile.requests, live)}
    found = codes(
        changed(
            facts,
            annotated=False,
            profile=requests,
            proofs=(*facts.proofs, good),
            objects={"Pod": pods},
        )
    )
    assert found == ([] if running else ["DE501"])
