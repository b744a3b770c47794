"""Ports of the loopback that lead into a cluster, through its API server's port-forward."""

import contextlib
import selectors
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from devenv.adapters.envoy import portforward
from devenv.adapters.kube import ContextKube
from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.ports import ForwardTarget, Manifest

_HOST = "127.0.0.1"
# Seconds in which a listener notices that it is to end.
_POLL = 0.2
# Seconds.
_CONNECT = 5.0
# Bytes.
_CHUNK = 1 << 16
_SLICES = ("discovery.k8s.io/v1", "EndpointSlice")
_SERVICE = "kubernetes.io/service-name"

Connect = Callable[[], contextlib.AbstractContextManager[Any]]


class LoopbackForwarding:
    """Listens on the loopback, and gives each connection one of its own into the cluster."""

    def __init__(self, kube: ContextKube) -> None:
        self._kube = kube

    @contextlib.contextmanager
    def opened(self, targets: Sequence[ForwardTarget]) -> Iterator[None]:
        """Forward for as long as the context lasts. Raises DevenvError where a port is taken."""
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(_server(t.port, self._connect(t))) for t in targets]
            for server in servers:
                stack.enter_context(_serving(server))
            yield

    def _connect(self, target: ForwardTarget) -> Connect:
        if target.service:
            return lambda: self._to_pod(target)
        return lambda: socket.create_connection((_HOST, target.target), _CONNECT)

    @contextlib.contextmanager
    def _to_pod(self, target: ForwardTarget) -> Iterator[Any]:
        from kubernetes.stream.ws_client import PortForward  # noqa: PLC0415 - takes 0.1 s

        pod = self._pod(target)
        settings = self._kube.settings(f"port-forward to {pod}")
        opened = portforward(settings, target.namespace, pod, target.target)
        forward = PortForward(opened, [target.target])  # type: ignore[no-untyped-call]
        try:
            yield forward.socket(target.target)  # type: ignore[no-untyped-call]
        finally:
            forward.close()  # type: ignore[no-untyped-call]

    def _pod(self, target: ForwardTarget) -> str:
        """Return a ready pod of the Service. Each call looks again, since pods come and go."""
        selector = f"{_SERVICE}={target.service}"
        slices = self._kube.select(*_SLICES, target.namespace, selector)
        pods = sorted(pod for endpoint_slice in slices for pod in _ready_pods(endpoint_slice))
        if not pods:
            raise NotReachableError(
                f"No pod of the Service {target.namespace}/{target.service} is ready."
            )
        return pods[0]


def _ready_pods(endpoint_slice: Manifest) -> Iterator[str]:
    for endpoint in endpoint_slice.get("endpoints") or ():
        reference = endpoint.get("targetRef") or {}
        if reference.get("kind") == "Pod" and (endpoint.get("conditions") or {}).get("ready"):
            yield reference["name"]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, connect: Connect) -> None:
        self.connect = connect
        self.ending = threading.Event()
        super().__init__((_HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that fails is closed, which its client sees; nothing is printed here."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Carry bytes both ways until either side ends."""
        with self.server.connect() as upstream:
            # A client that is slow to answer is no fault.
            upstream.settimeout(None)
            _carry(self.request, upstream, self.server.ending)


def _carry(client: Any, upstream: Any, ending: threading.Event) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ, upstream)
        selector.register(upstream, selectors.EVENT_READ, client)
        while not ending.is_set():
            for key, _ in selector.select(_POLL):
                source: Any = key.fileobj
                data = source.recv(_CHUNK)
                if not data:
                    return
                key.data.sendall(data)


def _server(port: int, connect: Connect) -> _Server:
    try:
        return _Server(port, connect)
    except OSError as error:
        what = f"Can't listen on port {port}."
        raise DevenvError(
            what, str(error), "End the program that uses it.", Exit.PREREQUISITE
        ) from error


@contextlib.contextmanager
def _serving(server: _Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.ending.set()
        server.shutdown()
        thread.join(_CONNECT)
