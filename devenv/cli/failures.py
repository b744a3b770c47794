"""What a user reads about an error that ends a command."""

import errno
import shlex

from devenv import __version__
from devenv.errors import DevenvError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_ODD_PLACES = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_REFUSALS = {*_FULL, *_ODD_PLACES, errno.EACCES, errno.EPERM, errno.EROFS}


def as_told(error: Exception, args: list[str]) -> DevenvError:
    """Return the error to report: a DevenvError as it is, a refused file as such, any other as internal."""
    if isinstance(error, DevenvError):
        return error
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        fix = "Check its owner and permissions."
        if error.errno in _FULL:
            fix = "Free some space: `devenv disk` shows what uses it."
        elif error.errno in _ODD_PLACES:
            fix = "Something else stands in its place: move that away."
        return DevenvError(
            f"{error.filename or 'A file'} can't be used.", error.strerror or str(error), fix
        )
    command = shlex.join(["devenv", "--debug", *(arg for arg in args if arg != "--debug")])
    fix = (
        f"Report it in devenv's issue tracker, and attach what `{command}` prints"
        f" and the file that `devenv doctor --save FILE` writes. This is devenv {__version__}."
    )
    return DevenvError("Internal error in devenv.", f"{type(error).__name__}: {error}", fix)
