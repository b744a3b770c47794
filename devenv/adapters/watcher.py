"""Changes of files, as the operating system reports them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

# Milliseconds until the watch is known to have begun.
_BEGIN = 200
# Milliseconds: an editor that saves several files changes them together.
_TOGETHER = 300


class FileWatcher:
    """Waits for changes."""

    def changes(self, paths: Sequence[Path]) -> Iterator[list[str]]:
        """Yield nothing once the watch has begun, then the files that changed, until interrupted.

        What changes while the caller is busy is yielded next. Raises KeyboardInterrupt on Ctrl-C.
        A file is watched through its folder, since editors put a new file in the place of the old one. What editors and
        version control keep for themselves is left out.
        """
        from watchfiles import Change, DefaultFilter, watch  # noqa: PLC0415 - only one command needs it
        from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415

        whole = [path.resolve() for path in paths]
        usual = DefaultFilter()

        def wanted(change: Change, changed: str) -> bool:
            return usual(change, changed) and any(
                Path(changed).is_relative_to(path) for path in whole
            )

        folders = {path if path.is_dir() else path.parent for path in whole}

        def look(*, polling: bool) -> Iterator[list[str]]:
            begun = False
            for changes in watch(
                *folders, debounce=_TOGETHER, raise_interrupt=True, watch_filter=wanted, rust_timeout=_BEGIN,
                yield_on_timeout=True, force_polling=polling or None,
            ):  # fmt: skip
                if changes or not begun:
                    yield sorted({path for _, path in changes})
                begun = True

        try:
            yield from look(polling=False)
        except WatchfilesRustInternalError:
            # No more watches are to be had: each kind cluster takes dozens.
            yield from look(polling=True)
