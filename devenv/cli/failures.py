"""What a user reads about an error that ends a command."""

import errno
import shlex

from devenv import __version__
from devenv.base.errors import DevenvError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_ODD_PLACES = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_REFUSALS = {*_FULL, *_ODD_PLACES, errno.EACCES, errno.EPERM, errno.EROFS}


def as_told(error: Exception, args: list[str]) -> DevenvError:
    """Return the error to report.

    A DevenvError stays as it is, a refused file becomes one, and any other error is internal.
    """
    if isinstance(error, DevenvError):
        return error
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        what = f"{error.filename or 'A file'} can't be used."
        return DevenvError(what, error.strerror or str(error), _remedy(error.errno))
    other_args = [arg for arg in args if arg != "--debug"]
    command = shlex.join(["devenv", "--debug", *other_args])
    fix = (
        f"Report it in devenv's issue tracker, and attach what `{command}` prints"
        f" and the file that `devenv doctor --save FILE` writes. This is devenv {__version__}."
    )
    return DevenvError("Internal error in devenv.", f"{type(error).__name__}: {error}", fix)


def _remedy(number: int) -> str:
    if number in _FULL:
        return "Free some space: `devenv disk` shows what uses it."
    if number in _ODD_PLACES:
        return "Something else is in its place: move that away."
    return "Check its owner and permissions."
