"""Questions: only on a terminal, and each can be answered by an option instead."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from devenv.base.errors import DeclinedError, DevenvError, Exit
from devenv.ui import console

T = TypeVar("T")
_LAST_PORT = 65535


def choice(question: str, options: Sequence[str], default: str) -> str:
    """Return the choice; the default without a terminal."""
    if not console.interactive():
        return default
    import questionary  # noqa: PLC0415 - only where a question is asked

    def ask() -> object:
        return questionary.select(question, choices=list(options), default=default).ask()

    return str(_answer(ask))


def text(question: str, default: str, check: Callable[[str], bool | str]) -> str:
    """Return the typed text; the default without a terminal.

    `check` returns True, or what is wrong with the text.
    """
    if not console.interactive():
        return default
    import questionary  # noqa: PLC0415 - only where a question is asked

    return str(_answer(lambda: questionary.text(question, default=default, validate=check).ask()))


def is_port(answer: str) -> bool | str:
    """Whether the answer is a TCP port; else what is wrong with it."""
    if answer.isdigit() and 1 <= int(answer) <= _LAST_PORT:
        return True
    return f"a number from 1 to {_LAST_PORT}"


def _on_stderr() -> AbstractContextManager[object]:
    """Show questions where progress is: standard output belongs to the result.

    The result may go to a file. The imports are here because only a question needs them.
    """
    from prompt_toolkit.application import create_app_session  # noqa: PLC0415
    from prompt_toolkit.output import create_output  # noqa: PLC0415

    return create_app_session(output=create_output(sys.stderr))


def _answer(ask: Callable[[], T | None]) -> T:
    """Return the answer. Raises KeyboardInterrupt if the user pressed Ctrl-C or Ctrl-D instead."""
    try:
        with _on_stderr():
            answer = ask()
    except EOFError:
        answer = None
    if answer is None:
        raise KeyboardInterrupt
    return answer


def _is_yes(question: str, *, default: bool) -> bool:
    """Ask, and return whether the answer is yes.

    Enter alone means the default; otherwise only y and yes mean yes.
    """
    choices = "[Y/n]" if default else "[y/N]"
    answer = _typed(f"{question} {choices}").lower()
    return answer in {"y", "yes"} or (default and not answer)


def _typed(question: str) -> str:
    import questionary  # noqa: PLC0415 - only where a question is asked

    return str(_answer(lambda: questionary.text(question).ask())).strip()


def refuse_unless_askable() -> None:
    """Raise DevenvError without a terminal, where no question can be answered."""
    if not console.interactive():
        what = "Confirmation needed, but this is not a terminal."
        raise DevenvError(what, "Nothing was changed.", "Pass --yes to confirm.", Exit.USAGE)


def confirm_or_stop(question: str, otherwise: str, *, assume_yes: bool) -> None:
    """Return if the answer is yes.

    Raises DeclinedError with the message `otherwise` after any other answer, and DevenvError
    without a terminal.
    """
    if assume_yes:
        return
    refuse_unless_askable()
    if not _is_yes(question, default=False):
        raise DeclinedError(otherwise, exit_code=Exit.FAILED)


def typed_or_stop(question: str, expected_answer: str, otherwise: str, *, assume_yes: bool) -> None:
    """Return if exactly this was typed. Raises what `confirm_or_stop` raises."""
    if assume_yes:
        return
    refuse_unless_askable()
    if _typed(question) != expected_answer:
        raise DeclinedError(otherwise, exit_code=Exit.FAILED)


def confirmed(question: str, *, default: bool = False) -> bool:
    """Whether the answer is yes; without a terminal, it is always no.

    `default`: what Enter alone means.
    """
    return console.interactive() and _is_yes(question, default=default)


def install(*, assume_yes: bool) -> Callable[[Sequence[str]], bool]:
    """Return the question whether packages may be installed.

    Without a terminal, the answer is no.
    """

    def ask(packages: Sequence[str]) -> bool:
        return assume_yes or confirmed(f"Install {' '.join(packages)} with apt-get?", default=True)

    return ask
