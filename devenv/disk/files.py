"""Small files that devenv can do without.

They are written whole or not at all. A broken one reads as empty.
"""

import json
from contextlib import suppress
from pathlib import Path

from devenv.base.atomic import write_private
from devenv.base.json_types import JsonMap


def load(path: Path) -> JsonMap:
    """Return the stored map, an empty one if the file is missing or broken."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}


def store(path: Path, content: JsonMap) -> None:
    """Write a map. On a full disk the file stays as it was."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps(content))
