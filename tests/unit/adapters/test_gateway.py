"""Answers, and what keeps them from coming, told apart on real sockets of loopback."""

import contextlib
import socket
import struct
import threading

import pytest

from devenv.adapters.gateway import HttpGateway
from devenv.ports.gateway import HttpRequest, Obstacle

# Seconds.
TIMEOUT = 0.5


@contextlib.contextmanager
def served(serve):
    """A port on which each connection is given to `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def answer_of(port):
    return HttpGateway().send(HttpRequest(port, "/v1/models", "GET", timeout=TIMEOUT))


def reset(connection):
    # With a linger time of zero, closing sends a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection):
    pass


def close_in_the_middle(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


def stay_silent(connection):
    # Until the client has gone.
    connection.recv(1)


def answer_nonsense(connection):
    connection.sendall(b"nonsense\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "obstacle"),
    [
        (reset, Obstacle.RESET),
        (close, Obstacle.CLOSED),
        (close_in_the_middle, Obstacle.CLOSED),
        (stay_silent, Obstacle.TIMEOUT),
        (answer_nonsense, Obstacle.OTHER),
    ],
)
def test_what_keeps_an_answer_from_coming(serve, obstacle, check_message):
    with served(serve) as port:
        answer = answer_of(port)
    assert (answer.status, answer.obstacle, answer.body) == (0, obstacle, "")
    check_message(answer.error)


def test_a_port_without_a_listener_refuses(check_message):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = answer_of(port)
    assert (answer.status, answer.obstacle) == (0, Obstacle.REFUSED)
    check_message(answer.error)


def test_an_answer_has_no_obstacle():
    def serve(connection):
        connection.sendall(b"HTTP/1.1 503 No\r\nX-A: b\r\ncontent-length: 2\r\n\r\nno")

    with served(serve) as port:
        answer = answer_of(port)
    assert (answer.status, answer.body, answer.obstacle, answer.error) == (503, "no", None, "")
    assert answer.headers["x-a"] == "b"
