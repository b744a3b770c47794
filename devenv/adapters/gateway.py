"""The gateway, as a client on the host reaches it."""

import http.client
import time

from devenv.ports.gateway import HttpAnswer, HttpRequest


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
            reason = str(error) or type(error).__name__
            return HttpAnswer(0, seconds=time.monotonic() - began, error=reason)
        finally:
            connection.close()
