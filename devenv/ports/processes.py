"""Processes that have ended, and the lines that they write."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Completed:
    """A process that has ended."""

    # Its exit code; negative if a signal ended it, or if the code is unknown.
    code: int
    # Standard output and standard error as one.
    output: str

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than with the exit code 0."""
        return self.code != 0


# Node → how a process in it ended.
ResultsByNode = Mapping[str, Completed]
# Takes one line of a program's output, without its end.
OnLine = Callable[[str], None]
# The variables of a process's environment, by name.
Environment = Mapping[str, str]
