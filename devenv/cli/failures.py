"""What a user, or a script, reads about an error that ends a command."""

import errno
import os
import re
from collections.abc import Sequence
from itertools import pairwise, takewhile

import click

from devenv import __version__
from devenv.base.errors import DevenvError, Exit
from devenv.ui import verbosity

_FULL = {errno.ENOSPC, errno.EDQUOT}
_ODD_PLACES = {errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
_REFUSALS = {*_FULL, *_ODD_PLACES, errno.EACCES, errno.EPERM, errno.EROFS}


# -o, also after other short options in the same word; JSON is the next word, or the rest of this.
_OUTPUT = re.compile(r"-[a-zA-Z]*o|--output")
_JSON_OUTPUT = re.compile(r"-[a-zA-Z]*ojson|--output=json")
# The cluster's name is the next word, or the rest of this one.
_NAME, _NAME_IS = {"-n", "--name"}, "--name="
# What comes before another program's arguments.
_OTHER_PROGRAM = ("--", "kubectl")
# Set by the shell's script while it asks for completions.
_COMPLETION = "_DEVENV_COMPLETE"
# Seconds: from which on a command's total is worth a line; and of a minute.
_LONG, _MINUTE = 2, 60
_INTERRUPTED = "Interrupted."
_CONTINUE = "Run the same command again to continue."


def tell(error: BaseException, args: Sequence[str]) -> int:
    """Show an error in the form that the arguments ask for, and return its exit code.

    With `-o json`, it is one line on standard output. In place of a result, that may be all that a
    script reads, so it is printed even if the user has seen the error as text.
    """
    if _COMPLETION in os.environ:
        # Somebody is typing: anything on the screen would be in the way.
        return Exit.FAILED
    if wants_json(args):
        told = as_told(error, args)
        from devenv.ui import errors

        errors.print_error_as_json(told)
        return told.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return Exit.USAGE
    if isinstance(error, click.Abort | KeyboardInterrupt):
        click.echo(f"\n{_INTERRUPTED} {_CONTINUE}", err=True)
        return Exit.INTERRUPTED
    told = as_told(error, args)
    from devenv.ui import errors

    errors.error(told)
    return told.exit_code


def tell_total(seconds: float, code: int) -> None:
    """Say on standard error how long a command took, if it took over 2 s."""
    if seconds <= _LONG or verbosity.is_quiet() or _COMPLETION in os.environ:
        return
    verb = "Done" if code == Exit.OK else "Ended"
    from devenv.ui import console, marks

    console.progress().print(marks.dim(f"{verb} after {_duration(seconds)}."))


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    return f"{minutes} min {rest} s"


def wants_json(args: Sequence[str]) -> bool:
    """Whether the arguments ask for JSON. click can't tell of those that it refuses.

    Those after `--`, and those of `devenv kubectl`, are another program's.
    """
    own_args = list(takewhile(lambda arg: arg not in _OTHER_PROGRAM, args))
    words = [word for word in own_args if _JSON_OUTPUT.fullmatch(word)]
    pairs = [pair for pair in pairwise(own_args) if _OUTPUT.fullmatch(pair[0])]
    return bool(words) or any(value == "json" for _, value in pairs)


def as_told(error: BaseException, args: Sequence[str]) -> DevenvError:
    """Return the error to report.

    A DevenvError stays as it is; wrong usage, an interrupt and a refused file become one; any other
    error is internal.
    """
    if isinstance(error, DevenvError):
        return error
    if isinstance(error, click.ClickException):
        return _wrong_usage(error)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return DevenvError(_INTERRUPTED, next_step=_CONTINUE, exit_code=Exit.INTERRUPTED)
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        what = f"{error.filename or 'A file'} can't be used."
        return DevenvError(what, error.strerror or str(error), _remedy(error.errno))
    import shlex

    other_args = [arg for arg in args if arg != "--debug"]
    command = shlex.join(["devenv", "--debug", *other_args])
    report = shlex.join(["devenv", *_chosen_cluster(args), "bugreport"])
    fix = (
        f"Report it in devenv's issue tracker, and attach what `{command}` prints"
        f" and the file that `{report}` writes. This is devenv {__version__}."
    )
    return DevenvError("Internal error in devenv.", f"{type(error).__name__}: {error}", fix)


def _chosen_cluster(args: Sequence[str]) -> list[str]:
    """Return the option that names the cluster, so that a report is of the same one."""
    own_args = list(takewhile(lambda arg: arg not in _OTHER_PROGRAM, args))
    for option, value in pairwise([*own_args, ""]):
        if option in _NAME:
            return ["-n", value]
        if option.startswith(_NAME_IS):
            return [option]
    return []


def _wrong_usage(error: click.ClickException) -> DevenvError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "devenv"
    next_step = f"`{path} --help` shows how it is called."
    return DevenvError(error.format_message(), next_step=next_step, exit_code=Exit.USAGE)


def _remedy(number: int) -> str:
    if number in _FULL:
        return "Free some space: `devenv disk` shows what uses it."
    if number in _ODD_PLACES:
        return "Something else is in its place: move that away."
    return "Check its owner and permissions."
