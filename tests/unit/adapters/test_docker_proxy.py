"""A proxy that every variable names, and no loopback in NO_PROXY: it must never hear of loopback."""

import json
import sys
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from devenv.adapters.docker import DockerEngine
from devenv.adapters.envoy import ForwardedEnvoy
from devenv.adapters.gateway import HttpGateway
from devenv.adapters.host import LocalHost
from devenv.adapters.kube import ContextKube
from devenv.adapters.web import HttpWeb
from devenv.base.errors import DevenvError, NotReachableError
from devenv.ports.gateway import HttpRequest
from tests.unit.adapters import servers

# urllib3 leaves the connection of an answer that it gave up to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
INFO = {"DockerRootDir": "/", "ID": "i", "NCPU": 2, "MemTotal": 1}


@pytest.fixture
def proxy(monkeypatch):
    with servers.recording_proxy(monkeypatch) as proxy:
        yield proxy


@pytest.fixture
def status():
    with servers.serving(servers.Status) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def engine(monkeypatch, tmp_path):
    with servers.serving(
        servers.Engine, seen=[], pull=b"", info=json.dumps(INFO).encode()
    ) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        yield server


def kubeconfig(folder, monkeypatch, server, **cluster):
    content = {
        "apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "contexts": [{"name": "kind-x", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))


def ask(**options):
    """Ask for an API server that is not there; only a proxy can have heard of it."""
    with pytest.raises(NotReachableError):
        ContextKube("kind-x", **options).get("v1", "Pod", "", "a")


@pytest.mark.parametrize("proxied", [False, True])
def test_an_api_server_on_loopback_is_asked_directly(proxy, status, tmp_path, monkeypatch, proxied):
    kubeconfig(tmp_path, monkeypatch, f"{status}/200#")
    kube = ContextKube("kind-x", proxied=proxied)
    assert kube._get_text("") == "x"
    assert proxy.asked == []


def test_envoys_admin_is_asked_directly(proxy, status, tmp_path, monkeypatch):
    kubeconfig(tmp_path, monkeypatch, status)
    with pytest.raises(NotReachableError):
        ForwardedEnvoy(ContextKube("kind-x")).read("n", "p", ["/ready"])
    assert proxy.asked == []


def test_the_api_server_of_devenvs_own_cluster_is_asked_directly_wherever_it_is(
    proxy, tmp_path, monkeypatch
):
    kubeconfig(tmp_path, monkeypatch, "https://node.invalid:6443")
    ask()
    with pytest.raises(NotReachableError):
        ForwardedEnvoy(ContextKube("kind-x")).read("n", "p", ["/ready"])
    assert proxy.asked == []


def test_another_clusters_api_server_is_asked_through_the_proxy(proxy, tmp_path, monkeypatch):
    kubeconfig(tmp_path, monkeypatch, "https://api.invalid:6443")
    monkeypatch.setenv("HTTPS_PROXY", proxy.address.replace("//", "//me:hush@"))
    ask(proxied=True)
    assert set(proxy.asked) == {"api.invalid:6443"}
    assert set(proxy.users) == {"Basic bWU6aHVzaA=="}


@pytest.mark.parametrize(("server", "no_proxy"), [
    ("https://api.invalid:6443", "invalid"), ("https://192.0.2.1:9", "192.0.2.0/24"), ("https://api.invalid:9", "api.invalid:9"),
])  # fmt: skip
def test_unless_no_proxy_exempts_it(proxy, tmp_path, monkeypatch, server, no_proxy):
    kubeconfig(tmp_path, monkeypatch, server)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    kube = ContextKube("kind-x", proxied=True)
    assert kube.settings("x").proxy is None
    assert "proxy" not in type(kube._open_connection.pool).__name__.lower()


@pytest.mark.parametrize("server", ["https://api.invalid:6443", "https://127.0.0.1:9"])
def test_what_the_kubeconfig_names_comes_first_for_every_address(
    proxy, tmp_path, monkeypatch, server
):
    own = proxy.address.replace("127.0.0.1", "localhost")
    kubeconfig(tmp_path, monkeypatch, server, **{"proxy-url": own})
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    ask(proxied=True)
    assert set(proxy.asked) == {server.removeprefix("https://")}


def test_the_gateway_is_asked_directly(proxy, status):
    port = urlsplit(status).port
    assert HttpGateway().send(HttpRequest(port, "/200", "GET")).status == 200
    assert proxy.asked == []


def test_downloads_from_loopback_come_directly_and_others_through_the_proxy(
    proxy, status, tmp_path
):
    HttpWeb().fetch(f"{status}/200", tmp_path / "f", lambda *_: None)
    assert HttpWeb().problem(f"{status}/200") == ""
    assert proxy.asked == []
    HttpWeb().fetch("http://files.invalid/f", tmp_path / "f", lambda *_: None)
    assert proxy.asked == ["http://files.invalid/f"]


def test_an_engine_on_loopback_is_asked_directly(proxy, engine):
    assert DockerEngine().info().version == "20.10"
    assert proxy.asked == []


def test_an_engine_elsewhere_is_asked_as_docker_asks_it(proxy, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.invalid:2375")
    with pytest.raises(DevenvError):
        DockerEngine().info()
    assert all(asked.startswith("http://engine.invalid:2375/") for asked in proxy.asked)
    assert proxy.asked


def test_programs_ask_loopback_directly(proxy, status):
    # Python's own client, like pip's, goes through a proxy unless NO_PROXY names the host.
    script = f"import urllib.request as r; print(r.urlopen('{status}/200').status)"
    assert LocalHost().run([sys.executable, "-c", script]).output.strip() == "200"
    assert proxy.asked == []


def test_builds_get_the_proxies_as_arguments(proxy, engine, tmp_path, monkeypatch):
    (tmp_path / "context.tar").write_bytes(b"")
    build = lambda: DockerEngine().build(  # noqa: E731
        tmp_path / "context.tar", "x:1", {"BASE": "b"}, {}, lambda _: None
    )
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp:3128")
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name)
    build()
    query = parse_qs(urlsplit(engine.seen[-1][0]).query)
    arguments = json.loads(query["buildargs"][0])
    assert arguments["BASE"] == "b"
    assert arguments["https_proxy"] == arguments["HTTPS_PROXY"] == "http://proxy.corp:3128"
    assert "127.0.0.1" in arguments["NO_PROXY"]
    assert "networkmode" not in query


@pytest.mark.parametrize(("local", "network"), [(True, ["host"]), (False, [])])
def test_a_proxy_on_loopback_needs_this_machines_network(
    proxy, engine, tmp_path, monkeypatch, local, network
):
    (tmp_path / "context.tar").write_bytes(b"")
    docker = DockerEngine()
    monkeypatch.setattr(docker, "info", lambda: SimpleNamespace(local=local))
    docker.build(tmp_path / "context.tar", "x:1", {}, {}, lambda _: None)
    assert parse_qs(urlsplit(engine.seen[-1][0]).query).get("networkmode", []) == network


def test_dockers_own_proxies_for_builds_come_first(proxy, engine, tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"proxies": {"default": {"httpsProxy": "http://other.corp:1"}}})
    )
    (tmp_path / "context.tar").write_bytes(b"")
    DockerEngine().build(tmp_path / "context.tar", "x:1", {}, {}, lambda _: None)
    arguments = json.loads(parse_qs(urlsplit(engine.seen[-1][0]).query)["buildargs"][0])
    assert set(arguments.values()) == {"http://other.corp:1"}
