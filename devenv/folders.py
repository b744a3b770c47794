"""Folders to work in: what is made there appears whole, or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devenv.errors import DevenvError


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Give a folder to work in, beside what is made in it; it is gone afterwards. Raises DevenvError where a disk is full."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=parent) as work:
            yield Path(work)
    except OSError as error:
        raise DevenvError(f"Nothing can be written below {parent}.", str(error), "Is the disk full?") from error
