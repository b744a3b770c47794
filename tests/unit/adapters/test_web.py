import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.adapters import web
from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.network import CA_VARIABLES, Trouble
from tests.unit.adapters import servers

# urllib3 leaves the connection of an answer that it gave up to the collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/whole":
                self.answer(200, b"x" * 5000)
            case "/busy":
                self.answer(503, b"", {"retry-after": "3600"})
            case "/broken":  # breaks off as often as it is told to
                self.server.breaks -= 1
                self.send_response(200)
                self.send_header("content-length", "5000")
                self.end_headers()
                self.wfile.write(b"x" * (5000 if self.server.breaks < 0 else 1000))
                self.close_connection = True
            case "/slow":
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                for _ in range(1000):
                    if self.server.over.wait(0.05):
                        return
                    self.wfile.write(b"x")
            case _:
                self.answer(404, b"")

    def answer(self, status: int, body: bytes, headers=None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None: ...


@pytest.fixture
def url(server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        server.over = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def test_a_file_comes_whole_and_its_bytes_are_told(url, tmp_path: Path):
    told = []
    web.HttpWeb().fetch(f"{url}/whole", tmp_path / "f", lambda *progress: told.append(progress))
    assert (tmp_path / "f").read_bytes() == b"x" * 5000
    assert told[-1] == (5000, 5000)


@pytest.mark.parametrize("breaks", [1, 2])
def test_an_answer_that_breaks_off_is_asked_for_again(url, server, tmp_path: Path, breaks):
    server.breaks = breaks
    web.HttpWeb().fetch(f"{url}/broken", tmp_path / "f", lambda *_: None)
    assert (tmp_path / "f").read_bytes() == b"x" * 5000


def test_an_answer_that_always_breaks_off_is_none(url, server, tmp_path: Path):
    server.breaks = 100
    with pytest.raises(NotReachableError):
        web.HttpWeb().fetch(f"{url}/broken", tmp_path / "f", lambda *_: None)
    assert server.breaks == 97, "three times"


@pytest.mark.parametrize(("page", "kind"), [("/none", DevenvError), ("/busy", DevenvError)])
def test_what_is_no_file_is_told(url, tmp_path: Path, page: str, kind: type[DevenvError]):
    with pytest.raises(kind) as caught:
        web.HttpWeb().fetch(url + page, tmp_path / "f", lambda *_: None)
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert url in caught.value.what


def test_a_file_that_trickles_does_not_outlive_its_limit(
    url, tmp_path: Path, monkeypatch, check_message
):
    monkeypatch.setattr(web, "_LONGEST", 0.3)
    with pytest.raises(NotReachableError) as caught:
        web.HttpWeb().fetch(f"{url}/slow", tmp_path / "f", lambda *_: None)
    assert (tmp_path / "f").stat().st_size < 500
    check_message(str(caught.value).replace(url, "URL"))


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", f"http://{'a' * 70}/x", "http://[::1/x"]
)
def test_an_address_that_leads_nowhere_is_told(address: str, tmp_path: Path):
    with pytest.raises(NotReachableError):
        web.HttpWeb().fetch(address, tmp_path / "f", lambda *_: None)


@pytest.fixture
def no_authority(monkeypatch):
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("status", "trouble"), [
    (401, Trouble.UNAUTHORIZED), (403, Trouble.FORBIDDEN), (404, Trouble.ABSENT), (500, Trouble.BROKEN),
])  # fmt: skip
def test_a_server_that_refuses_is_told_as_what_it_is(tmp_path: Path, status, trouble):
    with servers.serving(servers.Status) as server:
        server_name = f"127.0.0.1:{server.server_address[1]}"
        with pytest.raises(DevenvError) as caught:
            web.HttpWeb().fetch(f"http://{server_name}/{status}", tmp_path / "f", lambda *_: None)
        assert f"{server_name} {trouble.value}" in caught.value.why
        assert caught.value.exit_code == Exit.PREREQUISITE
        assert trouble.value in web.HttpWeb().problem(f"http://{server_name}/{status}")


def test_a_server_that_stays_busy_is_told_as_that(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    for status, trouble in ((429, Trouble.LIMITED), (503, Trouble.BROKEN)):
        with servers.serving(servers.Status) as server, pytest.raises(DevenvError) as caught:
            web.HttpWeb().fetch(
                f"http://127.0.0.1:{server.server_address[1]}/{status}",
                tmp_path / "f",
                lambda *_: None,
            )
        assert trouble.value in caught.value.why


def test_an_unknown_authority_is_told_and_every_variable_names_the_users_own(
    no_authority, tmp_path: Path, monkeypatch
):
    with servers.serving(servers.Status, tmp_path / "ca.pem") as server:
        url = f"https://127.0.0.1:{server.server_address[1]}/200"
        with pytest.raises(NotReachableError) as caught:
            web.HttpWeb().fetch(url, tmp_path / "f", lambda *_: None)
        assert Trouble.UNTRUSTED.value in caught.value.why
        assert "SSL_CERT_FILE" in caught.value.next_step
        for name in CA_VARIABLES:
            monkeypatch.setenv(name, str(tmp_path / "ca.pem"))
            web.HttpWeb().fetch(url, tmp_path / "f", lambda *_: None)
            assert (tmp_path / "f").read_bytes() == b"x"
            monkeypatch.delenv(name)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cant_be_read_is_named_with_its_variable(
    no_authority, tmp_path: Path, monkeypatch, content
):
    bundle = tmp_path / "ca.pem"
    if content:
        bundle.write_text(content)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(bundle))
    with pytest.raises(DevenvError) as caught:
        web.HttpWeb().fetch("https://127.0.0.1:9/x", tmp_path / "f", lambda *_: None)
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert "CURL_CA_BUNDLE" in caught.value.what
    assert str(bundle) in caught.value.what
