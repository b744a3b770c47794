"""Envoy itself: what it works with, which is what decides where a request goes."""

from collections.abc import Iterator

from devenv.diagnosis.checks.registry import check
from devenv.diagnosis.model import Evidence, Finding
from devenv.diagnosis.read import ROUTES, devenv
from devenv.facts.live import PATCHED_ROUTE
from devenv.facts.model import Facts, ProxyFacts, RouteFacts
from devenv.profiles.model import Route


@check
def dangling_filter(facts: Facts) -> Iterator[Finding]:
    """Every filter that a route configures is one that the listener has (docs/facts/gateway.md)."""
    for proxy in facts.proxies:
        for name in proxy.dangling:
            routes = [r for r in proxy.routes if name in r.filters]
            evidence = (
                Evidence(
                    f"Envoy {proxy.pod}",
                    f"route {', '.join(r.name for r in routes)} configures {name}",
                ),
                Evidence(f"Envoy {proxy.pod}", "no listener has that filter"),
            )
            message = (
                "Envoy has routes that need a filter which its listener has not got: "
                "gateway-plugins never sees their requests."
            )
            keys = {"filter", *(f"route/{kind}" for r in routes for kind in _kinds(r))}
            yield Finding(
                "DE410",
                f"Envoy {proxy.pod}",
                message,
                evidence,
                (devenv(facts, "recover"),),
                about=frozenset({"filter"}),
                affects=frozenset(keys),
            )


def _kinds(route: RouteFacts) -> list[str]:
    """Which requests take the route."""
    return [Route.EXTENSION] if route.name == PATCHED_ROUTE else [Route.PLAIN]


@check
def patched_route(facts: Facts) -> Iterator[Finding]:
    """Envoy has the route that AIBrix's patch puts first, where a request of the profile needs it."""
    if not any(r.route is Route.EXTENSION for r in facts.profile.requests):
        return
    for proxy in facts.proxies:
        if proxy.routes and not proxy.patched:
            evidence = (
                Evidence(
                    f"Envoy {proxy.pod}",
                    f"routes: {', '.join(sorted({r.name for r in proxy.routes if r.name}))}"[:300],
                ),
            )
            message = f"Envoy has no route {PATCHED_ROUTE}: requests with a routing-strategy take another one."
            yield Finding(
                "DE414", f"Envoy {proxy.pod}", message, evidence, (devenv(facts, "recover"),),
                about=frozenset({"original route"}), affects=frozenset({"route/extension"}),
            )  # fmt: skip


@check
def rejected(facts: Facts) -> Iterator[Finding]:
    """Envoy took all the configuration that it was given."""
    route_keys = frozenset(f"route/{r}" for r in ROUTES)
    for proxy in facts.proxies:
        for text in proxy.rejected:
            evidence = (Evidence(f"Envoy {proxy.pod}", text[:300]),)
            message = f"Envoy refused configuration: {text[:120]}"
            fix = (devenv(facts, "recover"),)
            yield Finding(
                "DE411",
                f"Envoy {proxy.pod}",
                message,
                evidence,
                fix,
                about=frozenset({"xds"}),
                affects=route_keys,
            )


@check
def live(facts: Facts) -> Iterator[Finding]:
    """Envoy says that it takes requests."""
    route_keys = frozenset(f"route/{r}" for r in ROUTES)
    for proxy in (p for p in facts.proxies if p.ready != "LIVE"):
        evidence = (Evidence(f"Envoy {proxy.pod}", f"/ready: {proxy.ready[:80]}"),)
        about = frozenset({"component/proxy", *_names(facts, proxy)})
        yield Finding(
            "DE413", f"Envoy {proxy.pod}", f"Envoy does not take requests: {proxy.ready[:40]}.", evidence,
            (devenv(facts, "recover"),), about=about, affects=route_keys,
        )  # fmt: skip


def _names(facts: Facts, proxy: ProxyFacts) -> set[str]:
    return {f"component/{log.component}" for log in facts.logs if log.pod == proxy.pod}
