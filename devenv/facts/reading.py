"""Reads saved facts in which any value may be odd: an odd value is unknown, and the rest counts.

A diagnosis must neither crash nor take for fine what it could not read. So each value that does not
fit is left out, and `Facts.unknown` names it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import ValidationError

from devenv.facts.anywhere import discovered
from devenv.facts.model import VERSION, Facts
from devenv.facts.objects import full_name
from devenv.facts.shapes import OddError, shaped
from devenv.profiles.model import FOUND, Profile

# Times that the facts are validated; after each, what does not fit is left out.
_ROUNDS = 60
# Odd values that are named one by one.
_NAMED = 40
# Digits that a whole number may have.
_DIGITS = 18
_ODD = "its value in the file makes no sense"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
# How pydantic marks an error in a key of a map.
_KEY = "[key]"
_DEFAULTS: Mapping[str, Any] = {"devenv": "", "cluster": "unknown"}
# The place of a value in the file.
_Path = Sequence[int | str]


class NewerError(ValueError):
    """A newer devenv wrote the file. The text is its version, "" if unknown."""


def read(text: str) -> Facts:
    """Return the facts in the text of a file.

    Raises NewerError if a newer devenv wrote them, and ValueError if the text holds none.
    """
    try:
        content = json.loads(text, parse_constant=_no_number, parse_float=_float, parse_int=_int)
        content = _printable(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict) or not content.keys() & {"objects", "nodes", "profile"}:
        raise ValueError("it holds no facts")
    _refuse_newer(content)
    return _Reading(content, text).facts()


def _no_number(_: str) -> None:
    """Take NaN and the infinities, which JSON does not have, for null."""
    return


def _int(digits: str) -> int | None:
    if len(digits) > _DIGITS:
        return None
    return int(digits)


def _float(digits: str) -> float | None:
    number = float(digits)
    if math.isinf(number):
        return None
    return number


def _printable(value: Any) -> Any:
    """Return the value with strings that can be encoded: JSON can hold half characters."""
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_printable(inner) for inner in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    return value


def _refuse_newer(content: Mapping[str, Any]) -> None:
    version = content.get("version")
    # For Python, a truth value is an int too.
    if not isinstance(version, int) or isinstance(version, bool):
        return
    if version > VERSION:
        raise NewerError(str(content.get("devenv") or ""))


class _Reading:
    """The content of one file, from which everything odd is removed step by step."""

    def __init__(self, content: dict[str, Any], text: str) -> None:
        self._content, self._text = content, text
        self._odd: dict[str, str] = {}

    def facts(self) -> Facts:
        self._correct_version()
        self._shape_objects()
        for _ in range(_ROUNDS):
            try:
                facts = Facts.model_validate(self._content)
            except ValidationError as error:
                self._leave_out(error)
            else:
                unknown = {**facts.unknown, **self._notes()}
                return facts.model_copy(update={"unknown": unknown})
        raise ValueError("too many of its values make no sense")

    def _correct_version(self) -> None:
        """Treat an odd version as this one, and keep what the file says is unknown."""
        unknown = self._content.get("unknown")
        if isinstance(unknown, dict):
            self._content["unknown"] = {key: _as_reason(value) for key, value in unknown.items()}
        if self._content.get("version") != VERSION or isinstance(self._content["version"], bool):
            self._content["version"] = VERSION
            self._note("version")

    def _shape_objects(self) -> None:
        by_kind = self._content.get("objects")
        if not isinstance(by_kind, dict):
            return
        for kind, objects in list(by_kind.items()):
            if isinstance(objects, list):
                by_kind[kind] = self._shaped(kind, objects)
            else:
                del by_kind[kind]
                self._note(kind)

    def _shaped(self, kind: str, objects: list[Any]) -> list[Any]:
        shaped_objects: list[Any] = []
        for number, obj in enumerate(objects, 1):
            odd_paths: list[str] = []
            try:
                shaped_object = shaped(obj, kind, odd_paths.append)
            except OddError as error:
                path = str(error)
                self._note(kind, f"object {number}: {path}" if path else f"object {number}")
                continue
            shaped_objects.append(shaped_object)
            if odd_paths:
                self._note(f"{kind} {full_name(shaped_object)}", ", ".join(odd_paths))
        return shaped_objects

    def _leave_out(self, error: ValidationError) -> None:
        """Remove every value that the error names, or what needs it. Some get a default instead."""
        paths: set[tuple[int | str, ...]] = set()
        for problem in error.errors(include_url=False):
            path = problem["loc"]
            is_missing = problem["type"] == "missing"
            if path == ("profile",) and problem["type"] == "value_error":
                self._repair_profile()
            elif is_missing and len(path) == 1:
                self._add_default(str(path[0]))
            elif is_missing and path == ("profile", path[-1]):
                self._add_profile_default(str(path[1]))
            elif is_missing:
                paths.add(path[:-1])
            else:
                paths.add(path)
        # The last item of a list goes first, so that the numbers of the others stay.
        for path in sorted(paths, key=_order, reverse=True):
            self._delete(path)

    def _add_default(self, key: str) -> None:
        """Give a top-level key a neutral value."""
        self._note(key)
        if key == "profile":
            self._content[key] = self._discovered()
        elif key == "taken":
            self._content[key] = self._last_time()
        else:
            self._content[key] = _DEFAULTS[key]

    def _add_profile_default(self, key: str) -> None:
        self._note(f"profile.{key}")
        self._content["profile"][key] = self._discovered()[key]
        self._content["profile"]["base"] = FOUND

    def _discovered(self) -> dict[str, Any]:
        """Return a profile of what the objects show."""
        objects = self._content.get("objects")
        by_kind: dict[str, tuple[Any, ...]] = {}
        if isinstance(objects, dict):
            by_kind = {kind: tuple(manifests) for kind, manifests in objects.items()}
        name = self._content.get("cluster")
        if not isinstance(name, str):
            name = "unknown"
        try:
            profile = discovered(name, by_kind)
        except (LookupError, TypeError, ValueError, AttributeError):
            profile = discovered(name, {})
        content: dict[str, Any] = profile.model_dump(mode="json", by_alias=True)
        return content

    def _last_time(self) -> float:
        """Return the latest time in the file: the facts were not taken before it."""
        return max(map(_seconds, set(_TIME.findall(self._text))), default=0.0)

    def _repair_profile(self) -> None:
        """Repair a profile whose parts don't fit each other."""
        self._note("profile")
        profile = self._content["profile"]
        names = {component["name"] for component in profile["components"]}
        for entry in (*profile["components"], *profile["manifests"]):
            dependencies = entry.get("after") or ()
            entry["after"] = [name for name in dependencies if name in names]
        if not profile["requests"]:
            profile["base"] = FOUND
        try:
            Profile.model_validate(profile)
        except ValidationError:
            self._content["profile"] = self._discovered()

    def _delete(self, path: _Path) -> None:
        """Remove the value at a path, or the part of the content that its path leads to."""
        parent: Any = None
        node: Any = self._content
        walked: list[int | str] = []
        for key in path:
            if key == _KEY or not _has(node, key):
                break
            parent, node = node, node[key]
            walked.append(key)
        if walked:
            del parent[walked[-1]]
            self._note(".".join(map(str, walked)))

    def _note(self, what: str, reason: str = "") -> None:
        """Note that something is odd. Reasons for the same thing are joined."""
        previous = self._odd.get(what)
        if not reason:
            self._odd[what] = _ODD
        elif previous:
            self._odd[what] = f"{previous}; {reason}"
        else:
            self._odd[what] = f"{_ODD}: {reason}"

    def _notes(self) -> dict[str, str]:
        """Return what is odd, the first ones by name."""
        notes = dict(islice(self._odd.items(), _NAMED))
        omitted = len(self._odd) - len(notes)
        if omitted:
            notes["the rest of the file"] = f"{omitted} more values make no sense"
        return notes


def _has(node: Any, key: int | str) -> bool:
    if isinstance(node, list):
        return isinstance(key, int) and key < len(node)
    return isinstance(node, dict) and key in node


def _seconds(text: str) -> float:
    try:
        return max(0.0, datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0.0


def _as_reason(value: Any) -> str:
    if isinstance(value, str):
        return value
    return _ODD


def _order(path: _Path) -> list[tuple[int, str]]:
    """Return the sort key of a path: by place in a list, by name in a map."""
    return list(map(_key_order, path))


def _key_order(key: int | str) -> tuple[int, str]:
    if isinstance(key, int):
        return key, ""
    return -1, key
