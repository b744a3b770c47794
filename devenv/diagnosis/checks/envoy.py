"""Envoy itself: the configuration that it works with decides where a request goes."""

from collections.abc import Iterator

from devenv.diagnosis import keys
from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.commands import recover
from devenv.diagnosis.keys import Key
from devenv.diagnosis.model import Evidence, Finding, Subject
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import Facts, ProxyFacts, RouteFacts
from devenv.profiles.model import Route

# Characters of Envoy's own texts that are kept: as evidence, and in a sentence.
_LONGEST_EVIDENCE = 300
_LONGEST_REFUSAL = 120
_LONGEST_READY = 80
_LONGEST_STATE = 40


@check
def find_dangling_filters(facts: Facts) -> Iterator[Finding]:
    """DE410: a route configures a filter that no listener has (docs/facts/gateway.md)."""
    for proxy in facts.proxies:
        for filter_name in proxy.dangling:
            yield _dangling_filter(facts, proxy, filter_name)


def _dangling_filter(facts: Facts, proxy: ProxyFacts, filter_name: str) -> Finding:
    routes = [route for route in proxy.routes if filter_name in route.filters]
    route_names = ", ".join(route.name for route in routes)
    source = f"Envoy {proxy.pod}"
    return Finding(
        code="DE410",
        subject=Subject("Envoy", proxy.pod),
        says=(
            "Envoy has routes that need a filter which its listener lacks: "
            "gateway-plugins never sees their requests."
        ),
        evidence=(
            Evidence(source, f"route {route_names} configures {filter_name}"),
            Evidence(source, "no listener has that filter"),
        ),
        fix=recover(facts),
        about=frozenset({keys.FILTER}),
        affects=frozenset({keys.FILTER, *map(_requests_by, routes)}),
    )


def _requests_by(route: RouteFacts) -> Key:
    """Return the key of the requests that take one of Envoy's routes."""
    if route.name == PATCHED_ROUTE:
        return keys.route(Route.EXTENSION)
    return keys.route(Route.PLAIN)


@check
def find_missing_patched_route(facts: Facts) -> Iterator[Finding]:
    """DE414: Envoy lacks the route that AIBrix's patch adds and that a request needs."""
    is_needed = any(r.route is Route.EXTENSION for r in facts.profile.requests)
    for proxy in facts.proxies:
        if is_needed and proxy.routes and not proxy.patched:
            yield _missing_patched_route(facts, proxy)


def _missing_patched_route(facts: Facts, proxy: ProxyFacts) -> Finding:
    names = {route.name for route in proxy.routes} - {""}
    text = f"routes: {', '.join(sorted(names))}"[:_LONGEST_EVIDENCE]
    return Finding(
        code="DE414",
        subject=Subject("Envoy", proxy.pod),
        says=(
            f"Envoy has no route {PATCHED_ROUTE}: "
            "requests with a routing-strategy take another one."
        ),
        evidence=(Evidence(f"Envoy {proxy.pod}", text),),
        fix=recover(facts),
        about=frozenset({keys.ORIGINAL_ROUTE}),
        affects=frozenset({keys.route(Route.EXTENSION)}),
    )


@check
def find_refused_configuration(facts: Facts) -> Iterator[Finding]:
    """DE411: Envoy refused some of the configuration that it was given."""
    for proxy in facts.proxies:
        for reason in proxy.rejected:
            yield Finding(
                code="DE411",
                subject=Subject("Envoy", proxy.pod),
                says=f"Envoy refused configuration: {reason[:_LONGEST_REFUSAL]}",
                evidence=(Evidence(f"Envoy {proxy.pod}", reason[:_LONGEST_EVIDENCE]),),
                fix=recover(facts),
                about=frozenset({keys.XDS}),
                affects=keys.ALL_ROUTES,
            )


@check
def find_unready_proxies(facts: Facts) -> Iterator[Finding]:
    """DE413: Envoy reports that it does not take requests."""
    for proxy in facts.proxies:
        if proxy.ready == "LIVE":
            continue
        text = f"/ready: {proxy.ready[:_LONGEST_READY]}"
        yield Finding(
            code="DE413",
            subject=Subject("Envoy", proxy.pod),
            says=f"Envoy does not take requests: {proxy.ready[:_LONGEST_STATE]}.",
            evidence=(Evidence(f"Envoy {proxy.pod}", text),),
            fix=recover(facts),
            about=frozenset({keys.component("proxy"), *_components_of(facts, proxy)}),
            affects=keys.ALL_ROUTES,
        )


def _components_of(facts: Facts, proxy: ProxyFacts) -> set[Key]:
    """Return the keys of the components that a proxy's pod belongs to, as its logs tell."""
    return {keys.component(log.component) for log in facts.logs if log.pod == proxy.pod}
