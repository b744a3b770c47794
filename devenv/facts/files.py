"""Facts in files. They are redacted when they are collected, so that a file gives the same diagnosis as the cluster did."""

import getpass
import json
import os
from collections.abc import Iterable
from pathlib import Path

from devenv import __version__
from devenv.errors import DevenvError, Exit
from devenv.facts import reading
from devenv.facts.model import Facts, dump, parse
from devenv.facts.redact import redacted
from devenv.targets import write as write_target
from devenv.userfiles import read_text

_FIX = "Write a facts file with `devenv doctor --save FILE`."
# Bytes of a file: a cluster of thousands of objects has some ten MiB.
_LARGEST = 256 << 20


def clean(facts: Facts, secrets: Iterable[str] = ()) -> Facts:
    """Return the facts as a file would have them. `secrets`: texts that go wherever they stand."""
    whole = json.loads(dump(facts))
    for part, key in (
        ("images", "build_in"),
        ("images", "archive"),
        ("manifests", "kustomize"),
        ("manifests", "path"),
    ):
        for entry in whole["profile"][part]:
            entry[key] = _short(entry[key])
    return parse(json.dumps(redacted(whole, str(Path.home()), _users(), secrets)))


def _short(path: str) -> str:
    """Where somebody keeps his source is nobody's business: of a path of his machine, its end."""
    return "/".join(("…", *Path(path).parts[-2:])) if path.startswith("/") else path


def _users() -> list[str]:
    """Whoever runs this, and whoever became root for it."""
    try:
        return [getpass.getuser(), os.environ.get("SUDO_USER", "")]
    except (KeyError, OSError):
        # A user without a name.
        return [os.environ.get("SUDO_USER", "")]


def write(facts: Facts, target: Path) -> None:
    """Write a file that only its owner may read. Raises DevenvError where that can't be."""
    write_text(dump(facts), target)


def write_text(text: str, target: Path) -> None:
    """Write what was made of facts as `write` does facts."""
    try:
        write_target(target, text)
    except OSError as error:
        raise DevenvError(
            f"{target} can't be written.", error.strerror or str(error), "Give another path."
        ) from error


def read(source: Path) -> Facts:
    """Return the facts in a file. Raises DevenvError where there are none.

    A value that makes no sense is unknown: `Facts.unknown` names it.
    """
    try:
        text = read_text(source, _LARGEST)
    except FileNotFoundError as error:
        fix = "A healthy `devenv up` keeps one as good; `devenv doctor --save FILE` writes one."
        raise DevenvError(f"There is no look at {source}.", "", fix, Exit.USAGE) from error
    try:
        return reading.read(text)
    except reading.NewerError as error:
        what = f"A newer devenv{f' ({error})' if str(error) else ''} saved {source}."
        reason = f"This is devenv {__version__}, which can't read that format."
        raise DevenvError(
            what, reason, "Use that version of devenv, or a newer one.", Exit.USAGE
        ) from error
    except json.JSONDecodeError as error:
        where = f"{source}:{error.lineno}:{error.colno}: {error.msg}."
        raise DevenvError(
            f"{source} has no facts: it is not JSON.", where, _FIX, Exit.USAGE
        ) from error
    except ValueError as error:
        what = f"{source} has no facts that devenv can read: {error}."
        raise DevenvError(what, "", _FIX, Exit.USAGE) from error
