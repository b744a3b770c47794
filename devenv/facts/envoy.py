"""Reads what Envoy's admin interface says (Envoy's docs, operations/admin), into facts."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from devenv.facts.model import ProxyFacts, RouteFacts, UpstreamFacts

PATHS = ("/ready", "/config_dump", "/clusters?format=json")
_MANAGER = "envoy.filters.network.http_connection_manager"


def read(pod: str, answers: Mapping[str, str]) -> ProxyFacts:
    """Return what the answers to PATHS say. Raises ValueError where they are none of Envoy's."""
    ready, dump, clusters = (answers[path] for path in PATHS)
    configs = json.loads(dump)["configs"]
    hosts = {c["name"]: _hosts(c) for c in json.loads(clusters).get("cluster_statuses", ())}
    return ProxyFacts(
        pod=pod,
        ready=ready.strip(),
        listeners={name: tuple(_filters(listener)) for name, listener in _listeners(configs)},
        routes=tuple(_routes(configs)),
        upstreams=tuple(_upstreams(configs, hosts)),
        rejected=tuple(_rejected(configs)),
    )


def _entries(configs: list[dict[str, Any]], *keys: str) -> Iterator[dict[str, Any]]:
    for config in configs:
        for key in keys:
            yield from config.get(key) or ()


def _listeners(configs: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in _entries(configs, "dynamic_listeners", "static_listeners"):
        listener = (entry.get("active_state") or entry).get("listener") or {}
        if name := entry.get("name") or listener.get("name"):
            yield name, listener


def _filters(listener: Mapping[str, Any]) -> Iterator[str]:
    chains = [*(listener.get("filter_chains") or ()), listener.get("default_filter_chain") or {}]
    for network in (f for chain in chains for f in chain.get("filters") or ()):
        if network["name"] == _MANAGER or "http_filters" in network.get("typed_config", {}):
            yield from (f["name"] for f in network["typed_config"].get("http_filters") or ())


def _routes(configs: list[dict[str, Any]]) -> Iterator[RouteFacts]:
    for entry in _entries(configs, "dynamic_route_configs", "static_route_configs"):
        table = entry.get("route_config") or {}
        for route in (
            r for host in table.get("virtual_hosts") or () for r in host.get("routes") or ()
        ):
            yield RouteFacts(
                name=route.get("name", ""),
                table=table.get("name", ""),
                cluster=_target(route),
                filters=tuple(route.get("typed_per_filter_config") or {}),
                headers=tuple(
                    h.get("name", "") for h in route.get("match", {}).get("headers") or ()
                ),
            )


def _target(route: Mapping[str, Any]) -> str:
    if "direct_response" in route:
        return f"direct_response {route['direct_response'].get('status', '')}".strip()
    action = route.get("route") or {}
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or ()
    return str(action.get("cluster") or ", ".join(c["name"] for c in weighted))


def _upstreams(
    configs: list[dict[str, Any]], hosts: Mapping[str, Mapping[str, bool]]
) -> Iterator[UpstreamFacts]:
    for entry in _entries(configs, "static_clusters", "dynamic_active_clusters"):
        cluster = entry.get("cluster") or {}
        name = cluster.get("name", "")
        yield UpstreamFacts(name=name, type=cluster.get("type", ""), hosts=hosts.get(name, {}))


def _hosts(status: Mapping[str, Any]) -> dict[str, bool]:
    hosts = {}
    for host in status.get("host_statuses") or ():
        address = (host.get("address") or {}).get("socket_address") or {}
        health = (host.get("health_status") or {}).get("eds_health_status", "HEALTHY")
        hosts[f"{address.get('address')}:{address.get('port_value')}"] = health == "HEALTHY"
    return hosts


def _rejected(configs: list[dict[str, Any]]) -> Iterator[str]:
    """Envoy keeps the last update that it refused beside what it works with."""
    lists = (
        "dynamic_listeners",
        "dynamic_route_configs",
        "dynamic_active_clusters",
        "dynamic_warming_clusters",
    )
    for entry in _entries(configs, *lists):
        if error := entry.get("error_state"):
            name = entry.get("name") or (error.get("failed_configuration") or {}).get("name", "")
            yield f"{name}: {error.get('details', '')}".strip()
