"""Where the Docker engine is, and which setting says so."""

import os
from pathlib import Path

from docker.context import ContextAPI

from devenv.base.errors import Exit, NotReachableError
from devenv.ports.processes import Environment

# Where Docker's own packages, Docker Desktop and Colima put the engine's socket.
_USUAL_SOCKETS = (
    "/var/run/docker.sock",
    "~/.docker/run/docker.sock",
    "~/.colima/default/docker.sock",
)
_DEFAULT_ADDRESS = f"unix://{_USUAL_SOCKETS[0]}"


def address() -> str:
    """Return the engine's address: DOCKER_HOST, else the Docker context's, else a usual socket.

    Of the usual sockets, the first that exists counts; if none does, Docker's default.
    """
    if host := os.environ.get("DOCKER_HOST"):
        return host
    if host := _context_host(_named_context()):
        return host
    for path in _USUAL_SOCKETS:
        socket_path = Path(path).expanduser()
        if socket_path.exists():
            return f"unix://{socket_path}"
    return _DEFAULT_ADDRESS


def address_origin() -> str:
    """Return which setting chose the engine's address; "" if devenv found it in a usual place.

    DOCKER_HOST with Docker's default address counts as a usual place.
    """
    if os.environ.get("DOCKER_HOST"):
        return "" if address() == _DEFAULT_ADDRESS else "DOCKER_HOST"
    name = _named_context()
    if not _context_host(name):
        return ""
    if name:
        return f"DOCKER_CONTEXT (the Docker context {name})"
    return "the current Docker context"


def docker_environment() -> Environment:
    """Return the variables that lead the docker program to the engine at `address()`.

    There are none if the docker program goes there without them.
    """
    if os.environ.get("DOCKER_HOST") or _context_host(_named_context()):
        return {}
    return {"DOCKER_HOST": address()}


def _named_context() -> str:
    return os.environ.get("DOCKER_CONTEXT", "")


def _context_host(name: str) -> str:
    """Return the address in the Docker context of that name; "" names the current context.

    The default context has no address: the result is "". Raises NotReachableError if there is no
    context of that name.
    """
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    # The library raises anything for a broken file, which Docker itself will report.
    except Exception:  # noqa: BLE001
        context = None
    if context is None and name:
        raise NotReachableError(
            f"The Docker context {name} does not exist.",
            "DOCKER_CONTEXT names it.",
            "List the contexts with `docker context ls`, then correct or unset DOCKER_CONTEXT.",
            Exit.PREREQUISITE,
        )
    if context is None or context.name == "default":
        return ""
    return str(context.Host or "")
