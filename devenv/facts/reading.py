"""Reads saved facts in which any value may be odd: that one is unknown, the rest counts.

What a diagnosis must not do is crash, or take for fine what it could not read. So each value that
does not fit is left out, and `Facts.unknown` says which.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from devenv.facts.anywhere import discovered
from devenv.facts.model import VERSION, Facts
from devenv.facts.shapes import OddError, shaped
from devenv.profiles.model import FOUND, Profile

# Of leaving something out and validating again.
_ROUNDS = 60
# Odd values that are named one by one.
_MOST = 40
# Of a whole number.
_DIGITS = 18
_ODD = "its value in the file makes no sense"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
# How pydantic marks an error in a key of a map.
_KEY = "[key]"
_NO_VALUE: Mapping[str, Any] = {"devenv": "", "cluster": "unknown"}


class NewerError(ValueError):
    """A newer devenv wrote the file. The text is its version, "" if unknown."""


def read(text: str) -> Facts:
    """Return the facts in the text of a file.

    Raises NewerError where a newer devenv wrote them, and ValueError where there are none.
    """
    try:
        content = json.loads(text, parse_constant=_nothing, parse_float=_float, parse_int=_int)
        content = _printable(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(content, dict) or not content.keys() & {"objects", "nodes", "profile"}:
        raise ValueError("it holds no facts")
    _refuse_newer(content)
    return _Reading(content, text).facts()


def _nothing(_: str) -> None:
    return None


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS else None


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) < float("inf") else None


def _printable(value: Any) -> Any:
    """Return the value with strings that can be encoded: JSON can hold half characters."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_printable(inner) for inner in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    return value


def _refuse_newer(content: Mapping[str, Any]) -> None:
    version = content.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise NewerError(str(content.get("devenv") or ""))


class _Reading:
    """The content of one file, from which everything odd is removed step by step."""

    def __init__(self, content: dict[str, Any], text: str) -> None:
        self._content, self._text = content, text
        self._odd: dict[str, str] = {}

    def facts(self) -> Facts:
        self._version()
        self._shape_objects()
        for _ in range(_ROUNDS):
            try:
                facts = Facts.model_validate(self._content)
            except ValidationError as error:
                self._leave_out(error)
            else:
                unknown = {**facts.unknown, **self._told()}
                return facts.model_copy(update={"unknown": unknown})
        raise ValueError("too many of its values make no sense")

    def _version(self) -> None:
        """Treat an odd version as this one, and keep what the file says is unknown."""
        unknown = self._content.get("unknown")
        if isinstance(unknown, dict):
            self._content["unknown"] = {key: _word(reason) for key, reason in unknown.items()}
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
        fitted = []
        for number, obj in enumerate(objects):
            odd_paths: list[str] = []
            try:
                fitted.append(shaped(obj, kind, odd_paths.append))
            except OddError as error:
                path = str(error)
                self._note(kind, f"object {number + 1}: {path}" if path else f"object {number + 1}")
                continue
            if odd_paths:
                meta = fitted[-1]["metadata"]
                name = "/".join(filter(None, (meta.get("namespace"), meta["name"])))
                self._note(f"{kind} {name}", ", ".join(odd_paths))
        return fitted

    def _leave_out(self, error: ValidationError) -> None:
        """Remove everything that the error names: the value, or what needs it."""
        paths: list[Sequence[int | str]] = []
        for problem in error.errors(include_url=False):
            where = problem["loc"]
            if where == ("profile",) and problem["type"] == "value_error":
                self._mend_profile()
            elif problem["type"] == "missing" and len(where) == 1:
                self._stand_in(str(where[0]))
            elif problem["type"] == "missing" and where == ("profile", where[-1]):
                self._stand_in_profile(str(where[1]))
            else:
                paths.append(where[:-1] if problem["type"] == "missing" else where)
        # The last item of a list first, so that the numbers of the others stay.
        for path in sorted(set(map(tuple, paths)), key=_order, reverse=True):
            self._delete(path)

    def _stand_in(self, key: str) -> None:
        """Give a top-level key a neutral value."""
        self._note(key)
        if key == "profile":
            self._content[key] = self._discovered()
        elif key == "taken":
            self._content[key] = self._last_time()
        else:
            self._content[key] = _NO_VALUE[key]

    def _stand_in_profile(self, key: str) -> None:
        self._note(f"profile.{key}")
        self._content["profile"][key] = self._discovered()[key]
        self._content["profile"]["base"] = FOUND

    def _discovered(self) -> dict[str, Any]:
        """Return a profile of what the objects show."""
        objects = self._content.get("objects")
        by_kind: dict[str, tuple[Any, ...]] = {}
        if isinstance(objects, dict):
            by_kind = {kind: tuple(manifests) for kind, manifests in objects.items()}
        cluster = self._content.get("cluster")
        name = cluster if isinstance(cluster, str) else "unknown"
        try:
            profile = discovered(name, by_kind)
        except (LookupError, TypeError, ValueError, AttributeError):
            profile = discovered(name, {})
        content: dict[str, Any] = profile.model_dump(mode="json", by_alias=True)
        return content

    def _last_time(self) -> float:
        """Return the latest time in the file: the facts were not taken before it."""
        return max(map(_seconds, set(_TIME.findall(self._text))), default=0.0)

    def _mend_profile(self) -> None:
        """Repair a profile whose parts don't fit each other."""
        self._note("profile")
        profile = self._content["profile"]
        names = {c["name"] for c in profile["components"]}
        for entry in (*profile["components"], *profile["manifests"]):
            entry["after"] = [name for name in entry.get("after") or () if name in names]
        if not profile["requests"]:
            profile["base"] = FOUND
        try:
            Profile.model_validate(profile)
        except ValidationError:
            self._content["profile"] = self._discovered()

    def _delete(self, path: Sequence[int | str]) -> None:
        """Take out the value at a path, as far as the content has it."""
        holder: Any = None
        node: Any = self._content
        walked: list[int | str] = []
        for key in path:
            if key == _KEY or not _has(node, key):
                break
            holder, node = node, node[key]
            walked.append(key)
        if walked:
            del holder[walked[-1]]
            self._note(".".join(map(str, walked)))

    def _note(self, what: str, reason: str = "") -> None:
        previous = self._odd.get(what)
        note = f"{_ODD}: {reason}" if reason else _ODD
        self._odd[what] = f"{previous}; {reason}" if previous and reason else note

    def _told(self) -> dict[str, str]:
        """Return what is odd, most of it by name."""
        notes = dict(list(self._odd.items())[:_MOST])
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


def _word(reason: Any) -> str:
    return reason if isinstance(reason, str) else _ODD


def _order(path: Sequence[int | str]) -> list[tuple[int, str]]:
    """Return the sort key of a path: by place in a list, by name in a map."""
    return [(key, "") if isinstance(key, int) else (-1, key) for key in path]
