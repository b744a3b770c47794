"""Changes of files, as the operating system reports them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Milliseconds after which the watch is known to have begun.
_BEGIN = 200
# Milliseconds: what changes within them is one change, since an editor may save several files.
_TOGETHER = 300


class FileWatcher:
    """Waits for changes."""

    def changes(self, paths: Sequence[Path]) -> Iterator[list[str]]:
        """Yield an empty list once the watch has begun, then the files that changed, each time.

        It goes on until interrupted, and raises KeyboardInterrupt on Ctrl-C. What changes while the
        caller is busy is yielded next. What editors and version control keep for themselves is left
        out.
        """
        from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415 - as below

        watched_paths = [path.resolve() for path in paths]
        try:
            yield from _watch(watched_paths, polling=False)
        except WatchfilesRustInternalError:
            # The system gives no more watches: each kind cluster takes dozens.
            yield from _watch(watched_paths, polling=True)


def _watch(watched_paths: Sequence[Path], *, polling: bool) -> Iterator[list[str]]:
    """Yield the changed paths each time. The first time they may be none: the watch has begun."""
    from watchfiles import DefaultFilter, watch  # noqa: PLC0415 - only one command needs it

    is_of_interest = DefaultFilter()

    def is_watched(change: Any, changed_path: str) -> bool:
        is_below = any(Path(changed_path).is_relative_to(path) for path in watched_paths)
        return is_below and is_of_interest(change, changed_path)

    has_begun = False
    for changes in watch(
        *_folders(watched_paths),
        debounce=_TOGETHER,
        raise_interrupt=True,
        watch_filter=is_watched,
        rust_timeout=_BEGIN,
        yield_on_timeout=True,
        # None leaves the choice to the library's own environment variable.
        force_polling=polling or None,
    ):
        if changes or not has_begun:
            yield sorted({path for _, path in changes})
        has_begun = True


def _folders(paths: Sequence[Path]) -> set[Path]:
    """Return the folders to watch. That of a file, since an editor may replace the file."""
    return {path if path.is_dir() else path.parent for path in paths}
