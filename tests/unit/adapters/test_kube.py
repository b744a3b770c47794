import http.server
import json
import threading
from base64 import b64encode
from types import SimpleNamespace
from typing import ClassVar

import pytest
import urllib3
import yaml

from devenv.adapters.kube import ContextKube, _connection_errors
from devenv.base.errors import DevenvError, Exit, NotReachableError, UntrustedError

TOKEN = "hush"
UNREADY = "[-]etcd not ready"


class Server(http.server.BaseHTTPRequestHandler):
    """Asks to be asked again as often as `again` says, then answers."""

    again = 0
    sent: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        cls = type(self)
        cls.sent.append(self.headers.get("authorization"))
        status, body = (429, b"") if cls.again > 0 else (200, b"ok")
        cls.again -= 1
        self.send_response(status)
        self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None: ...


@pytest.fixture
def kube(tmp_path, monkeypatch):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write(tmp_path, server.server_address[1])
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        made = ContextKube("kind-x")
        yield made
        if made._open_connection:
            # Otherwise a later test finds the connection unclosed.
            made._open_connection.pool.clear()
        server.shutdown()


def write(folder, port: int, **user: str) -> None:
    content = {
        "apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": user}],
        "clusters": [{"name": "kind-x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "contexts": [{"name": "kind-x", "context": {"cluster": "kind-x", "user": "u"}}],
    }  # fmt: skip
    (folder / "kubeconfig").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(("again", "ready"), [(0, True), (3, True), (100, False)])
def test_a_server_that_asks_to_be_asked_again_is_asked_again_for_a_while(
    kube, monkeypatch, again, ready
):
    monkeypatch.setattr(Server, "again", again)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    assert kube.ready() is ready


def test_a_program_that_signs_in_and_never_ends_is_given_up(kube, tmp_path, monkeypatch):
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sleep",
        "args": ["5"],
        "interactiveMode": "Never",
    }
    write(tmp_path, 9, exec=program)
    monkeypatch.setattr("devenv.adapters.kube._SIGN_IN_TIMEOUT", 0.2)
    with pytest.raises(NotReachableError) as caught:
        kube.server_port()
    assert "kubectl --context kind-x" in caught.value.next_step
    assert caught.value.exit_code == Exit.PREREQUISITE


def test_the_kubeconfig_is_read_anew_after_a_silence(kube, tmp_path):
    port = kube.server_port()
    write(tmp_path, 9)
    assert kube.server_port() == port  # nobody has missed an answer yet
    kube.forget()
    assert kube.server_port() == 9
    with pytest.raises(NotReachableError):
        kube.get("v1", "Pod", "", "a")
    write(tmp_path, port)
    assert kube.ready()


def test_a_context_that_is_not_there_leads_nowhere(kube):
    other = ContextKube("kind-other")
    assert other.server_port() == 0
    with pytest.raises(DevenvError) as caught:
        other.get("v1", "Pod", "", "a")
    assert "devenv up --name other" in caught.value.next_step


def test_a_token_of_the_kubeconfig_is_sent(kube, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, "sent", [])
    write(tmp_path, kube.server_port(), token=TOKEN)
    kube.forget()
    assert kube.ready()
    assert Server.sent == [f"Bearer {TOKEN}"]


def test_the_kubeconfig_for_others_leads_to_this_cluster_alone_with_its_keys(tmp_path, monkeypatch):
    files = {name: tmp_path / name for name in ("ssl_ca_cert", "cert_file", "key_file")}
    for name, path in files.items():
        path.write_text(name)
    settings = SimpleNamespace(
        host="https://127.0.0.1:1", verify_ssl=True, tls_server_name=None, **{n: str(p) for n, p in files.items()},
        get_api_key_with_prefix=lambda *_, **__: None,
    )  # fmt: skip
    kube = ContextKube("kind-x")
    monkeypatch.setattr(kube, "settings", lambda _: settings)
    content = json.loads(kube.kubeconfig())
    assert content["current-context"] == "kind-x"
    (cluster,), (user,), (context,) = content["clusters"], content["users"], content["contexts"]
    assert cluster["cluster"] == {
        "server": settings.host,
        "certificate-authority-data": encoded("ssl_ca_cert"),
    }
    assert user["user"] == {
        "client-certificate-data": encoded("cert_file"),
        "client-key-data": encoded("key_file"),
    }
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_a_token_goes_into_the_kubeconfig_for_others(kube, tmp_path):
    write(tmp_path, kube.server_port(), token=TOKEN)
    kube.forget()
    assert json.loads(kube.kubeconfig())["users"][0]["user"] == {"token": TOKEN}


def test_a_kind_without_objects_has_no_metadata(kube, monkeypatch):
    """The API server gives null for the items of such a list."""
    secrets = {"name": "secrets", "kind": "Secret", "namespaced": True}
    answers = {"/api/v1": {"resources": [secrets]}, "/api/v1/secrets": {"items": None}}
    monkeypatch.setattr(kube, "_get_json", lambda path, *_, **__: answers[path])
    assert kube.metadata("v1", "Secret") == []


def test_a_server_says_itself_why_it_is_not_ready(kube, monkeypatch):
    def answer(handler):
        body = f"{UNREADY}\n".encode()
        handler.send_response(500)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    assert kube.why_unready() == ""
    monkeypatch.setattr(Server, "do_GET", answer)
    assert UNREADY in kube.why_unready()


@pytest.mark.parametrize(("reason", "kind"), [
    ("certificate verify failed: unable to get local issuer certificate", UntrustedError),
    ("[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred", NotReachableError),
])  # fmt: skip
def test_a_certificate_that_is_not_trusted_is_an_answer_and_a_lost_connection_is_none(reason, kind):
    error = urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.SSLError(reason))
    with pytest.raises(NotReachableError) as caught, _connection_errors("kind-x", "GET /"):
        raise error
    assert type(caught.value) is kind
