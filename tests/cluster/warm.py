"""Runs devenv in a new process that has all modules from the start: loading them is a third of what a command costs.

A server loads them once and forks for each command. The command then has a process, an environment and
streams of its own, and ends as any other. `python -m tests.cluster.warm SOCKET` is the server; it ends
with its standard input.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import devenv
from devenv import __main__ as devenv_main
from tests.paths import ROOT

# Those that devenv loads only when it needs them.
_LATE_MODULES = ("kubernetes.client", "kubernetes.config", "kubernetes.stream.ws_client")
_LARGEST_CALL = 1 << 20
# Seconds.
_START_TIMEOUT, _TIMEOUT = 60, 900


def run(arguments: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run devenv with these arguments, and return what it printed. Raises TimeoutError after 900 s."""
    with (
        Path(os.devnull).open("rb") as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(str(_server()))
        connection.settimeout(_TIMEOUT)
        call = json.dumps({"arguments": arguments, "env": env, "folder": str(Path.cwd())}).encode()
        streams = [stream.fileno() for stream in (stdin, stdout, stderr)]
        socket.send_fds(connection, [len(call).to_bytes(4, "big")], streams)
        connection.sendall(call)
        code = int(connection.makefile().readline())
        stdout.seek(0)
        stderr.seek(0)
        said, told = stdout.read().decode(), stderr.read().decode()
    return subprocess.CompletedProcess(["devenv", *arguments], code, said, told)


@functools.cache
def _server() -> Path:
    """Start this process's server, which ends with it, and return the socket that it listens on."""
    folder = tempfile.TemporaryDirectory(prefix="devenv-warm-")
    path = Path(folder.name) / "socket"
    argv = [sys.executable, "-m", "tests.cluster.warm", str(path)]
    server = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(folder.cleanup)
    atexit.register(_end, server)
    with server.stdout as stdout:
        ready, _, _ = select.select([stdout], [], [], _START_TIMEOUT)
        assert ready, "the server that starts devenv did not come up"
        assert stdout.readline() == "ready\n"
    return path


def _end(server: subprocess.Popen[str]) -> None:
    server.stdin.close()
    server.wait(_START_TIMEOUT)


def _load_all() -> None:
    for module in pkgutil.walk_packages(devenv.__path__, "devenv."):
        importlib.import_module(module.name)
    for name in _LATE_MODULES:
        importlib.import_module(name)
    # What is loaded is never collected: a command need not look through it.
    gc.collect()
    gc.freeze()


def _receive(connection: socket.socket) -> dict[str, object]:
    """Take the streams of a call, put them into place, and return the call."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    content = connection.makefile("rb").read(int.from_bytes(head, "big"))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return json.loads(content)


def _become(call: dict[str, object]) -> None:
    """Make this process the one that the call asks for."""
    os.environ.clear()
    os.environ.update(call["env"])
    os.chdir(call["folder"])
    sys.argv = ["devenv", *call["arguments"]]
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(0, encoding="utf-8", closefd=False),
        os.fdopen(1, "w", encoding="utf-8", closefd=False),
        os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1),
    )


def _serve_one(connection: socket.socket) -> None:
    """Run a command in a process of its own, and answer with its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call = _receive(connection)
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(call)
        # Ends this process as it ends devenv's own.
        devenv_main.main()
    _, status = os.waitpid(pid, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _serve(path: str) -> None:
    """Fork for each connection until the standard input ends."""
    # Whoever has answered need not be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _serve_one(connection)
            connection.close()


if __name__ == "__main__":
    _load_all()
    with contextlib.suppress(KeyboardInterrupt):
        _serve(sys.argv[1])
