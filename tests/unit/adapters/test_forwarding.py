"""Forwarded ports: on the loopback alone, both ways, all or none, and gone at the end."""

import contextlib
import errno
import socket
import threading

import pytest

from devenv.adapters.forwarding import LoopbackForwarding, _ready_pods
from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.ports.forwarding import ForwardTarget
from tests.cluster.lab import free_port


@pytest.fixture
def echo():
    """A server that says twice what it is told, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        while data := connection.recv(1 << 16):
                            connection.sendall(data + data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def here(port, target):
    return ForwardTarget(port, "", "", target)


def ask(port, words=b"hello"):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(words)
        said = b""
        while len(said) < 2 * len(words):
            said += client.recv(1 << 16)
    return said


def test_bytes_go_both_ways_more_than_once_and_many_of_them(echo):
    port = free_port()
    with LoopbackForwarding(None).opened([here(port, echo)]):
        assert ask(port) == b"hellohello"
        assert ask(port, b"x" * 200_000) == b"x" * 400_000


def test_it_listens_on_the_loopback_alone_and_ends_with_its_context(echo):
    port = free_port()
    with LoopbackForwarding(None).opened([here(port, echo)]):
        listening = socket.socket()
        with listening, pytest.raises(OSError) as refused:
            listening.bind(("127.0.0.1", port))
        assert refused.value.errno == errno.EADDRINUSE
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_an_open_connection_ends_with_the_context(echo):
    port = free_port()
    with LoopbackForwarding(None).opened([here(port, echo)]):
        client = socket.create_connection(("127.0.0.1", port), 5)
        client.sendall(b"a")
        assert client.recv(2)
    with client:
        client.settimeout(5)
        assert client.recv(10) == b""


def test_where_one_port_is_taken_none_is_listened_to(echo):
    free, taken = free_port(), echo
    with (
        pytest.raises(DevenvError) as caught,
        LoopbackForwarding(None).opened([here(free, echo), here(taken, echo)]),
    ):
        pass
    assert caught.value.exit_code == Exit.PREREQUISITE
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free), 5)


def test_only_pods_that_are_ready_answer_for_a_service(fakes):
    def endpoint(name, *, ready, kind="Pod"):
        return {"conditions": {"ready": ready}, "targetRef": {"kind": kind, "name": name}}

    endpoints = [
        endpoint("b", ready=False),
        endpoint("a", ready=True),
        endpoint("n", ready=True, kind="Node"),
    ]
    assert list(_ready_pods({"endpoints": endpoints})) == ["a"]
    assert list(_ready_pods({"endpoints": None})) == []
    with pytest.raises(NotReachableError):
        LoopbackForwarding(fakes.kube)._pod(ForwardTarget(1, "default", "none", 1))
