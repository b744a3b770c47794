"""Little servers on loopback for tests of clients."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Proxy(_Quiet):
    """Writes down whom it is asked for, and answers itself."""

    def _take(self) -> None:
        self.server.asked.append(self.path)
        self.answer(200, b"ok")

    def do_GET(self) -> None:
        self._take()

    def do_HEAD(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)
        self.server.users.append(self.headers.get("proxy-authorization"))
        self.close_connection = True
        self.answer(502)


@contextlib.contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], authority: Path | None = None, **state: Any
) -> Iterator[Any]:
    """Serve on a free port of loopback. With `authority`, by TLS, and the authority's certificate is written there."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None
        if authority:
            ca = trustme.CA()
            ca.cert_pem.write_to_path(authority)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ca.issue_cert("127.0.0.1").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        vars(server).update(state)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def recording_proxy(monkeypatch) -> Iterator[Any]:
    """A proxy that every variable names; `asked` has what it was asked for."""
    with serving(_Proxy, asked=[], users=[]) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        server.address = address
        yield server


class Status(_Quiet):
    """Answers /401 with 401, and so on."""

    def _say(self) -> None:
        status = int(self.path.rsplit("/", 1)[-1])
        self.answer(status, b"x" if status == 200 and self.command == "GET" else b"")

    def do_GET(self) -> None:
        self._say()

    def do_HEAD(self) -> None:
        self._say()


class Engine(_Quiet):
    """Says what a Docker engine says, as far as builds and pulls go; `seen` gets the requests, `pull` is what a pull says."""

    def do_GET(self) -> None:
        if self.path.endswith("/info"):
            self.answer(200, self.server.info)
        elif "/distribution/" in self.path:
            self.answer(500, b'{"message": "%s"}' % self.server.pull)
        else:
            self.answer(200, b'{"ApiVersion": "1.41", "Version": "20.10", "Arch": "amd64"}')

    def do_POST(self) -> None:
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.path, dict(self.headers)))
        body = (
            b'{"error": "%s"}' % self.server.pull
            if "/images/create" in self.path
            else b'{"stream": "done"}'
        )
        self.answer(200, body, {"content-type": "application/json"})
