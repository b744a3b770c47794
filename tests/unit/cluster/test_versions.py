import pytest

from devenv.base.errors import DevenvError, NotReachableError
from devenv.cluster.versions import VersionReader
from devenv.ports.containers import Node
from devenv.profiles.variant import Variant
from devenv.state.record import Record, Records
from tests.fakes.world import PORTS

CONTROLLER = {"name": "envoy-gateway", "image": "docker.io/envoyproxy/gateway:v1.2.8@sha256:1"}
DEPLOYMENT = {
    "metadata": {"name": "envoy-gateway"},
    "spec": {"template": {"spec": {"containers": [{"name": "x", "image": "y:1"}, CONTROLLER]}}},
}


@pytest.fixture
def reader(fakes):
    record = Record("c", "aibrix", nodes=("id",), made=True, version="v0.7.0", variant=Variant())
    Records(fakes.host).write(record)
    node = Node("c-control-plane", "id", "running", "c", 1, PORTS)
    fakes.engine.containers[node.name] = node
    fakes.engine.files["/kind/version"] = b"v1.34.4\n"
    fakes.kube.objects["Deployment", "envoy-gateway-system", "envoy-gateway"] = DEPLOYMENT
    fakes.kind.version = lambda: "v0.30.0"
    return VersionReader(
        "c", fakes.clock, fakes.engine, fakes.engine, fakes.kind, fakes.kube, Records(fakes.host)
    )


def test_all_versions(reader):
    versions = reader.read()
    assert (versions.kind, versions.engine, versions.no_answer) == ("v0.30.0", "20.10", ())
    cluster = versions.cluster
    assert (cluster.kubernetes, cluster.envoy_gateway, cluster.aibrix) == (
        "v1.34.4",
        "v1.2.8",
        "v0.7.0",
    )


def test_a_silent_engine_is_no_error(reader, fakes, monkeypatch):
    fakes.engine.down = True

    def silent(_):
        raise NotReachableError("no engine")

    monkeypatch.setattr(fakes.engine, "nodes", silent)
    versions = reader.read()
    assert versions.engine == ""
    assert versions.cluster.aibrix == "v0.7.0"
    assert set(versions.no_answer) == {"engine", "nodes", "kubernetes", "envoy_gateway"}


def test_a_silent_api_server_is_no_error(reader, fakes, monkeypatch):
    def silent(*_):
        raise NotReachableError("no answer")

    monkeypatch.setattr(fakes.kube, "get", silent)
    versions = reader.read()
    assert versions.no_answer == ("envoy_gateway",)
    assert versions.cluster.kubernetes == "v1.34.4"


def test_the_context_of_another_cluster_is_not_asked(reader, fakes):
    fakes.kube.port = 1
    assert reader.read().cluster.envoy_gateway == ""


def test_what_is_not_installed_is_no_missing_answer(reader, fakes):
    fakes.kind.version = lambda: None
    fakes.kube.objects.clear()
    versions = reader.read()
    assert (versions.kind, versions.cluster.envoy_gateway, versions.no_answer) == ("", "", ())


def test_a_cluster_that_is_gone_has_no_versions(reader, fakes):
    fakes.engine.containers.clear()
    assert reader.read().cluster is None
    Records(fakes.host).remove("c")
    assert reader.read().cluster is None


def test_a_broken_record_and_a_broken_kind_are_no_errors(reader, fakes):
    def broken():
        raise DevenvError("kind failed")

    fakes.kind.version = broken
    Records(fakes.host).path("c").write_text("[")
    versions = reader.read()
    assert (versions.cluster, versions.no_answer) == (None, ("kind",))
