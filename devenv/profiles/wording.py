"""Words pydantic's errors about a profile or settings in plain English."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from devenv.base.userfiles import did_you_mean, near_it

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]
# A place, and what is wrong there.
Problem = tuple[Place, str]
# A JSON Schema, or a part of one.
Schema = Mapping[str, Any]
# Characters of a validator's own message that an error shows.
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


def dotted(place: Place) -> str:
    """Return the keys of a place with dots between them."""
    return ".".join(map(str, place))


class PlacedError(ValueError):
    """Errors of a value whose parts are each valid, but not together. Places are seen from it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        texts = [f"{dotted(place)}: {problem}" for place, problem in problems]
        super().__init__("; ".join(texts))
        self.problems = tuple(problems)


def complaints(error: "ErrorDetails", model: type[BaseModel]) -> list[Problem]:
    """Return the problems that an error names, with their places as seen from the whole file."""
    place = error["loc"]
    cause = _context(error).get("error")
    if isinstance(cause, PlacedError):
        return [((*place, *inner_place), problem) for inner_place, problem in cause.problems]
    return [(place, _problem(error, model))]


def _context(error: "ErrorDetails") -> Mapping[str, Any]:
    return error.get("ctx") or {}


def _problem(error: "ErrorDetails", model: type[BaseModel]) -> str:
    """Return what is wrong with a value, in words that need no knowledge of pydantic."""
    kind = error["type"]
    context = _context(error)
    if kind == "extra_forbidden":
        *place, key = error["loc"]
        return _unknown_key_problem(str(key), _keys(model, place))
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error"))[:_MOST]
    if kind in _LIMITS:
        return _limit_problem(kind, context)
    if kind in {"literal_error", "enum"}:
        expected = str(context.get("expected", "another word"))
        choices = re.findall(r"'([^']*)'", expected)
        hint = near_it(str(error.get("input")), choices)
        return f"it must be {expected}{hint}"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        form = _FORMS.get(pattern)
        return form or "it does not have the required form"
    return _WORDS.get(kind, "this value is not allowed here")


def _limit_problem(kind: str, context: Mapping[str, Any]) -> str:
    name, words = _LIMITS[kind]
    limit = context.get(name)
    if isinstance(limit, int | float):
        return f"{words} {limit:g}"
    return f"{words} {limit}"


def _unknown_key_problem(key: str, keys: Sequence[str]) -> str:
    valid_keys = ", ".join(keys)
    hint = did_you_mean(key, keys) or f"valid keys: {valid_keys}"
    return f"it is not a valid key; {hint}"


@cache
def _schema(model: type[BaseModel]) -> Schema:
    """Return a model's JSON Schema, made once: thousands of keys may be wrong in one file."""
    return model.model_json_schema(by_alias=True)


def _keys(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Return the keys that a model has at a place."""
    schema = _schema(model)
    node = schema
    for key in place:
        inner_node = _inner(node, key)
        node = _resolved(inner_node, schema)
    return list(node.get("properties", {}))


def _inner(node: Schema, key: int | str) -> Schema:
    """Return the schema of what a list or a map has at a key, an empty one if it has none."""
    if isinstance(key, int):
        return node.get("items") or {}
    properties: Mapping[str, Schema] = node.get("properties", {})
    inner = properties.get(key, node.get("additionalProperties"))
    return inner or {}


def _resolved(node: Schema, schema: Schema) -> Schema:
    """Return what a schema refers to; of several choices, the first that is not null."""
    choices: Iterable[Schema] = node.get("anyOf", [node])
    for choice in choices:
        if choice and choice.get("type") != "null":
            reference = choice.get("$ref", "")
            if not reference:
                return choice
            name = reference.rpartition("/")[2]
            definition: Schema = schema["$defs"][name]
            return definition
    return {}
