"""DE701 and DE702: AIBrix's own control plane."""

import pytest

from devenv.diagnosis.model import Verdict
from tests.unit.diagnosis.covers import codes, covers, findings, only_finding
from tests.unit.diagnosis.facts_builder import (
    HOUR,
    MANAGER,
    MODEL,
    SYSTEM,
    TAKEN,
    WEBHOOK_SERVICE,
    WEBHOOKS,
    before,
    healthy_facts,
    healthy_objects,
    named,
    pod_named,
    remove,
    set_condition,
)
from tests.unit.diagnosis.spelled import fixes, spelled

CONFIGURATION = "MutatingWebhookConfiguration"
SERVICE_KEY = f"Service/{SYSTEM}/{WEBHOOK_SERVICE}"
CERTIFICATE_KEY = f"certificate/{SYSTEM}/{WEBHOOK_SERVICE}"


def hook_of(objects):
    (hook,) = named(objects, CONFIGURATION, WEBHOOKS)["webhooks"]
    return hook


def with_endpoints(*endpoints):
    objects = healthy_objects()
    objects["EndpointSlice"][0]["endpoints"] = list(endpoints)
    return objects


@covers("DE701")
@pytest.mark.parametrize(
    "endpoints",
    [
        [],
        [{"addresses": ["10.244.0.9"], "conditions": {"ready": False}}],
        [{"addresses": []}],
    ],
    ids=["none", "none ready", "no address"],
)
def test_webhooks_behind_which_nobody_is_ready(code, endpoints):
    finding = only_finding(healthy_facts(with_endpoints(*endpoints)))
    assert (finding.code, str(finding.subject)) == (code, f"webhooks of {SYSTEM}/{WEBHOOK_SERVICE}")
    own = {f"{CONFIGURATION}/{WEBHOOKS}", "component/mutating-webhooks"}
    assert spelled(finding.about) == {SERVICE_KEY, *own}
    assert fixes(finding) == ("devenv recover", "devenv restart controller-manager")


@covers("DE701")
def test_webhooks_without_a_certificate(code):
    objects = healthy_objects()
    hook_of(objects)["clientConfig"]["caBundle"] = ""
    finding = only_finding(healthy_facts(objects))
    assert finding.code == code
    assert {SERVICE_KEY, CERTIFICATE_KEY} <= spelled(finding.about)


@covers("DE701")
def test_webhooks_whose_service_is_gone(code):
    """Another check tells of the Service."""
    objects = healthy_objects()
    remove(objects, "Service", WEBHOOK_SERVICE)
    gone, silent = findings(healthy_facts(objects))
    assert (gone.code, silent.code) == ("DE416", code)
    assert SERVICE_KEY in spelled(silent.about) & spelled(gone.about)


def test_both_kinds_of_webhooks_of_one_service_are_one_finding():
    objects = with_endpoints()
    validating = {**objects[CONFIGURATION][0], "metadata": {"name": "validating"}}
    objects["ValidatingWebhookConfiguration"].append(validating)
    finding = only_finding(healthy_facts(objects))
    assert "ValidatingWebhookConfiguration/validating" in spelled(finding.about)
    assert fixes(finding) == ("devenv recover", "devenv restart controller-manager")


def test_one_endpoint_that_is_ready_is_enough():
    ready = {"addresses": ["10.244.0.9"]}
    other = {"addresses": ["10.244.0.8"], "conditions": {"ready": False}}
    assert codes(healthy_facts(with_endpoints(other, ready))) == []


def test_one_of_two_slices_of_endpoints_is_enough():
    objects = healthy_objects()
    meta = {**objects["EndpointSlice"][0]["metadata"], "name": "empty"}
    objects["EndpointSlice"].append({"metadata": meta, "endpoints": []})
    assert codes(healthy_facts(objects)) == []


def test_services_that_were_not_read_are_not_said_to_be_missing():
    objects = healthy_objects()
    objects["Service"].clear()
    assert codes(healthy_facts(objects)) == []


def test_endpoints_of_another_service_do_not_answer():
    objects = healthy_objects()
    meta = objects["EndpointSlice"][0]["metadata"]
    objects["EndpointSlice"].append({"metadata": {**meta, "name": "empty"}, "endpoints": []})
    meta["labels"] = {"kubernetes.io/service-name": "other"}
    assert codes(healthy_facts(objects)) == ["DE701"]


def test_endpoints_of_another_namespace_do_not_answer():
    objects = healthy_objects()
    meta = objects["EndpointSlice"][0]["metadata"]
    objects["EndpointSlice"].append({"metadata": {**meta, "name": "empty"}, "endpoints": []})
    objects["EndpointSlice"][0]["metadata"] = {**meta, "namespace": "other"}
    assert codes(healthy_facts(objects)) == ["DE701"]


def test_a_webhook_outside_the_cluster_is_not_looked_for():
    objects = with_endpoints()
    hook_of(objects)["clientConfig"] = {"service": None, "caBundle": ""}
    assert codes(healthy_facts(objects)) == []


@pytest.mark.parametrize("unknown", [{"EndpointSlice": "no answer"}, {}])
def test_endpoints_that_were_not_read_are_not_said_to_be_missing(unknown):
    objects = healthy_objects()
    del objects["EndpointSlice"]
    assert codes(healthy_facts(objects, unknown=unknown)) == []


def led_by(holder, age=HOUR):
    """A pod holds the lease of AIBrix's controller, whose own pod is `age` seconds old."""
    objects = healthy_objects()
    named(objects, "Lease", MANAGER)["spec"]["holderIdentity"] = holder
    pod_named(objects, MANAGER)["metadata"]["creationTimestamp"] = before(age)
    return objects


@covers("DE702")
@pytest.mark.parametrize(("age", "verdict"), [(59, Verdict.PROGRESS), (60, Verdict.FAILED)])
@pytest.mark.parametrize("holder", ["gone_uid", ""])
def test_a_lease_whose_holder_is_gone(code, age, verdict, holder):
    finding = only_finding(healthy_facts(led_by(holder, age)))
    assert (finding.code, str(finding.subject)) == (code, "controller-manager")
    assert (finding.verdict, finding.since) == (verdict, TAKEN - age)
    assert spelled(finding.about) == {"component/controller-manager", f"lease/{MANAGER}"}
    assert spelled(finding.affects) == {
        *spelled(finding.about),
        "component/webhooks",
        f"http route/{MODEL}",
    }
    assert fixes(finding) == ("devenv restart controller-manager",)


@covers("DE702")
def test_no_lease_at_all(code):
    objects = healthy_objects()
    remove(objects, "Lease", MANAGER)
    assert only_finding(healthy_facts(objects)).code == code


@covers("DE702")
@pytest.mark.parametrize("meta", [{"namespace": "other"}, {"name": "other"}])
def test_another_lease_leads_nothing(code, meta):
    objects = healthy_objects()
    named(objects, "Lease", MANAGER)["metadata"].update(meta)
    assert only_finding(healthy_facts(objects)).code == code


def test_a_lease_may_have_a_prefix():
    objects = healthy_objects()
    named(objects, "Lease", MANAGER)["metadata"]["name"] = f"a1b2.{MANAGER}"
    assert codes(healthy_facts(objects)) == []


def test_without_a_ready_pod_nobody_can_lead():
    objects = led_by("gone_uid")
    set_condition(pod_named(objects, MANAGER), "Ready")
    assert codes(healthy_facts(objects)) == []


@pytest.mark.parametrize("kind", ["Lease", "Pod"])
def test_what_was_not_read_is_not_said_to_be_gone(kind):
    facts = healthy_facts(led_by("gone_uid"), unknown={kind: "no answer"})
    assert codes(facts) == []
