"""DE417: Envoy Gateway's certificates."""

import pytest

from devenv.diagnosis.diagnose import diagnose
from tests.unit.diagnosis.covers import codes, covers, only_finding
from tests.unit.diagnosis.facts_builder import (
    CONTROLLER,
    GATEWAYS,
    HOUR,
    PROXY,
    before,
    container_status,
    event,
    healthy_facts,
    healthy_objects,
    named,
    remove,
)
from tests.unit.diagnosis.spelled import fixes, spelled


def without(*names):
    objects = healthy_objects()
    for name in names:
        remove(objects, "Secret", name)
    return objects


@covers("DE417")
@pytest.mark.parametrize("name", ["envoy", "envoy-gateway", "envoy-oidc-hmac"])
def test_a_secret_of_certgen_that_is_gone(code, name):
    finding = only_finding(healthy_facts(without(name)))
    assert (finding.code, str(finding.subject)) == (code, f"Secret {GATEWAYS}/{name}")
    assert {"component/proxy", "component/envoy-gateway", "route/plain"} <= spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


def test_all_of_them_are_one_finding():
    assert codes(healthy_facts({**healthy_objects(), "Secret": []})) == ["DE417"]


@covers("DE417")
@pytest.mark.parametrize(("age", "expected"), [(HOUR - 2, []), (HOUR - 40, ["DE417"])])
def test_secrets_of_different_runs_have_different_cas(code, age, expected):
    objects = healthy_objects()
    for secret in objects["Secret"]:
        secret["metadata"]["creationTimestamp"] = before(HOUR)
    named(objects, "Secret", "envoy")["metadata"]["creationTimestamp"] = before(age)
    assert codes(healthy_facts(objects)) == expected


def test_the_proxy_that_waits_for_its_secret_hangs_below_it():
    objects = without("envoy")
    status = container_status(objects, PROXY)
    status.update(ready=False, state={"waiting": {"reason": "ContainerCreating"}})
    message = 'MountVolume.SetUp failed for volume "certs" : secret "envoy" not found'
    warning = event("Pod", GATEWAYS, f"{PROXY}-1-x", "FailedMount", message)
    objects["Event"].append(warning)
    named(objects, "Deployment", PROXY)["status"].update(availableReplicas=0, readyReplicas=0)
    (cause,) = diagnose(healthy_facts(objects)).causes
    assert cause.root.code == "DE417"
    assert cause.consequences


def test_certgen_may_take_a_moment_after_the_install():
    objects = {**healthy_objects(), "Secret": []}
    named(objects, "Deployment", CONTROLLER)["metadata"]["creationTimestamp"] = before(60)
    assert codes(healthy_facts(objects)) == []


@pytest.mark.parametrize("changes", [{"unknown": {"Secret": "forbidden"}}, {"context": "other"}])
def test_secrets_are_missed_only_where_they_may_be_read(changes):
    assert "DE417" not in codes(healthy_facts(without("envoy"), **changes))


def test_facts_of_older_versions_have_no_secrets():
    objects = healthy_objects()
    del objects["Secret"]
    assert codes(healthy_facts(objects)) == []
