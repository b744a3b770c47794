"""DE410, DE411, DE413, DE414: what Envoy itself says that it works with."""

import pytest

from devenv.diagnosis.model import Verdict
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import ContainerLog, RouteFacts
from tests.unit.diagnosis.covers import codes, covers, only_finding
from tests.unit.diagnosis.facts_builder import (
    FILTER,
    MODEL,
    PROXY,
    healthy_facts,
    healthy_profile,
    healthy_proxy,
)
from tests.unit.diagnosis.spelled import fixes, spelled

SUBJECT = f"Envoy {PROXY}-1-x"
EVERY_ROUTE = {"route/direct", "route/extension", "route/plain", "route/models"}
ROUTER = "envoy.filters.http.router"


def with_proxy(**changes):
    return healthy_facts(proxies=(healthy_proxy(**changes),))


@covers("DE410")
def test_a_filter_that_no_listener_has(code):
    finding = only_finding(with_proxy(listeners={"http": (ROUTER,)}))
    assert (finding.code, str(finding.subject)) == (code, SUBJECT)
    assert (finding.verdict, fixes(finding)) == (Verdict.FAILED, ("devenv recover",))
    assert spelled(finding.about) == {"filter"}
    assert spelled(finding.affects) == {"filter", "route/extension", "route/plain"}


@pytest.mark.parametrize(
    ("name", "affected"),
    [(PATCHED_ROUTE, "route/extension"), ("httproute/a/b/0", "route/plain")],
)
def test_only_the_requests_by_that_route_miss_the_filter(name, affected):
    dangling = RouteFacts(name=name, table="http", filters=("other",))
    routes = (RouteFacts(name=PATCHED_ROUTE, table="http"), dangling)
    finding = only_finding(with_proxy(routes=routes))
    assert (finding.code, spelled(finding.affects)) == ("DE410", {"filter", affected})


def test_a_filter_that_another_listener_has_is_there():
    assert codes(with_proxy(listeners={"http": (ROUTER,), "https": (FILTER,)})) == []


def test_a_filter_that_no_route_needs_is_no_fault():
    routes = (RouteFacts(name=PATCHED_ROUTE, table="http"),)
    assert codes(with_proxy(routes=routes, listeners={"http": (FILTER,)})) == []


@covers("DE411")
def test_configuration_that_envoy_refused(code):
    finding = only_finding(with_proxy(rejected=("listener: unknown filter",)))
    assert (finding.code, str(finding.subject)) == (code, SUBJECT)
    assert (spelled(finding.about), spelled(finding.affects)) == ({"xds"}, EVERY_ROUTE)
    assert fixes(finding) == ("devenv recover",)


def test_each_refusal_is_a_finding():
    assert codes(with_proxy(rejected=("one", "other"))) == ["DE411", "DE411"]


@covers("DE413")
@pytest.mark.parametrize("answer", ["PRE_INITIALIZING", "DRAINING", ""])
def test_an_envoy_that_takes_no_requests(code, answer):
    finding = only_finding(with_proxy(ready=answer))
    assert (finding.code, str(finding.subject)) == (code, SUBJECT)
    assert (spelled(finding.about), spelled(finding.affects)) == ({"component/proxy"}, EVERY_ROUTE)
    assert fixes(finding) == ("devenv recover",)


def test_an_envoy_that_takes_no_requests_concerns_the_component_whose_log_it_wrote():
    """A profile may call the proxy otherwise."""
    logs = [
        ContainerLog(component=name, namespace="n", pod=pod, container="envoy")
        for name, pod in (("front", f"{PROXY}-1-x"), ("other", "y"))
    ]
    facts = with_proxy(ready="DRAINING").model_copy(update={"logs": tuple(logs)})
    assert spelled(only_finding(facts).about) == {"component/proxy", "component/front"}


@covers("DE414")
def test_no_route_for_routing_strategies(code):
    routes = (RouteFacts(name="httproute/a/b/0", table="http"),)
    finding = only_finding(with_proxy(routes=routes))
    assert (finding.code, str(finding.subject)) == (code, SUBJECT)
    assert spelled(finding.about) == {"original route"}
    assert spelled(finding.affects) == {"route/extension"}
    assert fixes(finding) == ("devenv recover",)


def test_no_route_for_routing_strategies_is_missed_where_no_request_needs_it():
    request = {"name": "direct", "route": "direct", "model": MODEL}
    facts = healthy_facts(
        profile=healthy_profile(requests=[request]),
        proxies=(healthy_proxy(routes=(RouteFacts(name="httproute/a/b/0", table="http"),)),),
        proofs=(),
    )
    assert codes(facts) == []


def test_an_envoy_without_any_route_lacks_more_than_the_patch():
    assert codes(with_proxy(routes=())) == []
