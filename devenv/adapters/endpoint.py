"""An endpoint on this machine's loopback to which the engine can push, for the time of one command.

It speaks the part of the OCI distribution specification that a push needs, and stores nothing itself: it hands blobs and
manifests to a sink. The engine takes 127.0.0.0/8 for insecure registries; Docker 29 speaks TLS first and does not fall
back, and both are content with a certificate that was just made (docs/facts/images.md).
"""

import contextlib
import http.server
import ssl
import threading
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from devenv.errors import DevenvError
from devenv.ports import BlobSink

REPOSITORY = "devenv/reload"
_CHUNK = 1 << 20
_HOST = "127.0.0.1"
# Seconds in which it notices that it is to end.
_POLL = 0.01
# Seconds for which a connection may be silent.
_IDLE = 120
# With that word the engine gives up: without, it tries for 50 s more (Docker's distribution/errors.go).
_DENIED = b'{"errors": [{"code": "DENIED", "message": "nothing is to be pushed"}]}'


class LoopbackEndpoint:
    """Listens while somebody pushes."""

    @contextlib.contextmanager
    def listening(self, sink: BlobSink, port: int, *, plain: bool = False) -> Iterator[int]:
        """Listen on `port`, on any that is free if that is taken or 0; give the port. Nothing listens afterwards.

        `plain`: without TLS, for an engine that is content with that: neither side need encrypt what never leaves the machine.
        """
        server = self._server(sink, port)
        if not plain:
            server.context = _context()
        thread = threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)

    @staticmethod
    def _server(sink: BlobSink, port: int) -> "_Server":
        try:
            return _Server((_HOST, port), sink)
        except OSError:
            return _Server((_HOST, 0), sink)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    server_address: tuple[str, int]

    def __init__(self, address: tuple[str, int], sink: BlobSink) -> None:
        super().__init__(address, _Handler)
        self.sink = sink
        self.uploads: dict[str, Any] = {}
        self.context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS in the connection's own thread: a client that says nothing keeps nobody else waiting."""
        request.settimeout(_IDLE)
        with contextlib.suppress(OSError):
            if self.context is None:
                super().finish_request(request, client_address)
                return
            with self.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The engine says what went wrong; nothing is printed here."""


def _context() -> ssl.SSLContext:
    """Make a certificate that nobody else has, for as long as this process lives."""
    import trustme  # noqa: PLC0415 - takes 0.1 s, and most commands need none

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(_HOST).configure_cert(context)
    return context


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Bytes: the library's 8 KiB mean a call for each.
    rbufsize = 1 << 18
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Say that this is a registry."""
        self._answer(200 if self.path.rstrip("/") == "/v2" else 404)

    def do_HEAD(self) -> None:
        """Say whether a blob need not be sent. No manifest is ever known."""
        kind, _, digest = self._target().partition("/")
        try:
            size = self.server.sink.has(digest) if kind == "blobs" else -1
        except DevenvError:
            self._answer(403)
            return
        self._answer(
            200 if size >= 0 else 404,
            {"Docker-Content-Digest": digest} if size >= 0 else {},
            length=max(size, 0),
        )

    def do_POST(self) -> None:
        """Begin an upload; what asks to mount a blob of another repository may send it."""
        self._drain()
        if not self._target().startswith("blobs/uploads"):
            self._answer(404)
            return
        name = uuid.uuid4().hex
        if blob := self._begun(name):
            self.server.uploads[name] = blob
            self._answer(202, {"Location": self._upload_path(name), "Range": "0-0"})

    def do_PATCH(self) -> None:
        """Take a blob whose digest is not known yet."""
        name = self._target().rpartition("/")[2]
        blob = self._begun(name)
        if blob is None:
            return
        self.server.uploads[name] = blob
        self._take(blob)
        self._answer(
            202, {"Location": self._upload_path(name), "Range": f"0-{max(blob.size - 1, 0)}"}
        )

    def do_PUT(self) -> None:
        """End an upload, or take a manifest."""
        target = self._target()
        if target.startswith("manifests/"):
            body = self._body()
            digest = self.server.sink.manifest(body)
            self._answer(201 if digest else 400, {"Docker-Content-Digest": digest})
            return
        name = target.rpartition("/")[2]
        blob = self._begun(name)
        if blob is None:
            return
        self.server.uploads.pop(name, None)
        self._take(blob)
        digest = parse_qs(urlsplit(self.path).query).get("digest", [""])[0]
        good = self.server.sink.end(blob, digest)
        self._answer(
            201 if good else 400,
            {"Docker-Content-Digest": digest, "Location": f"/v2/{REPOSITORY}/blobs/{digest}"},
        )

    def _begun(self, name: str) -> Any:
        """Return the upload of that name, a new one where there is none; None, and the engine is refused, where none may be."""
        try:
            return self.server.uploads.get(name) or self.server.sink.begin()
        except DevenvError:
            # What it sends is not read.
            self.close_connection = True
            # Unread bytes would reset it.
            self._answer(403, body=_DENIED if self.command == "POST" else b"")
            return None

    def _target(self) -> str:
        """What is asked for in the one repository that there is; "" for any other."""
        path = urlsplit(self.path).path
        prefix = f"/v2/{REPOSITORY}/"
        return path.removeprefix(prefix).rstrip("/") if path.startswith(prefix) else ""

    @staticmethod
    def _upload_path(name: str) -> str:
        return f"/v2/{REPOSITORY}/blobs/uploads/{name}"

    def _chunks(self) -> Iterator[bytes]:
        """Yield the request's body, which comes with its length (Docker 29) or in chunks (Docker 20.10)."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield from self._read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self._read(int(self.headers.get("Content-Length") or 0))

    def _read(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self.rfile.read(min(size, _CHUNK))
            if not chunk:
                raise ConnectionError("the engine went away")
            size -= len(chunk)
            yield chunk

    def _take(self, blob: Any) -> None:
        """Raises ConnectionError, which ends the connection, where nothing is to be pushed any more."""
        try:
            for chunk in self._chunks():
                blob.write(chunk)
        except DevenvError as error:
            raise ConnectionError(str(error)) from error

    def _body(self) -> bytes:
        return b"".join(self._chunks())

    def _drain(self) -> None:
        for _ in self._chunks():
            pass

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, length: int = 0, body: bytes = b""
    ) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
