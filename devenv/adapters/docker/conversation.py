"""Talking to a program in a container through one connection, both ways at once."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from docker.utils.socket import frames_iter

from devenv.adapters.docker.client import SILENCE_TIMEOUT


def converse(raw: Any, stdin: Iterable[bytes]) -> bytes:
    """Send `stdin` while reading what comes back, and return that. Closes the connection.

    Neither side waits for the other, so no pipe can fill up. Raises what reading `stdin` raised.
    """
    connection: socket.socket = getattr(raw, "_sock", raw)
    sender = _Sender(connection, stdin)
    sender.start()
    with contextlib.closing(raw), _time_limit(connection):
        frames = frames_iter(raw, tty=False)  # type: ignore[no-untyped-call]
        output = b"".join(data for _, data in frames)
        sender.join(SILENCE_TIMEOUT)
    if sender.failure:
        raise sender.failure
    return output


class _Sender(threading.Thread):
    """Sends chunks in a thread of its own, then closes its half of the connection."""

    def __init__(self, connection: socket.socket, chunks: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._connection, self._chunks = connection, chunks
        # For the caller's thread to raise.
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Send all chunks."""
        try:
            for chunk in self._chunks:
                self._connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            # The program ended early; its output says why.
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self.failure = error
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _time_limit(connection: socket.socket) -> Iterator[None]:
    """End both halves of a connection that lasts too long: the library reads without a limit."""
    timer = threading.Timer(SILENCE_TIMEOUT, connection.shutdown, [socket.SHUT_RDWR])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
