"""Writes a new profile, for `devenv profile init`."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from devenv.base import targets
from devenv.base.errors import DevenvError
from devenv.base.json_types import JsonObject
from devenv.profiles.files import find
from devenv.profiles.load import load

# For a new profile's gateway.
_PORTS = range(8888, 8988)
# The name of a profile that is written to standard output.
_UNNAMED = "mine"


def free_port(owner: Callable[[int], str | None]) -> int:
    """Return the first port from 8888 on which no program listens; 8888 if all are taken.

    `owner`: gives the program that listens on a port, None for none.
    """
    for port in _PORTS:
        if owner(port) is None:
            return port
    return _PORTS[0]


def write_new(file: Path, folder: Path, base: str, host_port: int, node_port: int | None) -> None:
    """Write a profile that extends `base`.

    `folder`: that of devenv's own profiles. Raises DevenvError, and writes nothing, if the profile
    would not be valid.
    """
    find(base, folder)
    text = _profile_text(file, base, host_port, node_port)
    try:
        _check_text(text, file, folder)
        targets.write(file, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DevenvError(f"{file} can't be written.", reason, "Choose another path.") from error


def _profile_text(file: Path, base: str, host_port: int, node_port: int | None) -> str:
    name = file.stem
    if targets.is_stdout(file):
        name = _UNNAMED
    ports = {"host_port": host_port}
    if node_port:
        ports["node_port"] = node_port
    content: JsonObject = {"extends": base, "name": name, "gateway": ports}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _check_text(text: str, file: Path, folder: Path) -> None:
    """Raise DevenvError if the text would not be a valid profile in this place."""
    with tempfile.NamedTemporaryFile(
        "w", dir=_draft_folder(file), prefix=".", suffix=".yaml", encoding="utf-8"
    ) as draft:
        draft.write(text)
        draft.flush()
        try:
            load(draft.name, folder)
        except DevenvError as error:
            # The user knows the file, not the draft.
            error.what = error.what.replace(draft.name, str(file))
            error.why = error.why.replace(draft.name, str(file))
            raise


def _draft_folder(file: Path) -> Path | None:
    """Return the folder for a draft of a file, None for that of temporary files.

    It is the file's own if it can be written, since the profile may extend a file beside it. A
    folder that does not exist is returned, too: writing there raises the error that the user sees.
    """
    has_no_folder = targets.is_stdout(file) or targets.is_special(file)
    folder = Path() if has_no_folder else file.resolve().parent
    if os.access(folder, os.W_OK) or not folder.exists():
        return folder
    return None
