"""What Docker's library raises, as devenv's own errors."""

import contextlib
from collections.abc import Iterator

import docker
import requests

from devenv.adapters.docker.address import address, address_origin
from devenv.base.errors import (
    DevenvError,
    ElsewhereError,
    Exit,
    ForbiddenError,
    NotFoundError,
    NotReachableError,
)

# How to return to the usual engine, by the first word of `address_origin()`.
_CHOOSE_ANOTHER = {"DOCKER_HOST": "unset DOCKER_HOST", "DOCKER_CONTEXT": "unset DOCKER_CONTEXT"}


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the library's exceptions into devenv's.

    Raises NotFoundError if the engine does not have the object, DevenvError if it refuses the call,
    and NotReachableError (or the subclass that fits) if it does not answer.
    """
    try:
        yield
    except docker.errors.NotFound as error:
        raise NotFoundError(str(error.explanation or error)) from error
    except docker.errors.APIError as error:
        reason = str(error.explanation or error)
        raise DevenvError("The Docker engine refused.", reason, _remedy(reason)) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise unreachable(error) from error


def _remedy(refusal: str) -> str:
    """Return what helps against a refusal; "" if only the engine's own words can tell.

    A firewall that is reloaded drops the chains that the engine made when it started. The engine
    makes them at no other time.
    """
    if "iptables" in refusal and "No chain" in refusal:
        return (
            "Restart the Docker engine: something removed its firewall rules,"
            " and it creates them only when it starts."
        )
    return ""


def unreachable(error: Exception) -> NotReachableError:
    """Return the error for an engine that does not answer, with the step that fits its address."""
    reason = _system_message(error)
    if address().startswith("ssh://"):
        return _only_by_ssh(reason)
    if "permission denied" in reason.lower():
        return _not_allowed(reason)
    if address_origin():
        return _silent_elsewhere(reason)
    return NotReachableError(
        f"No Docker engine answers at {address()}.",
        reason,
        "Start Docker, or run `devenv setup`. DOCKER_HOST and Docker contexts are respected.",
        Exit.PREREQUISITE,
    )


def _only_by_ssh(reason: str) -> NotReachableError:
    return NotReachableError(
        f"The Docker engine at {address()} can't be used.",
        reason,
        "Use an engine on this host: devenv can't reach an engine over ssh yet.",
        Exit.PREREQUISITE,
    )


def _not_allowed(reason: str) -> NotReachableError:
    """Return the error for an engine whose socket only others may open."""
    return ForbiddenError(
        f"You are not allowed to use the Docker engine at {address()}.",
        reason,
        "Add yourself to the group docker (`sudo usermod -aG docker $USER`) and log in again.",
        Exit.PREREQUISITE,
    )


def _silent_elsewhere(reason: str) -> NotReachableError:
    """Return the error for an engine that a setting of the user leads to, and how to leave that."""
    origin = address_origin()
    way_back = _CHOOSE_ANOTHER.get(origin.split()[0], "docker context use default")
    return ElsewhereError(
        f"No Docker engine answers at {address()}.",
        f"{origin} points there. {reason}",
        f"Start that engine, or choose another: {way_back}.",
        Exit.PREREQUISITE,
    )


def _system_message(error: BaseException) -> str:
    """Return the operating system's own message, without what each library added to it.

    If no error of the system is among the causes, return the message of `error` itself.
    """
    for cause in _causes(error):
        # The errors of `requests` are OSErrors too, and quote what they wrap.
        if not isinstance(cause, OSError) or isinstance(cause, requests.RequestException):
            continue
        if str(cause):
            return f"{cause.strerror or cause}."
    return str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and every error that it came from or holds, each once."""
    visited: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        candidate = pending.pop()
        if not isinstance(candidate, BaseException) or candidate in visited:
            continue
        visited.append(candidate)
        yield candidate
        pending += [
            *candidate.args,
            getattr(candidate, "reason", None),
            candidate.__context__,
            candidate.__cause__,
        ]
