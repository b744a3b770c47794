"""DE314: what was deleted and does not go."""

import json
import shlex

import pytest

from devenv.diagnosis.diagnose import diagnose
from devenv.facts.model import Declared
from tests.unit.diagnosis.covers import codes, covers, findings, only_finding
from tests.unit.diagnosis.facts_builder import (
    CONTROLLER,
    GATEWAY,
    MODELS,
    SERVER,
    SYSTEM,
    TAKEN,
    before,
    condition,
    declared,
    healthy_facts,
    healthy_objects,
    named,
    pod_named,
)
from tests.unit.diagnosis.spelled import fixes, spelled

HOLD = "example.com/hold"
PATCH = '{"metadata":{"finalizers":null}}'


def ending(obj, age, *finalizers):
    obj["metadata"].update(deletionTimestamp=before(age), finalizers=list(finalizers))


def held(kind, name, age=60.0, finalizer=HOLD):
    objects = healthy_objects()
    ending(named(objects, kind, name), age, finalizer)
    return objects


def with_namespace(age, *conditions):
    objects = healthy_objects()
    namespace = {"metadata": {"name": "stuck"}, "spec": {"finalizers": ["kubernetes"]}}
    ending(namespace, age)
    namespace["status"] = {"phase": "Terminating", "conditions": list(conditions)}
    objects["Namespace"].append(namespace)
    return objects


def remaining(message="Some resources are remaining: configmaps. has 1 resource instances"):
    return condition("NamespaceContentRemaining", message=message)


@covers("DE314")
@pytest.mark.parametrize(("kind", "place"), [("Gateway", f"{SYSTEM}/"), ("GatewayClass", "")])
def test_an_object_that_a_finalizer_holds(code, kind, place):
    finding = only_finding(healthy_facts(held(kind, GATEWAY)))
    assert (finding.code, str(finding.subject)) == (code, f"{kind} {place}{GATEWAY}")
    assert (finding.since, HOLD in finding.says) == (TAKEN - 60, True)
    assert {"component/proxy", "component/reserved-route", "route/plain"} <= spelled(
        finding.affects
    )
    (fix,) = fixes(finding)
    assert shlex.split(fix)[-1] == PATCH


def test_recover_releases_and_puts_back_what_is_of_the_profile():
    gateway = Declared(kind="Gateway", namespace=SYSTEM, name=GATEWAY)
    facts = healthy_facts(held("Gateway", GATEWAY), declared=(*declared(), gateway))
    assert fixes(only_finding(facts))[0] == "devenv recover"


@pytest.mark.parametrize(("age", "expected"), [(29, []), (31, ["DE314"])])
def test_a_deletion_may_take_a_moment(age, expected):
    assert codes(healthy_facts(held("Gateway", GATEWAY, age))) == expected


@pytest.mark.parametrize(("age", "expected"), [(-10, []), (59, []), (61, ["DE314"])])
def test_a_pod_may_end_within_its_grace_period_and_a_little_more(age, expected):
    """Its deletionTimestamp is when the period is over."""
    objects = healthy_objects()
    pod = pod_named(objects, SERVER)
    other = {**pod, "metadata": {**pod["metadata"], "name": "former"}}
    ending(other, age)
    objects["Pod"].append(other)
    found = [finding for finding in findings(healthy_facts(objects)) if finding.code == "DE314"]
    assert [finding.code for finding in found] == expected
    assert all("--force" in fixes(finding)[0] for finding in found)


def test_what_a_held_class_breaks_hangs_below_it():
    objects = held("GatewayClass", GATEWAY)
    gateway = named(objects, "Gateway", GATEWAY)
    gateway["status"]["conditions"] = [condition("Accepted"), condition("Programmed", "False")]
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert cause.root.code == "DE314"
    assert [effect.code for effect in cause.consequences] == ["DE407"]


def test_a_class_waits_for_its_held_gateway():
    objects = held("Gateway", GATEWAY)
    ours = "gateway-exists-finalizer.gateway.networking.k8s.io"
    ending(named(objects, "GatewayClass", GATEWAY), 60, ours)
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert str(cause.root.subject) == f"Gateway {SYSTEM}/{GATEWAY}"
    assert [str(effect.subject) for effect in cause.consequences] == [f"GatewayClass {GATEWAY}"]


def test_the_controller_that_does_not_run_is_why_its_finalizer_stays():
    ours = "gateway-exists-finalizer.gateway.networking.k8s.io"
    objects = held("GatewayClass", GATEWAY, finalizer=ours)
    named(objects, "Deployment", CONTROLLER)["spec"]["replicas"] = 0
    named(objects, "Deployment", CONTROLLER)["status"] = {"observedGeneration": 1}
    objects["Pod"].remove(pod_named(objects, CONTROLLER))
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert str(cause.root.subject) == CONTROLLER
    assert "DE314" in [effect.code for effect in cause.consequences]


@covers("DE314")
def test_a_namespace_tells_what_remains(code):
    message = (
        "Some resources are remaining: configmaps. has 1 resource instances, "
        "jobs.batch has 2 resource instances"
    )
    facts = healthy_facts(with_namespace(60, remaining(message)))
    finding = only_finding(facts)
    assert (finding.code, finding.subject.kind, finding.subject.name) == (
        code,
        "Namespace",
        "stuck",
    )
    assert message in finding.says
    resources = [shlex.split(fix)[6] for fix in fixes(finding)]
    assert resources == ["configmaps", "jobs.batch"]
    assert all(shlex.split(fix)[-1] == PATCH for fix in fixes(finding))


def test_a_namespace_whose_kinds_nobody_serves():
    message = (
        "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of "
        "server APIs: metrics.k8s.io/v1beta1: the server is currently unable to handle the request"
    )
    failure = condition("NamespaceDeletionDiscoveryFailure", message=message)
    (fix,) = fixes(only_finding(healthy_facts(with_namespace(60, failure))))
    assert shlex.split(fix)[-3:] == ["delete", "apiservice", "v1beta1.metrics.k8s.io"]


def test_what_a_held_namespace_contains_hangs_below_it():
    objects = with_namespace(60, remaining())
    for name in ("one", "two"):
        content = {"metadata": {"name": name, "namespace": "stuck"}}
        ending(content, 60, HOLD)
        objects["ConfigMap"].append(content)
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert (cause.root.subject.kind, cause.root.subject.name) == ("Namespace", "stuck")
    assert len(cause.consequences) == 2


@pytest.mark.parametrize("pods_age", [-20, 59])
def test_a_namespace_waits_for_its_pods(pods_age):
    objects = with_namespace(200, remaining())
    claim = {"metadata": {"name": "data", "namespace": "stuck"}}
    ending(claim, 200, "kubernetes.io/pvc-protection")
    objects["PersistentVolumeClaim"].append(claim)
    pod = pod_named(objects, SERVER)
    other = {**pod, "metadata": {"name": "former", "namespace": "stuck"}}
    ending(other, pods_age)
    objects["Pod"].append(other)
    assert "DE314" not in codes(healthy_facts(objects))


def test_a_namespace_that_is_being_deleted_since_a_moment():
    assert codes(healthy_facts(with_namespace(29, remaining()))) == []


def test_a_claim_in_use_keeps_its_finalizer():
    """Without it, data that a pod still writes would go."""
    objects = healthy_objects()
    claim = {"metadata": {"name": "data", "namespace": MODELS}}
    ending(claim, 60, "kubernetes.io/pvc-protection")
    objects["PersistentVolumeClaim"].append(claim)
    assert not any(PATCH in fix for fix in fixes(only_finding(healthy_facts(objects))))


def test_a_namespace_that_its_own_finalizers_hold_is_released():
    objects = with_namespace(60)
    namespace = named(objects, "Namespace", "stuck")
    namespace["spec"]["finalizers"] += [HOLD]
    namespace["metadata"]["finalizers"] = ["example.com/other"]
    finding = only_finding(healthy_facts(objects))
    assert f"{HOLD}" in finding.evidence[0].text
    release, finalize = fixes(finding)
    assert shlex.split(release)[-1] == PATCH
    echo, content, pipe, *replace = shlex.split(finalize)
    assert (echo, pipe, replace[-3]) == ("echo", "|", "/api/v1/namespaces/stuck/finalize")
    assert json.loads(content)["spec"] == {"finalizers": ["kubernetes"]}


def test_a_namespace_that_kubernetes_itself_still_holds_is_only_shown():
    (fix,) = fixes(only_finding(healthy_facts(with_namespace(60))))
    assert shlex.split(fix)[-3:] == ["describe", "namespace", "stuck"]
