"""Files that a user names as targets: new ones, links, devices, pipes or standard output."""

import errno
import os
import stat
import sys
from pathlib import Path

from devenv.base.atomic import write_private

_DASH = "-"
# Errors of replacing a file that can still be written in place: its folder is read-only, or the
# file is a mount point.
_IN_PLACE = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS}


def is_stdout(target: Path) -> bool:
    """Whether a name means standard output: "-", or a path to the same file, like /dev/stdout."""
    if str(target) == _DASH:
        return True
    try:
        return os.path.samestat(target.stat(), os.fstat(1))
    except OSError:
        return False


def is_file(target: Path) -> bool:
    """Whether writing would replace a file, not write into a device or a pipe."""
    return not is_stdout(target) and target.is_file()


def write(target: Path, text: str) -> None:
    """Write a text as UTF-8 to a file, a device, a pipe or standard output. Raises OSError.

    A file is written whole or not at all, for its owner alone. A link stays, and its target is
    written.
    """
    content = text.encode("utf-8", "backslashreplace")
    if is_stdout(target):
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    elif is_special(target):
        with target.open("wb", buffering=0) as file:
            _write_all(file.fileno(), content)
    else:
        _write_file(Path(os.path.realpath(target)), content)


def is_special(target: Path) -> bool:
    """Whether it is a device or a pipe, which is written into and never replaced."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _write_file(path: Path, content: bytes) -> None:
    """Write a file whole; in place if its folder allows no other file beside it."""
    try:
        write_private(path, content)
    except OSError as error:
        if not path.is_file() or error.errno not in _IN_PLACE:
            raise
        path.write_bytes(content)


def _write_all(number: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(number, view) :]
