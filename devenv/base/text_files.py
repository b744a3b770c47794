"""Reads text files that users give, and pipes in their place."""

import errno
import os
import select
from collections.abc import Iterator
from pathlib import Path

from devenv.base.errors import DevenvError, Exit

# What ends the error for a file that must be corrected.
FIX = "Correct the file; nothing was changed."

# Seconds in which a program must have opened a pipe.
_PIPE_PATIENCE = 3.0
# Seconds for which a program that has the pipe open may write nothing.
_LONGEST_SILENCE = 300.0


def read_text(path: Path, size: int) -> str:
    """Return the text of a file that may have `size` bytes at most.

    Raises FileNotFoundError if it does not exist. Raises DevenvError if it can't be opened, is a
    folder, is larger, never ends, or is not UTF-8.
    """
    content = _read_bytes(path, size + 1)
    if len(content) > size:
        reason = f"It has more than {size >> 20} MiB."
        fix = "Check that this is the right file."
        raise DevenvError(f"{path} can't be read.", reason, fix, Exit.USAGE)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"{path}:{line}: this is not UTF-8."
        raise DevenvError(f"{path} is not UTF-8 text.", reason, FIX, Exit.USAGE) from error


def _read_bytes(path: Path, size: int) -> bytes:
    """Return a file's first `size` bytes. Raises as `read_text` does."""
    try:
        if path.is_fifo():
            return _pipe_content(path, size)
        return _file_content(path, size)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DevenvError(f"{path} can't be read.", f"{reason}.", FIX, Exit.USAGE) from error


def _file_content(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _pipe_content(path: Path, size: int) -> bytes:
    """Return the first `size` bytes that are written into a pipe.

    Raises OSError if no program has opened it, or if one writes nothing for too long.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return b"".join(_pipe_chunks(number, size))
    finally:
        os.close(number)


def _pipe_chunks(number: int, size: int) -> Iterator[bytes]:
    """Yield what is written into an open pipe, until its writers close it."""
    remaining_bytes = size
    silence = 0.0
    while remaining_bytes > 0:
        is_ready = bool(select.select([number], [], [], _PIPE_PATIENCE)[0])
        silence = 0.0 if is_ready else silence + _PIPE_PATIENCE
        try:
            chunk = os.read(number, remaining_bytes)
        except BlockingIOError:
            # A program has the pipe open, and may take its time.
            if silence > _LONGEST_SILENCE:
                reason = "Nothing more was written into the pipe"
                raise OSError(errno.ETIMEDOUT, reason) from None
            continue
        if not chunk and not is_ready:
            raise OSError(errno.ETIMEDOUT, "It is a pipe that no program writes into")
        if not chunk:
            return
        yield chunk
        remaining_bytes -= len(chunk)
