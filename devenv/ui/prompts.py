"""Questions: only on a terminal, and each can be answered by a flag instead."""

from collections.abc import Callable, Sequence

from devenv.ui import console


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
