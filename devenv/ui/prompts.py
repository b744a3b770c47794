"""Questions: only on a terminal, and each can be answered by a flag instead."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from devenv.errors import DevenvError, Exit
from devenv.ui import console

T = TypeVar("T")


def choice(question: str, options: Sequence[str], default: str) -> str:
    """Return what is chosen; the default where nobody can answer."""
    if not console.interactive():
        return default
    import questionary  # noqa: PLC0415 - only where a question is asked

    return str(_answered(questionary.select(question, choices=list(options), default=default).ask()))


def text(question: str, default: str, check: Callable[[str], bool | str]) -> str:
    """Return what is typed; the default where nobody can answer. `check` returns True, or what is wrong."""
    if not console.interactive():
        return default
    import questionary  # noqa: PLC0415 - only where a question is asked

    return str(_answered(questionary.text(question, default=default, validate=check).ask()))


def is_port(answer: str) -> bool | str:
    """Whether the answer is a TCP port."""
    return (answer.isdigit() and 1 <= int(answer) <= 65535) or "a number from 1 to 65535"  # noqa: PLR2004


def _answered(answer: T | None) -> T:
    if answer is None:  # Ctrl-C
        raise KeyboardInterrupt
    return answer


def confirm_or_stop(question: str, otherwise: str, *, assume_yes: bool) -> None:
    """Return if the answer is yes. Raises DevenvError where it is no, with what it came to, or where nobody can answer."""
    if assume_yes:
        return
    if not console.interactive():
        raise DevenvError("Nobody can be asked here.", next_step="Say --yes if you mean it.", exit_code=Exit.USAGE)
    import questionary  # noqa: PLC0415 - only where a question is asked

    if not _answered(questionary.confirm(question, default=False).ask()):
        raise DevenvError(otherwise, exit_code=Exit.FAILED)


def confirmed(question: str, *, default: bool = True) -> bool:
    """Whether the answer is yes; no where nobody can answer. `default`: what Enter alone means."""
    if not console.interactive():
        return False
    import questionary  # noqa: PLC0415 - only where a question is asked

    return bool(questionary.confirm(question, default=default).ask())


def install(*, assume_yes: bool) -> Callable[[Sequence[str]], bool]:
    """Return the question whether packages may be installed. Where nobody can answer, the answer is no."""

    def ask(packages: Sequence[str]) -> bool:
        if assume_yes:
            return True
        if not console.interactive():
            return False
        import questionary  # noqa: PLC0415 - only where a question is asked

        return bool(questionary.confirm(f"Install {' '.join(packages)} with apt-get?").ask())

    return ask
