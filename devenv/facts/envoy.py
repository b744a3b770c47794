"""Turns the answers of Envoy's admin interface (Envoy's docs, operations/admin) into facts."""

import json
from collections.abc import Iterator, Mapping

from devenv.facts.model import ProxyFacts, RouteFacts, UpstreamFacts
from devenv.facts.objects import Fields, fields_of, items_of

PATHS = ("/ready", "/config_dump", "/clusters?format=json")
_MANAGER = "envoy.filters.network.http_connection_manager"
# One section of a config dump: listeners, routes, clusters …
_Section = Fields


def read(pod: str, answers: Mapping[str, str]) -> ProxyFacts:
    """Return what the answers to PATHS say. Raises ValueError if they are not Envoy's."""
    ready, config_dump, clusters = (answers[path] for path in PATHS)
    sections = json.loads(config_dump)["configs"]
    hosts = _hosts_by_cluster(json.loads(clusters))
    return ProxyFacts(
        pod=pod,
        ready=ready.strip(),
        listeners=dict(_listeners(sections)),
        routes=tuple(_routes(sections)),
        upstreams=tuple(_upstreams(sections, hosts)),
        rejected=tuple(_rejected(sections)),
    )


def _entries(sections: list[_Section], *keys: str) -> Iterator[Fields]:
    """Yield the entries that any section has under one of the keys."""
    for section in sections:
        for key in keys:
            yield from section.get(key) or ()


def _listeners(sections: list[_Section]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each listener's name with the names of its HTTP filters."""
    for entry in _entries(sections, "dynamic_listeners", "static_listeners"):
        # A static listener has no state.
        listener = fields_of(entry.get("active_state") or entry, "listener")
        if name := entry.get("name") or listener.get("name"):
            yield name, tuple(_filters(listener))


def _filters(listener: Fields) -> Iterator[str]:
    """Yield the names of a listener's HTTP filters."""
    chains = [*items_of(listener, "filter_chains"), fields_of(listener, "default_filter_chain")]
    for chain in chains:
        for network_filter in items_of(chain, "filters"):
            if _is_http_manager(network_filter):
                for http_filter in items_of(network_filter["typed_config"], "http_filters"):
                    yield http_filter["name"]


def _is_http_manager(network_filter: Fields) -> bool:
    if network_filter["name"] == _MANAGER:
        return True
    return "http_filters" in network_filter.get("typed_config", {})


def _routes(sections: list[_Section]) -> Iterator[RouteFacts]:
    for entry in _entries(sections, "dynamic_route_configs", "static_route_configs"):
        table = fields_of(entry, "route_config")
        for host in items_of(table, "virtual_hosts"):
            for route in items_of(host, "routes"):
                yield _route(route, table.get("name", ""))


def _route(route: Fields, table: str) -> RouteFacts:
    headers = items_of(route.get("match"), "headers")
    return RouteFacts(
        name=route.get("name", ""),
        table=table,
        cluster=_target(route),
        filters=tuple(fields_of(route, "typed_per_filter_config")),
        headers=tuple(header.get("name", "") for header in headers),
    )


def _target(route: Fields) -> str:
    """Return where a route leads: an upstream, several with weights, or an answer of Envoy's."""
    if "direct_response" in route:
        status = route["direct_response"].get("status", "")
        return f"direct_response {status}".strip()
    action = fields_of(route, "route")
    if action.get("cluster"):
        return str(action["cluster"])
    weighted_clusters = items_of(action.get("weighted_clusters"), "clusters")
    return ", ".join(cluster["name"] for cluster in weighted_clusters)


def _upstreams(
    sections: list[_Section], hosts: Mapping[str, Mapping[str, bool]]
) -> Iterator[UpstreamFacts]:
    for entry in _entries(sections, "static_clusters", "dynamic_active_clusters"):
        cluster = fields_of(entry, "cluster")
        name = cluster.get("name", "")
        yield UpstreamFacts(
            name=name,
            type=cluster.get("type", ""),
            hosts=hosts.get(name, {}),
        )


def _hosts_by_cluster(clusters: Fields) -> dict[str, dict[str, bool]]:
    statuses = clusters.get("cluster_statuses", ())
    return {status["name"]: _hosts(status) for status in statuses}


def _hosts(status: Fields) -> dict[str, bool]:
    """Return the addresses of a cluster's hosts, each with whether Envoy takes it for healthy."""
    hosts: dict[str, bool] = {}
    for host in items_of(status, "host_statuses"):
        address = fields_of(host.get("address"), "socket_address")
        ip, port = address.get("address"), address.get("port_value")
        health = fields_of(host, "health_status").get("eds_health_status", "HEALTHY")
        hosts[f"{ip}:{port}"] = health == "HEALTHY"
    return hosts


def _rejected(sections: list[_Section]) -> Iterator[str]:
    """Yield the updates that Envoy refused: it keeps the last one beside what it works with."""
    lists = (
        "dynamic_listeners",
        "dynamic_route_configs",
        "dynamic_active_clusters",
        "dynamic_warming_clusters",
    )
    for entry in _entries(sections, *lists):
        if error := entry.get("error_state"):
            failed = fields_of(error, "failed_configuration")
            name = entry.get("name") or failed.get("name", "")
            details = error.get("details", "")
            yield f"{name}: {details}".strip()
