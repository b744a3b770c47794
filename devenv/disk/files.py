"""Small files that devenv can do without: written whole or not at all, and read as nothing where they are broken."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def load(path: Path) -> Mapping[str, Any]:
    """Return what was stored; nothing where there is nothing that can be read."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}


def store(path: Path, content: Mapping[str, Any]) -> None:
    """Keep a map. On a full disk what was there stays as it was."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps(content))


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner alone. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
