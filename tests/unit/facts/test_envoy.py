import json

import pytest

from devenv.facts.envoy import PATHS, read

FILTER = "envoy.filters.http.ext_proc/x"
MANAGER = {
    "name": "envoy.filters.network.http_connection_manager",
    "typed_config": {"http_filters": [{"name": FILTER}]},
}


def answers(*configs, clusters=()):
    return dict(
        zip(
            PATHS,
            (
                "LIVE\n",
                json.dumps({"configs": configs}),
                json.dumps({"cluster_statuses": clusters}),
            ),
            strict=True,
        )
    )


@pytest.mark.parametrize("chain", ["filter_chains", "default_filter_chain"])
def test_the_filters_of_a_listener(chain):
    filters = {"filters": [MANAGER]}
    listener = {chain: [filters] if chain == "filter_chains" else filters}
    found = read(
        "p",
        answers({"dynamic_listeners": [{"name": "http", "active_state": {"listener": listener}}]}),
    )
    assert found.listeners == {"http": (FILTER,)}
    assert found.ready == "LIVE"


def test_the_routes_and_what_they_configure():
    routes = [
        {
            "name": "a",
            "match": {"headers": [{"name": "model"}]},
            "route": {"cluster": "c"},
            "typed_per_filter_config": {FILTER: {}},
        },
        {"name": "b", "direct_response": {"status": 500}},
        {"name": "w", "route": {"weighted_clusters": {"clusters": [{"name": "x"}, {"name": "y"}]}}},
    ]
    found = read(
        "p",
        answers(
            {
                "dynamic_route_configs": [
                    {"route_config": {"name": "t", "virtual_hosts": [{"routes": routes}]}}
                ]
            }
        ),
    )
    assert [(r.name, r.table, r.cluster, r.filters, r.headers) for r in found.routes] == [
        ("a", "t", "c", (FILTER,), ("model",)), ("b", "t", "direct_response 500", (), ()), ("w", "t", "x, y", (), ()),
    ]  # fmt: skip


def test_the_health_of_upstreams():
    host = {
        "address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}},
        "health_status": {"eds_health_status": "UNHEALTHY"},
    }
    config = {"dynamic_active_clusters": [{"cluster": {"name": "c", "type": "EDS"}}]}
    (upstream,) = read(
        "p", answers(config, clusters=[{"name": "c", "host_statuses": [host]}])
    ).upstreams
    assert (upstream.name, upstream.type, upstream.hosts) == ("c", "EDS", {"10.0.0.1:80": False})


def test_what_envoy_refused():
    config = {"dynamic_listeners": [{"name": "http", "error_state": {"details": "unknown filter"}}]}
    assert read("p", answers(config)).rejected == ("http: unknown filter",)


def test_what_is_no_answer_of_envoys():
    with pytest.raises(ValueError):
        read("p", dict.fromkeys(PATHS, "<html>"))
