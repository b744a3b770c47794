"""Reads JSON that may have any shape. Each function raises ValueError with what is wrong."""

import json
from collections.abc import Mapping
from typing import Any

from devenv.base.json_types import JsonMap


def as_json(content: bytes, what: str) -> Any:
    """Parse JSON. `what` names the content in the error, as in the functions below."""
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is not JSON") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error


def as_list(value: Any, what: str) -> list[Any]:
    """Return the value if it is a list."""
    if not isinstance(value, list):
        # The file's content is wrong, not a type in devenv.
        raise ValueError(f"{what} is not a list")  # noqa: TRY004
    return value


def as_map(value: Any, what: str) -> JsonMap:
    """Return the value if it is a map."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is not a map of keys and values")  # noqa: TRY004 - as above
    return value


def as_text(value: Any, what: str) -> str:
    """Return the value if it is a string and not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{what} is not a string")
    return value


def list_under(key: str, content: JsonMap, where: str) -> list[Any]:
    """Return the list under a key of a map. `where` names the map in the error."""
    return as_list(content.get(key), f"{where}: {key}")


def map_under(key: str, content: JsonMap, where: str) -> JsonMap:
    """Return the map under a key of a map."""
    return as_map(content.get(key), f"{where}: {key}")


def text_under(key: str, content: JsonMap, where: str) -> str:
    """Return the string under a key of a map."""
    return as_text(content.get(key), f"{where}: {key}")
