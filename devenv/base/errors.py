"""What a user is told when something can't be done."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, the same in every command and every output format."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PREREQUISITE = 3
    UNKNOWN = 4
    INTERRUPTED = 130


class DevenvError(Exception):
    """What happened, why, and what to do next.

    Everything that a command refuses or fails with is one of these.
    """

    def __init__(
        self, what: str, why: str = "", next_step: str = "", exit_code: Exit = Exit.FAILED
    ) -> None:
        super().__init__(what)
        self.what, self.why, self.next_step, self.exit_code = what, why, next_step, exit_code
        # Whether the user has seen it already: a failure is printed once.
        self.told = False

    @property
    def in_one_line(self) -> str:
        """What happened and why."""
        separator = " " if self.what.endswith(".") else ": "
        reason = " ".join(self.why.split())
        return separator.join(filter(None, (self.what, reason)))

    @property
    def as_entry(self) -> str:
        """What `str` returns, without that nothing was changed: the error that lists it says so."""
        next_step = self.next_step.replace("; nothing was changed", "")
        next_step = next_step.replace("Nothing was changed.", "").strip()
        return "\n".join(filter(None, (self.what, self.why, next_step)))

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.what, self.why, self.next_step)))


class DeclinedError(DevenvError):
    """The user answered no. `what` says what was left unchanged: nothing is wrong."""


class NotReachableError(DevenvError):
    """A server (engine, API server, registry) did not answer. It may be down, or not exist."""


class UntrustedError(NotReachableError):
    """A server answered, but not with a certificate that its user trusts."""


class RefusedError(DevenvError):
    """A server answered with an error. `why` has its own words."""

    # The HTTP status.
    status = 0


class ForbiddenError(NotReachableError):
    """The server answers, but this user is not allowed to use it."""


class ElsewhereError(NotReachableError):
    """The engine does not answer, and the user chose it: by DOCKER_HOST or a Docker context."""


class LockedError(DevenvError):
    """Another process is changing the same thing."""


class NotFoundError(DevenvError):
    """The server answered that it does not have the object."""
