"""The archive of a bug report: a .tar.gz that only its owner may read."""

import io
import os
import tarfile
import time
from contextlib import suppress
from pathlib import Path

from devenv.base import targets
from devenv.base.errors import DevenvError, Exit
from devenv.workstation.bugreport import Collected

_ENDING = ".tar.gz"
# The file that lists the others, and what is missing.
CONTENTS = "contents.json"


def default_path(cluster: str, moment: float) -> Path:
    """Return the archive's path in the current folder. `moment`: in seconds since 1970."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    return Path(f"devenv-bugreport-{cluster}-{stamp}{_ENDING}")


def refuse_existing(path: Path) -> None:
    """Raise DevenvError if there is anything at the path, or if its folder is missing.

    Standard output is taken, too: the archive's name goes there.
    """
    if targets.is_stdout(path):
        what = "The archive can't go to standard output, where its name goes."
        raise DevenvError(what, next_step="Give a path with --to.", exit_code=Exit.USAGE)
    if os.path.lexists(path):
        raise _existing(path)
    if not path.parent.is_dir():
        why = f"{path.parent} is not a folder."
        raise DevenvError(f"{path} can't be written.", why, "Give another path.", Exit.USAGE)


def write(collected: Collected, contents: str, path: Path) -> int:
    """Write the archive for its owner alone, and return its size in bytes.

    `contents` is the text of the file that lists the others. Raises DevenvError if the path is
    taken or can't be written; then nothing is left there.
    """
    content = _packed(collected, contents, path.name.removesuffix(_ENDING))
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise _existing(path) from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise
    return len(content)


def _packed(collected: Collected, contents: str, folder: str) -> bytes:
    """Return the archive. All its files are in one folder, which is named like it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in sorted({**collected.texts, CONTENTS: contents}.items()):
            content = text.encode("utf-8", "backslashreplace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(collected.time)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _existing(path: Path) -> DevenvError:
    what = f"{path} already exists."
    return DevenvError(what, next_step="Give another path with --to.", exit_code=Exit.USAGE)


def _unwritable(path: Path, error: OSError) -> DevenvError:
    reason = error.strerror or str(error)
    return DevenvError(f"{path} can't be written.", reason, "Give another path with --to.")
