"""What completion offers, with servers that answer, hang, or are not there."""

import base64
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

import pytest
import trustme
import yaml
from click.shell_completion import BashComplete

from devenv.base.errors import Exit
from devenv.cli import values
from devenv.cli.app import app, run
from devenv.diagnosis.codes import book
from devenv.profiles.load import load
from tests.paths import ROOT

CLUSTERS = ("devenv", "other")
# Seconds within which completion answers even if a server hangs. The machine may be busy.
IN_TIME = 5.0


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with two clusters and a kubeconfig, and without any server."""
    for name, folder in (("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name in ("DEVENV_CLUSTER", "DEVENV_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (tmp_path / "kubeconfig").write_text("contexts: [{name: kind-devenv}, {name: remote}]\n")
    records = tmp_path / "state" / "devenv" / "clusters"
    records.mkdir(parents=True)
    for cluster in CLUSTERS:
        record = {"cluster": cluster, "profile": str(tmp_path / "mine.yaml")}
        (records / f"{cluster}.json").write_text(json.dumps(record))
    redis = {"name": "cache", "gate": "workload"}
    content = {"extends": "offline", "components": [redis], "versions": {"v9": {}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def offered(words: str) -> list[str]:
    """Return the values for the last word, which may be empty; a path is told by its type."""
    *args, incomplete = words.removeprefix("devenv ").split(" ")
    completer = BashComplete(app, {"obj": {}}, "devenv", "_DEVENV_COMPLETE")
    items = completer.get_completions(args, incomplete)
    return [item.value if item.type == "plain" else item.type for item in items]


@pytest.mark.parametrize(
    "words", ["devenv status -n ", "devenv -n ", "devenv model add x --name ", "devenv logs -f -n "]
)
def test_clusters(words):
    assert offered(words) == list(CLUSTERS)
    assert offered(f"{words}o") == ["other"]


@pytest.mark.parametrize(
    "words", ["devenv up --profile ", "devenv profile show ", "devenv profile init x --extends "]
)
def test_profiles_and_files(words):
    assert offered(words) == ["file", "aibrix", "aibrix-e2e", "offline"]


@pytest.mark.parametrize("words", ["devenv doctor --explain ", "devenv doctor --ignore "])
def test_codes(words):
    assert offered(words) == list(book())


def test_a_code_comes_with_its_title():
    completer = BashComplete(app, {"obj": {}}, "devenv", "_DEVENV_COMPLETE")
    (item,) = completer.get_completions(["doctor", "--explain"], "DE401")
    assert item.help == book()["DE401"].title


def test_components_are_those_of_the_clusters_profile():
    assert {"cache", "redis", "gateway"} <= set(offered("devenv restart "))
    assert "cache" not in offered("devenv restart -n unknown ")
    workloads = offered("devenv logs redis ")
    assert {"cache", "gateway-plugins"} <= set(workloads)
    assert "gateway" not in workloads


def test_the_rest_of_a_profile(machine):
    assert offered(f"devenv up --profile {machine}/mine.yaml --aibrix-version ") == ["v9"]
    assert "v0.7.0" in offered("devenv up -n unknown --aibrix-version ")
    assert offered("devenv up --profile aibrix --with ") == ["metadata-service"]
    assert offered("devenv request --model ") == ["llama2-7b"]
    assert {"file", "gateway-plugins"} <= set(offered("devenv reload-image "))


def test_the_rest():
    assert offered("devenv doctor --context ") == ["kind-devenv", "remote"]
    assert offered("devenv request --strategy least-k") == ["least-kv-cache"]
    assert offered("devenv images build vllm") == ["vllm-mock"]
    assert offered("devenv prune --on ") == ["host", "engine"]


def test_the_strategies_are_those_of_the_newest_aibrix():
    assert load("aibrix", ROOT / "profiles").strategies == values.STRATEGIES


# Servers


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def answering(content):
    """A handler that answers every request with this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

        def address_string(self):
            return ""

    return Handler


@pytest.fixture
def serve():
    """Start servers; all end with the test."""
    servers = []

    def start(server):
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_engines_images(machine, serve, monkeypatch):
    monkeypatch.setattr(values, "_DEADLINE", IN_TIME)
    monkeypatch.setattr("devenv.cli.glimpses._TIMEOUT", IN_TIME)
    images = [{"RepoTags": ["mine/plugins:1", "mine/redis:2"]}, {"RepoTags": None}]
    serve(Server(str(machine / "engine.sock"), answering(images)))
    assert offered("devenv model add m --image ") == ["mine/plugins:1", "mine/redis:2"]
    assert offered("devenv reload-image mine/r") == ["file", "mine/redis:2"]


def encoded(*blobs) -> str:
    return base64.b64encode(b"".join(blob.bytes() for blob in blobs)).decode()


def test_models_of_the_cluster(machine, serve, monkeypatch):
    monkeypatch.setattr(values, "_DEADLINE", IN_TIME)
    monkeypatch.setattr("devenv.cli.glimpses._TIMEOUT", IN_TIME)
    authority = trustme.CA()
    own, user = authority.issue_cert("127.0.0.1"), authority.issue_cert("user@kind")
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.configure_cert(trust)
    authority.configure_trust(trust)
    trust.verify_mode = ssl.CERT_REQUIRED
    notes = [{"devenv/model": "qwen3-8b"}, {}, None]
    workloads = {"items": [{"metadata": {"annotations": note}} for note in notes]}

    class ApiServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
        daemon_threads = True

        def get_request(self):
            connection, address = self.socket.accept()
            return trust.wrap_socket(connection, server_side=True), address

    server = ApiServer(("127.0.0.1", 0), answering(workloads))
    serve(server)
    cluster = {
        "server": f"https://127.0.0.1:{server.server_address[1]}",
        "certificate-authority-data": encoded(authority.cert_pem),
    }
    key = {
        "client-certificate-data": encoded(*user.cert_chain_pems),
        "client-key-data": encoded(user.private_key_pem),
    }
    kubeconfig = {
        "clusters": [{"name": "kind-other", "cluster": cluster}],
        "users": [{"name": "kind-other", "user": key}],
    }
    (machine / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    assert offered("devenv model rm -n other ") == ["qwen3-8b"]
    assert offered("devenv request -n other --model ") == ["llama2-7b", "qwen3-8b"]
    assert offered("devenv model rm ") == []


def test_a_server_that_hangs_is_left_out(machine, monkeypatch):
    # The deadline counts, also where the server's own time limit does not.
    monkeypatch.setattr("devenv.cli.glimpses._TIMEOUT", 10 * IN_TIME)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(machine / "engine.sock"))
        silent.listen()
        began = time.monotonic()
        assert "gateway-plugins" in offered("devenv reload-image ")
        assert offered("devenv model add m --image ") == []
        assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize("content", ["[", "contexts: 7", "contexts: [{}]", "\0"])
def test_a_broken_file_is_left_out(machine, content):
    (machine / "kubeconfig").write_text(content)
    for record in (machine / "state" / "devenv" / "clusters").glob("*.json"):
        record.write_text(content)
    assert offered("devenv doctor --context ") == []
    assert offered("devenv model rm ") == []
    assert offered("devenv restart ") == []
    assert offered("devenv status -n ") == list(CLUSTERS)


@pytest.mark.parametrize("words", ["devenv ", "devenv status -n ", "devenv logs "])
def test_nothing_heavy_is_imported(words):
    script = """
import atexit, sys
heavy = ("docker", "kubernetes", "pydantic", "rich", "psutil", "questionary", "devenv.cli.up")
atexit.register(lambda: sys.stderr.write(" ".join(name for name in heavy if name in sys.modules)))
from devenv.cli.app import run
run()
"""
    env = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **env, "_DEVENV_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("plain,")
    assert done.stderr == ""


def test_not_even_an_error_is_on_the_screen(monkeypatch, capsys):
    def broken(**_):
        raise TypeError("boom")

    monkeypatch.setattr(app, "main", broken)
    monkeypatch.setenv("_DEVENV_COMPLETE", "bash_complete")
    assert run([]) == Exit.FAILED
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("words", ["devenv model rm ", "devenv logs --since "])
def test_nothing_is_on_the_screen(words):
    env = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    command = [sys.executable, "-m", "devenv"]
    done = subprocess.run(
        command,
        env={**os.environ, **env, "_DEVENV_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
