"""A registry on the host's loopback to which the engine can push, for the time of one command.

It speaks the part of the OCI distribution specification that a push needs, and stores nothing
itself: it hands blobs and image manifests to a sink. The engine takes 127.0.0.0/8 for insecure
registries. Docker 29 speaks TLS first and does not fall back. Both are content with a certificate
that was just made (docs/facts/images.md).
"""

import contextlib
import http.server
import ssl
import threading
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from devenv.base.errors import DevenvError
from devenv.ports.endpoint import BlobSink

REPOSITORY = "devenv/reload"
_CHUNK = 1 << 20
_HOST = "127.0.0.1"
# Seconds in which it notices that it is to end.
_POLL = 0.01
# Seconds for which a connection may be silent.
_IDLE = 120
# At the word DENIED the engine gives up. Without it, it tries for 50 s more (Docker's
# distribution/errors.go).
_DENIED = b'{"errors": [{"code": "DENIED", "message": "nothing is to be pushed"}]}'


class LoopbackEndpoint:
    """Listens on the loopback for an engine that pushes."""

    @contextlib.contextmanager
    def listening(self, sink: BlobSink, port: int, *, plain: bool = False) -> Iterator[int]:
        """Listen for as long as the context lasts. The context gives the port.

        It is `port`, unless that is 0 or taken: then any that is free. `plain` means without TLS,
        for an engine that accepts that: neither side need encrypt what never leaves the host.
        """
        server = self._server(sink, port)
        if not plain:
            server.context = _tls_context()
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
        # Blobs that are arriving, by the name of their upload.
        self.uploads: dict[str, Any] = {}
        # None without TLS.
        self.context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS in the connection's own thread, so that a silent client delays no other."""
        request.settimeout(_IDLE)
        with contextlib.suppress(OSError):
            if self.context is None:
                super().finish_request(request, client_address)
                return
            with self.context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the engine says what went wrong."""


def _tls_context() -> ssl.SSLContext:
    """Make a key and a certificate that last as long as this process."""
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
        is_version_check = self.path.rstrip("/") == "/v2"
        self._answer(HTTPStatus.OK if is_version_check else HTTPStatus.NOT_FOUND)

    def do_HEAD(self) -> None:
        """Say whether a blob need not be sent. A manifest must always be sent."""
        kind, _, digest = self._target().partition("/")
        try:
            size = self.server.sink.has(digest) if kind == "blobs" else -1
        except DevenvError:
            self._answer(HTTPStatus.FORBIDDEN)
            return
        if size < 0:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, {"Docker-Content-Digest": digest}, length=size)

    def do_POST(self) -> None:
        """Begin an upload.

        A client that asks to mount a blob of another repository is told to send it.
        """
        self._drain()
        if not self._target().startswith("blobs/uploads"):
            self._answer(HTTPStatus.NOT_FOUND)
            return
        name = uuid.uuid4().hex
        if blob := self._upload(name):
            self.server.uploads[name] = blob
            self._answer_upload(name, "0-0")

    def do_PATCH(self) -> None:
        """Take a blob whose digest is not known yet."""
        name = self._target().rpartition("/")[2]
        blob = self._upload(name)
        if blob is None:
            return
        self.server.uploads[name] = blob
        self._receive(blob)
        self._answer_upload(name, f"0-{max(blob.size - 1, 0)}")

    def do_PUT(self) -> None:
        """End an upload, or take an image manifest."""
        target = self._target()
        if target.startswith("manifests/"):
            self._put_manifest()
        else:
            self._put_blob(target.rpartition("/")[2])

    def _put_manifest(self) -> None:
        digest = self.server.sink.manifest(self._body())
        self._answer(_created(is_intact=bool(digest)), {"Docker-Content-Digest": digest})

    def _put_blob(self, name: str) -> None:
        """End an upload; the blob counts only if it has the digest that the engine names."""
        blob = self._upload(name)
        if blob is None:
            return
        self.server.uploads.pop(name, None)
        self._receive(blob)
        query = parse_qs(urlsplit(self.path).query)
        digest = query.get("digest", [""])[0]
        is_intact = self.server.sink.end(blob, digest)
        headers = {
            "Docker-Content-Digest": digest,
            "Location": f"/v2/{REPOSITORY}/blobs/{digest}",
        }
        self._answer(_created(is_intact=is_intact), headers)

    def _upload(self, name: str) -> Any:
        """Return the upload of that name, or begin one.

        If nothing may be pushed, refuse the request and return None.
        """
        try:
            return self.server.uploads.get(name) or self.server.sink.begin()
        except DevenvError:
            # What a PATCH or PUT sends is not read. Unread bytes would reset a connection on which
            # a body is sent, so only a POST gets one, which is read to its end.
            self.close_connection = True
            self._answer(HTTPStatus.FORBIDDEN, body=_DENIED if self.command == "POST" else b"")
            return None

    def _target(self) -> str:
        """Return what is asked for in the only repository; "" for any other."""
        path = urlsplit(self.path).path
        prefix = f"/v2/{REPOSITORY}/"
        if not path.startswith(prefix):
            return ""
        return path.removeprefix(prefix).rstrip("/")

    def _chunks(self) -> Iterator[bytes]:
        """Yield the request's body. Docker 29 sends its length first, Docker 20.10 sends chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                yield from self._read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            yield from self._read(int(self.headers.get("Content-Length") or 0))

    def _read(self, size: int) -> Iterator[bytes]:
        """Yield a request's body. Raises ConnectionError if it ends too early."""
        while size:
            chunk = self.rfile.read(min(size, _CHUNK))
            if not chunk:
                raise ConnectionError("the engine went away")
            size -= len(chunk)
            yield chunk

    def _receive(self, blob: Any) -> None:
        """Write the request's body into a blob.

        Raises ConnectionError, which ends the connection, if nothing may be pushed any more.
        """
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

    def _answer_upload(self, name: str, byte_range: str) -> None:
        path = f"/v2/{REPOSITORY}/blobs/uploads/{name}"
        self._answer(HTTPStatus.ACCEPTED, {"Location": path, "Range": byte_range})

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, length: int = 0, body: bytes = b""
    ) -> None:
        """Answer. `length` is for an answer to HEAD, which names a length and has no body."""
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)


def _created(*, is_intact: bool) -> HTTPStatus:
    return HTTPStatus.CREATED if is_intact else HTTPStatus.BAD_REQUEST
