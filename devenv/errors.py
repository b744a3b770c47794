"""What a user is told when something cannot be done."""

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
    """What happened, why, and what to do next. Everything that a command refuses or fails with is one of these."""

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
        return separator.join(filter(None, (self.what, " ".join(self.why.split()))))

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.why, self.next_step) if part)


class NotReachableError(DevenvError):
    """A server (engine, API server, registry) did not answer: it may be there and down, or not there."""


class ForbiddenError(NotReachableError):
    """The server answers, but this user is not allowed to use it."""


class ElsewhereError(NotReachableError):
    """The engine does not answer, and the user chose it: by DOCKER_HOST or a Docker context."""


class LockedError(DevenvError):
    """Somebody else is changing the same thing."""


class NotFoundError(DevenvError):
    """The server answered that it has no such thing."""
