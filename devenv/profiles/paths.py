"""Makes the paths in a user's profile absolute: they are seen from the profile's folder."""

import os
from pathlib import Path
from typing import Any

from devenv.base.json_types import JsonMap, JsonObject
from devenv.profiles.headers import FILE

# Lists of a profile, and the keys of their items that hold a path.
PATH_KEYS = (
    ("images", "archive"),
    ("images", "build_in"),
    ("manifests", "path"),
    ("manifests", "kustomize"),
)


def make_paths_absolute(content: JsonObject, folder: Path, data_root: Path) -> None:
    """Change the paths in the content of a profile in `folder`.

    `data_root`: the folder of devenv's own data. A path that exists only in devenv's own manifests/
    stays as it is and is found there: `profile show` prints such paths.
    """
    for part, key in PATH_KEYS:
        for entry in _maps_in(content.get(part)):
            if _is_user_path(entry, key):
                own_path = data_root / part / entry[key]
                path = folder / _expand_user(entry[key])
                # os.path never raises; pathlib does for a name that is too long.
                if os.path.exists(path) or not os.path.exists(own_path):  # noqa: PTH110
                    entry[key] = str(path)
    for request in _maps_in(content.get("requests")):
        headers = request.get("headers")
        if isinstance(headers, dict):
            request["headers"] = {
                name: _absolute_header(value, folder) for name, value in headers.items()
            }


def _maps_in(items: Any) -> list[JsonObject]:
    if not isinstance(items, list):
        return []
    return [item for item in items if isinstance(item, dict)]


def _is_user_path(entry: JsonMap, key: str) -> bool:
    """Whether an entry has a path at the key that is seen from the profile's folder."""
    if key == "kustomize" and entry.get("from_checkout"):
        return False
    return isinstance(entry.get(key), str) and bool(entry[key])


def _absolute_header(value: Any, folder: Path) -> Any:
    """Return a header's value with an absolute path, if it refers to a file."""
    reference = FILE.search(value) if isinstance(value, str) else None
    if reference is None:
        return value
    words_before = value[: reference.start()]
    path = folder / _expand_user(reference[1])
    return f"{words_before}@{path}"


def _expand_user(path: str) -> str:
    # pathlib raises for a user that does not exist.
    return os.path.expanduser(path)  # noqa: PTH111
