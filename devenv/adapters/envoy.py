"""Envoy's admin interface, which listens on its pod's own loopback: through the API server's port-forward."""

import http.client
import ssl
from collections.abc import Iterable
from typing import Any

from devenv.adapters.kube import ContextKube, authorization
from devenv.errors import NotReachableError

# Envoy Gateway's choice (docs/facts/gateway.md)
_ADMIN = 19000
# Seconds for each step of it.
_TIMEOUT = 5.0
# The library asks the environment for a proxy unless it is told of one. With this one, it asks no proxy for any host.
_DIRECTLY = {"http_proxy_host": "none", "http_no_proxy": ["*"]}


class ForwardedEnvoy:
    """Reads from an Envoy in one of devenv's own clusters, whose API server no proxy leads to."""

    def __init__(self, kube: ContextKube) -> None:
        self._kube = kube

    def read(self, namespace: str, pod: str, paths: Iterable[str]) -> dict[str, str]:
        """Return the answers by path, all through one connection. Raises NotReachableError where one did not come."""
        settings = self._kube.settings(f"port-forward to {pod}")
        try:
            from kubernetes.stream.ws_client import PortForward  # noqa: PLC0415 - takes 0.1 s, and most commands need none

            opened = portforward(settings, namespace, pod, _ADMIN)
            forward = PortForward(opened, [_ADMIN])  # type: ignore[no-untyped-call]
            try:
                return self._ask(forward.socket(_ADMIN), paths)  # type: ignore[no-untyped-call]
            finally:
                forward.close()  # type: ignore[no-untyped-call]
        except (
            Exception
            # The library raises of its own, and websocket's, ssl's and http's besides.
        ) as error:
            raise NotReachableError(
                f"Envoy's admin interface in {pod} does not answer.", str(error)
            ) from error

    @staticmethod
    def _ask(connection: Any, paths: Iterable[str]) -> dict[str, str]:
        connection.settimeout(_TIMEOUT)
        client = http.client.HTTPConnection("127.0.0.1", _ADMIN)
        client.sock = connection
        answers = {}
        for path in paths:
            client.request("GET", path)
            answers[path] = client.getresponse().read().decode(errors="replace")
        return answers


def portforward(settings: Any, namespace: str, pod: str, port: int) -> Any:
    """Connect to a pod's port with a timeout, which the library's own function does not have."""
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
    import websocket  # noqa: PLC0415
    from kubernetes.stream.ws_client import get_websocket_url  # noqa: PLC0415

    options = {"cert_reqs": ssl.CERT_REQUIRED if settings.verify_ssl else ssl.CERT_NONE, "ca_certs": settings.ssl_ca_cert,
               "certfile": settings.cert_file, "keyfile": settings.key_file}  # fmt: skip
    if settings.tls_server_name:
        options["server_hostname"] = settings.tls_server_name
    header = ["sec-websocket-protocol: v4.channel.k8s.io"]
    if token := authorization(settings):
        header.append(f"authorization: {token}")
    connection = websocket.WebSocket(
        sslopt={k: v for k, v in options.items() if v is not None}, skip_utf8_validation=True
    )
    url = get_websocket_url(f"{settings.host}{path}", [("ports", str(port))])  # type: ignore[no-untyped-call]
    connection.connect(url, header=header, timeout=_TIMEOUT, **_DIRECTLY)  # type: ignore[no-untyped-call]
    return connection
