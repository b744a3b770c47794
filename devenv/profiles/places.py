"""Where a profile's errors are: the file, the line and the key of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from devenv.base.errors import DevenvError, Exit
from devenv.base.userfiles import Document, did_you_mean, told
from devenv.profiles.wording import Place, Problem, complaints, dotted

# Gives the names of a list's items in the profile that is extended.
BaseNames = Callable[[str], list[str]]
LISTS = ("images", "manifests", "patches", "components", "requests")
FIX = "Correct the file; nothing was changed."
# Keys of a path that leads into an item of a list: the list's, the item's and one more.
_IN_ITEM = 3


@dataclass(frozen=True)
class KeyLines:
    """In which line a file has each of its keys."""

    path: Path
    lines: Mapping[Place, int]

    @classmethod
    def of(cls, document: Document) -> "KeyLines":
        """Return the lines of a document."""
        return cls(document.path, document.lines)

    def depth(self, place: Place, within: Place) -> int:
        """Return how many keys of a place the file has. `within`: keys that may stand before it."""
        for length in range(len(place), 0, -1):
            start = place[:length]
            if start in self.lines or (*within, *start) in self.lines:
                return length
        return 0

    def describe(self, place: Place, problem: str) -> str:
        """Return a line of text with a problem, its file, line and key."""
        key = dotted(place) or "profile"
        line = self._line(place)
        return f"{self.path}:{line}: {key}: {problem}"

    def describe_all(self, problems: Iterable[Problem]) -> list[str]:
        """Return a line of text with each problem, as `describe` does."""
        return [self.describe(place, problem) for place, problem in problems]

    def _line(self, place: Place) -> int:
        """Return the line of the deepest key of a place that the file has, 1 if it has none."""
        for length in range(len(place), -1, -1):
            start = place[:length]
            if start in self.lines:
                return self.lines[start]
        return 1


def profile_errors(name: str, problems: Iterable[str]) -> DevenvError:
    """Return the error that names all problems, in the order of their lines."""
    reason = told(sorted(problems, key=_file_and_line))
    return DevenvError(f"The profile {name} has errors.", reason, FIX, Exit.USAGE)


def _file_and_line(problem: str) -> tuple[str, int]:
    """Return the file and the line that a problem's text begins with."""
    location = problem.partition(": ")[0]
    path, _, number = location.rpartition(":")
    if not number.isdigit():
        return path, 0
    return path, int(number)


def describe_errors(document: Document, error: ValidationError, model: type[BaseModel]) -> str:
    """Return everything that is wrong in a file that extends none, each with its line and key."""
    problems = validation_problems(error, document.content, model, lambda _: [])
    texts = KeyLines.of(document).describe_all(problems)
    return told(sorted(texts, key=_file_and_line))


def validation_problems(
    error: ValidationError, content: Any, model: type[BaseModel], base_names: BaseNames
) -> list[Problem]:
    """Return the problems that an error names; list items go by their names.

    All keys that a new item lacks are one problem: its name may be misspelt.
    """
    problems: list[Problem] = []
    missing_keys: dict[Place, list[str]] = {}
    for detail in error.errors(include_url=False):
        for numbered_place, problem in complaints(detail, model):
            place = _named_place(content, numbered_place)
            if detail["type"] == "missing" and _is_in_new_item(place, base_names):
                item, key = place[:2], dotted(place[2:])
                missing_keys.setdefault(item, []).append(key)
            else:
                problems.append((place, problem))
    for item, keys in missing_keys.items():
        part, name = map(str, item)
        problem = _new_item_problem(name, keys, base_names(part))
        problems.append((item, problem))
    return list(dict.fromkeys(problems))


def _is_in_new_item(place: Place, base_names: BaseNames) -> bool:
    """Whether a place is in a list item that the extended profile does not have."""
    if len(place) < _IN_ITEM or place[0] not in LISTS:
        return False
    part, name = place[:2]
    names = base_names(str(part))
    return isinstance(name, str) and bool(names) and name not in names


def _new_item_problem(name: str, keys: Iterable[str], names: list[str]) -> str:
    available = ", ".join(names)
    needed_keys = ", ".join(keys)
    hint = did_you_mean(name, names) or f"it has {available}"
    return f"the extended profile has no such entry; {hint} (a new entry needs {needed_keys})"


def _named_place(content: Any, place: Sequence[int | str]) -> Place:
    """Return a place with the names of list items instead of their numbers.

    The numbers are those of the merged list, which no file has.
    """
    named_place: list[int | str] = []
    for key in place:
        content = _value_at(content, key)
        name = _item_name(content) if isinstance(key, int) else None
        named_place.append(key if name is None else name)
    return tuple(named_place)


def _item_name(item: Any) -> str | None:
    """Return the name of a list's item, None if it has none."""
    name = item.get("name") if isinstance(item, Mapping) else None
    if isinstance(name, str):
        return name
    return None


def _value_at(content: Any, key: int | str) -> Any:
    """Return what the content has at a key, None for a key that is missing."""
    try:
        return content[key]
    except (LookupError, TypeError):
        return None
