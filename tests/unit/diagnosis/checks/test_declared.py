"""DE415 and DE416: what the profile's manifests have and is gone."""

import pytest

from devenv.diagnosis.model import Place
from devenv.facts.collect import CRD
from devenv.facts.model import Declared
from tests.unit.diagnosis.covers import codes, covers, findings, only_finding
from tests.unit.diagnosis.facts_builder import (
    ADAPTER_DEFINITION,
    GATEWAYS,
    MODEL,
    PLUGINS,
    PROXY,
    REDIS,
    ROUTE_DEFINITION,
    SYSTEM,
    WEBHOOK_SERVICE,
    WEBHOOKS,
    before,
    healthy_facts,
    healthy_objects,
    named,
    remove,
)
from tests.unit.diagnosis.spelled import fixes, spelled

EVERY_ROUTE = {"route/direct", "route/extension", "route/plain", "route/models"}


def without(kind, name):
    objects = healthy_objects()
    remove(objects, kind, name)
    return objects


@covers("DE415")
def test_a_definition_that_is_gone(code):
    finding = only_finding(healthy_facts(without(CRD, ADAPTER_DEFINITION)))
    assert (finding.code, str(finding.subject)) == (code, ADAPTER_DEFINITION)
    assert spelled(finding.about) == {f"{CRD}/{ADAPTER_DEFINITION}"}
    # Who leads watches AIBrix's kinds, and may crash; Envoy Gateway goes on.
    assert "component/controller-manager" in spelled(finding.affects)
    assert not {"component/envoy-gateway", *EVERY_ROUTE} & spelled(finding.affects)
    assert fixes(finding) == ("devenv recover",)


@covers("DE415")
def test_a_definition_of_the_gateways_that_is_gone(code):
    finding = only_finding(healthy_facts(without(CRD, ROUTE_DEFINITION)))
    assert (finding.code, str(finding.subject)) == (code, ROUTE_DEFINITION)
    parts = {"component/reserved-route", "component/model-route", "component/envoy-gateway"}
    models = {f"model/{MODEL}", f"http route/{MODEL}", f"route/direct/{MODEL}"}
    assert {*parts, *models, *EVERY_ROUTE, "filter", "original route", "xds"} <= spelled(
        finding.affects
    )


@covers("DE415")
def test_a_definition_that_is_being_deleted_is_gone(code):
    objects = healthy_objects()
    meta = named(objects, CRD, ADAPTER_DEFINITION)["metadata"]
    meta["deletionTimestamp"] = before(1)
    assert only_finding(healthy_facts(objects)).code == code


def test_two_definitions_that_are_gone_are_one_finding():
    objects = healthy_objects()
    objects[CRD].clear()
    finding = only_finding(healthy_facts(objects))
    assert str(finding.subject) == f"{ROUTE_DEFINITION}, {ADAPTER_DEFINITION}"
    assert spelled(finding.about) == {f"{CRD}/{ROUTE_DEFINITION}", f"{CRD}/{ADAPTER_DEFINITION}"}


@pytest.mark.parametrize(
    "changes",
    [{"unknown": {CRD: "forbidden"}}, {"declared": None}],
    ids=["not read", "manifests not read"],
)
def test_definitions_are_missed_only_where_both_sides_are_known(changes):
    assert codes(healthy_facts(without(CRD, ADAPTER_DEFINITION), **changes)) == []


def test_definitions_that_were_not_looked_for_are_not_missed():
    objects = healthy_objects()
    del objects[CRD]
    assert codes(healthy_facts(objects)) == []


@covers("DE416")
def test_a_service_that_is_gone(code):
    finding = only_finding(healthy_facts(without("Service", REDIS)))
    assert (finding.code, str(finding.subject)) == (code, f"Service {SYSTEM}/{REDIS}")
    assert spelled(finding.about) == {f"Service/{SYSTEM}/{REDIS}"}
    assert "component/gateway-plugins" in spelled(finding.affects)
    assert not EVERY_ROUTE & spelled(finding.affects)
    assert (finding.place, fixes(finding)) == (None, ("devenv recover",))


@covers("DE416")
def test_the_service_of_gateway_plugins(code):
    """Policies and routes lead to it."""
    objects = without("Service", PLUGINS)
    finding = next(f for f in findings(healthy_facts(objects)) if f.code == code)
    assert str(finding.subject) == f"Service {SYSTEM}/{PLUGINS}"
    assert {"component/extension-policy", "component/reserved-route"} <= spelled(finding.affects)


@covers("DE416")
@pytest.mark.parametrize("manifests", [{}, {"declared": None}], ids=["read", "not read"])
def test_the_service_that_webhooks_ask(code, manifests):
    objects = without("Service", WEBHOOK_SERVICE)
    objects["EndpointSlice"].clear()
    gone, silent = findings(healthy_facts(objects, **manifests))
    assert (gone.code, str(gone.subject)) == (code, f"Service {SYSTEM}/{WEBHOOK_SERVICE}")
    assert "component/webhooks" in spelled(gone.affects)
    assert silent.code == "DE701"


def test_a_component_that_waits_for_endpoints_needs_their_service():
    """Even where no webhook asks it."""
    objects = without("Service", WEBHOOK_SERVICE)
    objects["EndpointSlice"].clear()
    named(objects, "MutatingWebhookConfiguration", WEBHOOKS)["webhooks"].clear()
    assert codes(healthy_facts(objects, declared=())) == ["DE416"]


@covers("DE416")
def test_the_service_by_which_requests_come_in(code):
    finding = only_finding(healthy_facts(without("Service", PROXY)))
    assert (finding.code, str(finding.subject)) == (code, f"Service {GATEWAYS}/{PROXY}")
    assert spelled(finding.about) == {f"Service/{GATEWAYS}/{PROXY}", "entrance"}
    assert {*EVERY_ROUTE, "component/proxy"} <= spelled(finding.affects)
    assert (finding.place, fixes(finding)) == (Place.PORT, ("devenv recover",))


def test_the_service_of_another_gateway_is_none_of_ours():
    objects = healthy_objects()
    labels = named(objects, "Service", PROXY)["metadata"]["labels"]
    labels["gateway.envoyproxy.io/owning-gateway-name"] = "other"
    assert codes(healthy_facts(objects)) == ["DE416"]


def test_without_a_proxy_its_service_is_not_missed():
    objects = without("Service", PROXY)
    remove(objects, "Deployment", PROXY)
    assert codes(healthy_facts(objects)) == ["DE308"]


def test_a_service_that_no_manifest_has_is_not_missed():
    objects = healthy_objects()
    remove(objects, "Service", REDIS)
    rest = tuple(d for d in healthy_facts().declared if d.name != REDIS)
    assert codes(healthy_facts(objects, declared=rest)) == []


def test_a_models_own_service_is_the_models_business():
    assert codes(healthy_facts(without("Service", MODEL))) == ["DE502"]


@pytest.mark.parametrize("unknown", [{"Service": "no answer"}, {}])
def test_no_service_is_missed_where_none_could_be_read(unknown):
    objects = healthy_objects()
    objects["Service"].clear()
    other = Declared(kind="Service", namespace=SYSTEM, name="other")
    assert "DE416" not in codes(healthy_facts(objects, unknown=unknown, declared=(other,)))
