"""A company's network around a real cluster."""

from tests.cluster.lab import Lab
from tests.unit.adapters import servers


def test_a_proxy_that_every_variable_names_hears_nothing_of_the_cluster(cluster: Lab, monkeypatch):
    with servers.recording_proxy(monkeypatch) as proxy:
        cluster.devenv("doctor")
        # Its gates ask Envoy's admin interface, by a port-forward through the API server.
        cluster.devenv("restart", "gateway-plugins")
        assert all(request["ok"] for request in cluster.up()["requests"])
        assert proxy.asked == []
