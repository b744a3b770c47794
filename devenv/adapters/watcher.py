"""Changes of files, as the operating system reports them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

_TOGETHER = 300  # milliseconds: an editor that saves several files changes them together


class FileWatcher:
    """Waits for changes."""

    def changes(self, paths: Sequence[Path]) -> Iterator[list[str]]:
        """Yield the files that changed, until interrupted. Raises KeyboardInterrupt on Ctrl-C.

        A file is watched through its folder, since editors put a new file in the place of the old one. What editors and
        version control keep for themselves is left out.
        """
        from watchfiles import Change, DefaultFilter, watch  # noqa: PLC0415 - only one command needs it

        whole = [path.resolve() for path in paths]
        usual = DefaultFilter()

        def wanted(change: Change, changed: str) -> bool:
            return usual(change, changed) and any(Path(changed).is_relative_to(path) for path in whole)

        folders = {path if path.is_dir() else path.parent for path in whole}
        for found in watch(*folders, debounce=_TOGETHER, raise_interrupt=True, watch_filter=wanted):
            yield sorted({path for _, path in found})
