"""Changes of files, as the operating system reports them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

_TOGETHER = 300  # milliseconds: an editor that saves several files changes them together


class FileWatcher:
    """Waits for changes."""

    def changes(self, paths: Sequence[Path]) -> Iterator[list[str]]:
        """Yield the files that changed, until interrupted. Raises KeyboardInterrupt on Ctrl-C."""
        from watchfiles import watch  # noqa: PLC0415 - only one command needs it

        for changed in watch(*paths, debounce=_TOGETHER, raise_interrupt=True):
            yield sorted({path for _, path in changed})
