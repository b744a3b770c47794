"""Models by annotation, StormServices, API keys and answers that name no pod: findings from facts made by hand."""

from dataclasses import replace

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.live import AccessLine
from devenv.facts.model import Facts
from devenv.facts.trim import trimmed
from devenv.ports import HttpAnswer
from devenv.profiles.model import Route
from tests.unit.diagnosis.test_incidents import read

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
    assert (cause.root.code, cause.root.subject) == (code, f"model {QWEN}")


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


def failing(
    facts: Facts, status: int, *, upstream: str = "10.0.0.1:8000", headers: bool = False, **proof
) -> Facts:
    """All requests are answered like this."""
    line = AccessLine("r", "c", "-", "via_upstream", upstream)
    answer = HttpAnswer(status, {}, "Incorrect API key provided", sent=proof.pop("sent", True))
    proofs = tuple(
        replace(p, answer=answer, line=line, failures=("it fails",), **proof) for p in facts.proofs
    )
    given = {"Authorization": "${KEY}"} if headers else {}
    requests = tuple(
        type(r).model_validate({**r.model_dump(), "headers": given}) for r in facts.profile.requests
    )
    return facts.model_copy(
        update={
            "proofs": proofs,
            "profile": facts.profile.model_copy(update={"requests": requests}),
        }
    )


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("upstream", ["10.0.0.1:8000", "-"])
def test_three_401_are_one_finding(upstream, headers):
    facts = read("healthy")
    (cause,) = diagnose(failing(facts, 401, upstream=upstream, headers=headers)).causes
    assert (cause.root.code, cause.consequences) == ("DE602", ())
    assert {e.source for e in cause.root.evidence} >= {f"request {p.name}" for p in facts.proofs}
    assert cause.root.fix[-1].startswith("devenv request ")


def test_401_of_two_models_are_two_findings():
    facts = failing(read("healthy"), 401)
    first, *others = facts.profile.requests
    requests = (first.model_copy(update={"model": "other"}), *others)
    facts = facts.model_copy(
        update={"profile": facts.profile.model_copy(update={"requests": requests})}
    )
    keyless = [c.root.subject for c in diagnose(facts).causes if c.root.code == "DE602"]
    assert keyless == ["model llama2-7b", "model other"]


@pytest.mark.parametrize("proof", [{"unnamed": True}, {"sent": False}])
def test_what_only_the_profile_can_mend_is_no_fault_of_the_gateways(proof):
    """DE601 would have `recover` restart the gateway."""
    found = diagnose(failing(read("healthy"), 200 if "unnamed" in proof else 0, **proof))
    (cause,) = found.causes
    assert (cause.root.code, cause.consequences) == ("DE603", ())
    assert ("anonymous: true" in cause.root.fix[0]) == ("unnamed" in proof)
