"""Envoy's admin interface, through the API server's port-forward.

The interface listens on the loopback of its own pod.
"""

import http.client
import ssl
from collections.abc import Iterable
from typing import Any

from devenv.adapters.kube import ContextKube, authorization
from devenv.base.errors import NotReachableError

# Envoy Gateway's choice (docs/facts/gateway.md).
_ADMIN_PORT = 19000
# Seconds for each step of it.
_TIMEOUT = 5.0
# The library asks the environment for a proxy unless it is told of one. With these options, it uses
# no proxy for any host.
_NO_PROXY = {"http_proxy_host": "none", "http_no_proxy": ["*"]}


class ForwardedEnvoy:
    """Reads from an Envoy in one of devenv's own clusters.

    Network proxies don't lead to the API servers of those.
    """

    def __init__(self, kube: ContextKube) -> None:
        self._kube = kube

    def read(self, namespace: str, pod: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the answers by path, all through one connection.

        Raises NotReachableError if any of them did not come.
        """
        settings = self._kube.settings(f"port-forward to {pod}")
        try:
            return _read(settings, namespace, pod, paths)
        # The library raises exceptions of its own, and those of websocket, ssl and http.
        except Exception as error:
            raise NotReachableError(
                f"Envoy's admin interface in {pod} does not answer.", str(error)
            ) from error


def _read(settings: Any, namespace: str, pod: str, paths: Iterable[str]) -> dict[str, str]:
    from kubernetes.stream.ws_client import PortForward  # noqa: PLC0415 - takes 0.1 s

    tunnel = open_tunnel(settings, namespace, pod, _ADMIN_PORT)
    forward = PortForward(tunnel, [_ADMIN_PORT])  # type: ignore[no-untyped-call]
    try:
        return _ask(forward.socket(_ADMIN_PORT), paths)  # type: ignore[no-untyped-call]
    finally:
        forward.close()  # type: ignore[no-untyped-call]


def _ask(connection: Any, paths: Iterable[str]) -> dict[str, str]:
    """Return the answers of the admin interface, by path, over one open connection."""
    connection.settimeout(_TIMEOUT)
    client = http.client.HTTPConnection("127.0.0.1", _ADMIN_PORT)
    client.sock = connection
    answers = {}
    for path in paths:
        client.request("GET", path)
        answers[path] = client.getresponse().read().decode(errors="replace")
    return answers


def open_tunnel(settings: Any, namespace: str, pod: str, port: int) -> Any:
    """Connect to a pod's port, and return the websocket for the library's PortForward.

    The library's own function connects without a timeout.
    """
    import websocket  # noqa: PLC0415 - most commands need neither
    from kubernetes.stream.ws_client import get_websocket_url  # noqa: PLC0415

    header = ["sec-websocket-protocol: v4.channel.k8s.io"]
    if token := authorization(settings):
        header.append(f"authorization: {token}")
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    ports = [("ports", str(port))]
    url = get_websocket_url(f"{settings.host}{path}", ports)  # type: ignore[no-untyped-call]
    tunnel = websocket.WebSocket(sslopt=_tls_options(settings), skip_utf8_validation=True)
    options = {"header": header, "timeout": _TIMEOUT, **_NO_PROXY}
    tunnel.connect(url, **options)  # type: ignore[no-untyped-call]
    return tunnel


def _tls_options(settings: Any) -> dict[str, Any]:
    """Return what the WebSocket needs of the kubeconfig's settings; what is not set is left out."""
    options = {
        "cert_reqs": ssl.CERT_REQUIRED if settings.verify_ssl else ssl.CERT_NONE,
        "ca_certs": settings.ssl_ca_cert,
        "certfile": settings.cert_file,
        "keyfile": settings.key_file,
        "server_hostname": settings.tls_server_name or None,
    }
    return {name: value for name, value in options.items() if value is not None}
