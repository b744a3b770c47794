"""Files and folders that appear whole, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devenv.base.errors import DevenvError


@contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """Give a folder below `parent` to work in, on the same disk as what is made in it.

    It is removed when the context ends. An OSError inside the context, such as that of a full disk,
    becomes a DevenvError.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=parent) as work:
            yield Path(work)
    except OSError as error:
        raise DevenvError(
            f"Nothing can be written below {parent}.", str(error), "Is the disk full?"
        ) from error


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file whole or not at all, for its owner alone; a text as UTF-8. Raises OSError."""
    content = text.encode() if isinstance(text, str) else text
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    # A killed process with the same number may have left one.
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
