"""Writes facts to files, and reads them.

Facts are redacted when they are collected, so that a file gives the same diagnosis as the cluster
did.
"""

import getpass
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from devenv import __version__
from devenv.base.errors import DevenvError, Exit
from devenv.base.targets import write as write_target
from devenv.base.text_files import read_text
from devenv.facts import reading
from devenv.facts.model import Facts, dump, parse
from devenv.facts.redact import redacted, redacted_text

_FIX = "Write a facts file with `devenv doctor --save FILE`."
# Bytes. Facts of a cluster with thousands of objects take some ten MiB.
_LARGEST = 256 << 20
# Keys of a profile's entries that hold paths of the user's machine.
_PATHS = (
    ("images", "build_in"),
    ("images", "archive"),
    ("manifests", "kustomize"),
    ("manifests", "path"),
)


def clean(facts: Facts, secrets: Iterable[str] = ()) -> Facts:
    """Return the facts without private texts. `secrets` are removed wherever they stand."""
    content = json.loads(dump(facts))
    for part, key in _PATHS:
        for entry in content["profile"][part]:
            entry[key] = _shortened(entry[key])
    home = str(Path.home())
    redacted_content = redacted(content, home, _users(), secrets)
    return parse(json.dumps(redacted_content))


def clean_document(content: Any, secrets: Iterable[str] = ()) -> Any:
    """Return a JSON value other than facts without private texts. All of it is free text."""
    # Below this key, texts are free.
    facts = {"text": content}
    return redacted(facts, str(Path.home()), _users(), secrets)["text"]


def clean_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text of a file, such as a log, without private texts."""
    return redacted_text(text, str(Path.home()), _users(), secrets)


def _shortened(path: str) -> str:
    """Return the end of an absolute path: where users keep their source code is private."""
    if not path.startswith("/"):
        return path
    return "/".join(("…", *Path(path).parts[-2:]))


def _users() -> list[str]:
    """Return the user who runs this, and the one who became root for it by `sudo`."""
    original_user = os.environ.get("SUDO_USER", "")
    try:
        return [getpass.getuser(), original_user]
    except (KeyError, OSError):
        # The user has no name.
        return [original_user]


def write(facts: Facts, target: Path) -> None:
    """Write a facts file that only its owner may read. Raises DevenvError if that fails."""
    write_text(dump(facts), target)


def write_text(text: str, target: Path) -> None:
    """Write a text that was made from facts, as `write` writes facts."""
    try:
        write_target(target, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DevenvError(f"{target} can't be written.", reason, "Give another path.") from error


def read(source: Path) -> Facts:
    """Return the facts in a file. Raises DevenvError if it has none.

    A value that makes no sense is unknown: `Facts.unknown` names it.
    """
    text = _text_of(source)
    try:
        return reading.read(text)
    except reading.NewerError as error:
        version = f" ({error})" if str(error) else ""
        raise DevenvError(
            what=f"A newer devenv{version} saved {source}.",
            why=f"This is devenv {__version__}, which can't read that format.",
            next_step="Use that version of devenv, or a newer one.",
            exit_code=Exit.USAGE,
        ) from error
    except json.JSONDecodeError as error:
        raise DevenvError(
            what=f"{source} is not a facts file, because it is not JSON.",
            why=f"{source}:{error.lineno}:{error.colno}: {error.msg}.",
            next_step=_FIX,
            exit_code=Exit.USAGE,
        ) from error
    except ValueError as error:
        raise DevenvError(
            what=f"{source} is not a facts file that devenv can read: {error}.",
            next_step=_FIX,
            exit_code=Exit.USAGE,
        ) from error


def _text_of(source: Path) -> str:
    try:
        return read_text(source, _LARGEST)
    except FileNotFoundError as error:
        raise DevenvError(
            what=f"The facts file {source} does not exist.",
            next_step=f"{_FIX} Each healthy `devenv up` saves its facts as the good ones.",
            exit_code=Exit.USAGE,
        ) from error
