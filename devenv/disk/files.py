"""Small files that devenv can do without: written whole or not at all, and read as nothing where they are broken."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from devenv.folders import write_private


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
