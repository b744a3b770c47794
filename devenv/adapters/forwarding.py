"""Ports of the loopback that lead into a cluster, through its API server's port-forward."""

import contextlib
import selectors
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from devenv.adapters.envoy import open_tunnel
from devenv.adapters.kube import ContextKube
from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.ports.forwarding import ForwardTarget
from devenv.ports.kube import Manifest

_HOST = "127.0.0.1"
# Seconds in which a listener notices that it is to end.
_POLL = 0.2
# Seconds to connect, and for a listener's thread to end.
_TIMEOUT = 5.0
# Bytes.
_CHUNK = 1 << 16
_ENDPOINT_SLICE = ("discovery.k8s.io/v1", "EndpointSlice")
# The label of an EndpointSlice that names its Service.
_SERVICE_LABEL = "kubernetes.io/service-name"

# Gives a connection to where a port leads, for as long as the context lasts.
Connect = Callable[[], contextlib.AbstractContextManager[Any]]


class LoopbackForwarding:
    """Listens on the loopback, and gives each client a connection of its own into the cluster."""

    def __init__(self, kube: ContextKube) -> None:
        self._kube = kube

    @contextlib.contextmanager
    def opened(self, targets: Sequence[ForwardTarget]) -> Iterator[None]:
        """Forward for as long as the context lasts. Raises DevenvError if a port is taken."""
        with contextlib.ExitStack() as stack:
            servers = []
            # All are opened before the first one serves: if one port is taken, none is served.
            for target in targets:
                server = _open_server(target.port, self._connect(target))
                servers.append(stack.enter_context(server))
            for server in servers:
                stack.enter_context(_serving(server))
            yield

    def _connect(self, target: ForwardTarget) -> Connect:
        if target.service:
            return lambda: self._to_pod(target)
        return lambda: socket.create_connection((_HOST, target.target), _TIMEOUT)

    @contextlib.contextmanager
    def _to_pod(self, target: ForwardTarget) -> Iterator[Any]:
        """Give a connection to the port of a pod that the target's Service selects."""
        from kubernetes.stream.ws_client import PortForward  # noqa: PLC0415 - takes 0.1 s

        pod = self._pod(target)
        settings = self._kube.settings(f"port-forward to {pod}")
        tunnel = open_tunnel(settings, target.namespace, pod, target.target)
        forward = PortForward(tunnel, [target.target])  # type: ignore[no-untyped-call]
        try:
            yield forward.socket(target.target)  # type: ignore[no-untyped-call]
        finally:
            forward.close()  # type: ignore[no-untyped-call]

    def _pod(self, target: ForwardTarget) -> str:
        """Return a ready pod of the Service. It asks each time, since pods come and go."""
        selector = f"{_SERVICE_LABEL}={target.service}"
        pods: list[str] = []
        for endpoint_slice in self._kube.select(*_ENDPOINT_SLICE, target.namespace, selector):
            pods += _ready_pods(endpoint_slice)
        if not pods:
            service = f"{target.namespace}/{target.service}"
            raise NotReachableError(f"The Service {service} does not have a pod that is ready.")
        return min(pods)


def _ready_pods(endpoint_slice: Manifest) -> Iterator[str]:
    for endpoint in endpoint_slice.get("endpoints") or ():
        reference = endpoint.get("targetRef") or {}
        conditions = endpoint.get("conditions") or {}
        if reference.get("kind") == "Pod" and conditions.get("ready"):
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
        """Print nothing: a connection that fails is closed, which its client sees."""


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Carry bytes both ways until either side ends."""
        with self.server.connect() as upstream:
            # A client may be slow to answer.
            upstream.settimeout(None)
            _carry(self.request, upstream, self.server.ending)


def _carry(client: Any, upstream: Any, ending: threading.Event) -> None:
    """Carry bytes both ways, until one side closes its end or the forward ends."""
    with selectors.DefaultSelector() as selector:
        # Each is registered with the one that its bytes go to.
        selector.register(client, selectors.EVENT_READ, upstream)
        selector.register(upstream, selectors.EVENT_READ, client)
        while not ending.is_set():
            for key, _ in selector.select(_POLL):
                origin: Any = key.fileobj
                chunk = origin.recv(_CHUNK)
                if not chunk:
                    return
                key.data.sendall(chunk)


def _open_server(port: int, connect: Connect) -> _Server:
    """Open the port on the loopback. Raises DevenvError if another program has it."""
    try:
        return _Server(port, connect)
    except OSError as error:
        raise DevenvError(
            f"Can't listen on port {port}.",
            str(error),
            "End the program that uses the port.",
            Exit.PREREQUISITE,
        ) from error


@contextlib.contextmanager
def _serving(server: _Server) -> Iterator[None]:
    """Serve in a thread of its own, and end all connections at the end."""
    thread = threading.Thread(target=server.serve_forever, args=(_POLL,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.ending.set()
        server.shutdown()
        thread.join(_TIMEOUT)
