"""How much a command shows besides its result: less with --quiet, more with --verbose.

It is one choice for the whole process, and needs nothing but the standard library.
"""

from enum import Enum


class Verbosity(Enum):
    """What goes to standard error."""

    # Errors, warnings and questions.
    QUIET = "quiet"
    # Steps, too.
    NORMAL = "normal"
    # Every change of a step, and every program that is started.
    VERBOSE = "verbose"


_chosen = Verbosity.NORMAL


def choose(verbosity: Verbosity) -> None:
    """Apply a choice from now on."""
    global _chosen  # noqa: PLW0603 - there is one standard error
    _chosen = verbosity


def is_quiet() -> bool:
    """Whether only errors, warnings and questions are shown."""
    return _chosen is Verbosity.QUIET


def is_verbose() -> bool:
    """Whether everything is shown."""
    return _chosen is Verbosity.VERBOSE
