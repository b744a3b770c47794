"""Requests through the gateway, as its clients send them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True)
class HttpRequest:
    """A request to the gateway."""

    # A port of the host.
    port: int
    path: str
    method: str = "POST"
    # Not printed: one of them may be a secret.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""
    # Seconds.
    timeout: float = 10.0


class Obstacle(StrEnum):
    """What kept an answer from coming."""

    # No program listens at the port.
    REFUSED = "refused"
    RESET = "reset"
    # The other side ended the connection before the answer was complete.
    CLOSED = "closed"
    TIMEOUT = "timeout"
    OTHER = "other"


@dataclass(frozen=True)
class HttpAnswer:
    """What came back, or why nothing did."""

    # 0 if no answer came.
    status: int
    # Their names are in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    # From the request's beginning to the answer's end.
    seconds: float = 0.0
    # Why no answer came, "" if one did.
    error: str = ""
    # False if not even the request could be sent.
    sent: bool = True
    # None if an answer came, and in facts files of older versions.
    obstacle: Obstacle | None = None


class Gateway(Protocol):
    """The gateway as its clients see it."""

    def send(self, request: HttpRequest) -> HttpAnswer:
        """Send a request and wait for the whole answer. Never raises: see `HttpAnswer.error`."""
