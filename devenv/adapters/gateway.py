"""The gateway, as a client on the host reaches it."""

import http.client
import time

from devenv.ports.gateway import HttpAnswer, HttpRequest, Obstacle

# The first that fits counts: RemoteDisconnected is a ConnectionResetError, too.
_OBSTACLES: tuple[tuple[type[Exception], Obstacle, str], ...] = (
    (ConnectionRefusedError, Obstacle.REFUSED, "connection refused"),
    (http.client.RemoteDisconnected, Obstacle.CLOSED, "connection closed before an answer"),
    (http.client.IncompleteRead, Obstacle.CLOSED, "connection closed in the middle of the answer"),
    (ConnectionError, Obstacle.RESET, "connection reset"),
)


class HttpGateway:
    """Sends to 127.0.0.1, never through a network proxy."""

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send and read the whole answer. Never raises: what went wrong is part of the answer."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", request.port, timeout=request.timeout)
        try:
            connection.request(request.method, request.path, request.body, dict(request.headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            body = answer.read().decode(errors="replace")
            return HttpAnswer(answer.status, headers, body, time.monotonic() - began)
        # A malformed header is a ValueError.
        except (OSError, http.client.HTTPException, ValueError) as error:
            obstacle, reason = _obstacle_of(error, request)
            seconds = time.monotonic() - began
            return HttpAnswer(0, seconds=seconds, error=reason, obstacle=obstacle)
        finally:
            connection.close()


def _obstacle_of(error: Exception, request: HttpRequest) -> tuple[Obstacle, str]:
    """Return what kept the answer from coming, and how to say so."""
    if isinstance(error, TimeoutError):
        return Obstacle.TIMEOUT, f"timed out after {request.timeout:g} s"
    for kind, obstacle, reason in _OBSTACLES:
        if isinstance(error, kind):
            return obstacle, reason
    return Obstacle.OTHER, str(error) or type(error).__name__
