"""What is wrong with a value of a profile or of settings, in devenv's own words."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from devenv.userfiles import did_you_mean, near_it

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]
# Characters of a value's own complaint.
_MOST = 200

# The kind of an error, as pydantic names it → what is wrong.
_WORDS = {
    "missing": "it is required",
    "string_type": "it must be a string (put it in quotes if it looks like a number or a date)",
    "string_sub_type": "it must be a string",
    "string_unicode": "it must be a string",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_parsing_size": "it must be a smaller whole number",
    "int_from_float": "it must be a whole number",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "finite_number": "it must be a number",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "tuple_type": "it must be a list",
    "list_type": "it must be a list",
    "mapping_type": "it must be a map of keys and values",
    "dict_type": "it must be a map of keys and values",
    "model_type": "it must be a map of keys and values",
    "model_attributes_type": "it must be a map of keys and values",
    "dataclass_type": "it must be a map of keys and values",
    "invalid_key": "its keys must be strings",
}
_LIMITS = {
    "greater_than": ("gt", "it must be more than"),
    "greater_than_equal": ("ge", "it must be at least"),
    "less_than": ("lt", "it must be less than"),
    "less_than_equal": ("le", "it must be at most"),
}
# The pattern that a string must match → what it means.
_FORMS = {
    r"^([0-9a-f]{64})?$": "it must be a SHA-256: 64 digits of 0-9 and a-f",
    r"^DE\d{3}$": "it must be a code of `devenv doctor`, like DE401",
    r"^(1\.25)?$": "it must be 1.25, or left out",
}


class PlacedError(ValueError):
    """Errors of a whole whose parts are each right, with their places: (key path, what)."""

    def __init__(self, problems: Sequence[tuple[Place, str]]) -> None:
        texts = [f"{'.'.join(map(str, where))}: {what}" for where, what in problems]
        super().__init__("; ".join(texts))
        self.problems = tuple(problems)


def complaints(error: "ErrorDetails", model: type[BaseModel]) -> list[tuple[Place, str]]:
    """Return the places of an error, seen from the whole, each with what is wrong there."""
    where = error["loc"]
    cause = (error.get("ctx") or {}).get("error")
    if isinstance(cause, PlacedError):
        return [((*where, *inner), what) for inner, what in cause.problems]
    return [(where, _what(error, model, cause))]


def _what(error: "ErrorDetails", model: type[BaseModel], cause: Any) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind == "extra_forbidden":
        return _no_key(str(error["loc"][-1]), _keys(model, error["loc"][:-1]))
    if kind in {"value_error", "assertion_error"}:
        return str(cause)[:_MOST]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        limit = context.get(name)
        return f"{words} {limit:g}" if isinstance(limit, int | float) else f"{words} {limit}"
    if kind in {"literal_error", "enum"}:
        expected = str(context.get("expected", "another word"))
        choices = re.findall(r"'([^']*)'", expected)
        return f"it must be {expected}{near_it(str(error.get('input')), choices)}"
    if kind == "string_pattern_mismatch":
        form = _FORMS.get(str(context.get("pattern")))
        return form or "it does not have the required form"
    return _WORDS.get(kind, "this value is not allowed here")


def _no_key(key: str, keys: Sequence[str]) -> str:
    hint = did_you_mean(key, keys) or f"valid keys: {', '.join(keys)}"
    return f"there is no such key; {hint}"


_SCHEMAS: dict[type[BaseModel], Mapping[str, Any]] = {}


def _keys(model: type[BaseModel], where: Sequence[int | str]) -> list[str]:
    """Return the keys that a model has at a place."""
    # Thousands of keys may be wrong in one file.
    if model not in _SCHEMAS:
        _SCHEMAS[model] = model.model_json_schema(by_alias=True)
    schema = _SCHEMAS[model]
    node: Any = schema
    for key in where:
        node = _inner(node, key)
        choices = (node or {}).get("anyOf", [node])
        node = next((n for n in choices if n and n.get("type") != "null"), {})
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node.get("properties", {}))


def _inner(node: Mapping[str, Any], key: int | str) -> Any:
    if isinstance(key, int):
        return node.get("items")
    return node.get("properties", {}).get(key, node.get("additionalProperties"))
