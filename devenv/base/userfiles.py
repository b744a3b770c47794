"""Reads the files that users give: profiles, settings, manifests, facts, state.

Whatever reading or parsing raises leaves here as a DevenvError that names the file and, if there is
one, the line. Limits keep a file that is hostile, or the wrong one, from taking all time or
memory: see yaml_limits.py.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devenv.base.errors import DevenvError, Exit
from devenv.base.json_types import JsonMap
from devenv.base.text_files import FIX, read_text
from devenv.base.yaml_limits import (
    GENERATED,
    WRITTEN,
    Expansion,
    Limits,
    is_harmless,
    not_yaml,
    refuse_large,
)
from devenv.base.yaml_tree import LinesByKey, duplicate_keys, note_lines, scalars

# How alike two names must be to be taken for each other, as difflib counts, from 0 to 1.
_LEAST_SIMILARITY = 0.6
# Names that are offered at most.
_MOST_NAMES = 3
# Errors of a file that are listed; those beyond are counted.
_MOST_ERRORS = 20
_INT = re.compile(r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# How numbers are written, by the end of their YAML tag.
_NUMBER_PATTERNS = {
    "int": re.compile(rf"^(?:{_INT.pattern})$"),
    "float": re.compile(rf"^(?:{_FLOAT.pattern})$"),
}
# Digits of a number: with more, it is nothing that anything here can have.
_MOST_DIGITS = 30
_LONG_NUMBER = re.compile(rf"[\d_]{{{_MOST_DIGITS + 1}}}")
# What the library raises, unwrapped, for a value of the wrong kind.
_VALUE_ERRORS = (ValueError, LookupError, AttributeError, TypeError)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without numbers to the base of 60: `1:30` is a text, as Kubernetes reads it."""


class _ManifestLoader(_Loader):
    """YAML in which a date is a text, too."""


def _resolvers(loader: Any, without: str = "") -> dict[str, list[tuple[str, Any]]]:
    """Return a loader's resolvers with devenv's patterns of numbers, without those of one tag.

    The library keeps them by the first character of the value, as pairs of a tag and a pattern.
    """
    changed_resolvers: dict[str, list[tuple[str, Any]]] = {}
    for character, resolvers in loader.yaml_implicit_resolvers.items():
        changed_resolvers[character] = []
        for tag, pattern in resolvers:
            kind = tag.rpartition(":")[2]
            if kind != without:
                changed_pattern = _NUMBER_PATTERNS.get(kind, pattern)
                changed_resolvers[character].append((tag, changed_pattern))
    return changed_resolvers


_Loader.yaml_implicit_resolvers = _resolvers(yaml.SafeLoader)
_ManifestLoader.yaml_implicit_resolvers = _resolvers(_Loader, without="timestamp")


@dataclass(frozen=True)
class Document:
    """A YAML file as it was read once."""

    path: Path
    # None if the file is empty.
    content: Any
    root: yaml.Node | None
    # Keys that a map has twice, each as a line of text with its place.
    duplicates: tuple[str, ...] = ()

    @property
    def lines(self) -> LinesByKey:
        """The line of each key path; an item of a list goes by its name, else by its number."""
        lines: LinesByKey = {}
        note_lines(self.root, (), lines)
        return lines


def read_yaml(path: Path, limits: Limits = WRITTEN, *, lenient: bool = False) -> Document:
    """Return the only document of a YAML file. Raises as `read_text` does.

    Duplicate keys raise DevenvError too, since one of two values would be lost. With `lenient` they
    are left to the caller, who can refuse them together with other errors.
    """
    text = read_text(path, limits.size)
    roots = list(_documents(path, text, limits, _Loader))
    if len(roots) > 1:
        line = roots[1].start_mark.line + 1
        reason = f"{path}:{line}: a second document begins here; only one is allowed."
        raise not_yaml(path, reason)
    if not roots:
        return Document(path, None, None)
    root = roots[0]
    duplicates = duplicate_keys(path, root)
    if duplicates and not lenient:
        raise DevenvError(f"{path} has duplicate keys.", told(duplicates), FIX, Exit.USAGE)
    return Document(path, _construct(path, root, _Loader), root, duplicates)


def read_state(path: Path) -> Any:
    """Return what a file of devenv's own state says, as JSON. Raises as `read_text` does."""
    text = read_text(path, GENERATED.size)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise broken_state(path, f"{place}: this is not JSON.") from error
    except (ValueError, RecursionError) as error:
        raise broken_state(path, f"{path}:1: this can't be read as JSON.") from error


def broken_state(path: Path, reason: str) -> DevenvError:
    """Return the error for a file of devenv's own state that something else changed."""
    return DevenvError(f"{path} is broken.", reason)


def read_manifests(path: Path) -> list[Any]:
    """Return all documents of a file of manifests. Raises as `read_yaml` does."""
    text = read_text(path, GENERATED.size)
    roots = _documents(path, text, GENERATED, _ManifestLoader, is_harmless=is_harmless(text))
    has_long = bool(_LONG_NUMBER.search(text))
    return [_construct(path, root, _ManifestLoader, long_numbers=has_long) for root in roots]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question that offers the nearest names, "" if no name is near enough."""
    near_names = difflib.get_close_matches(name, list(names), _MOST_NAMES, _LEAST_SIMILARITY)
    if not near_names:
        return ""
    offer = near_names[-1]
    if len(near_names) > 1:
        offer = f"{', '.join(near_names[:-1])} or {offer}"
    return f"did you mean {offer}?"


def near_it(name: str, names: Iterable[str]) -> str:
    """Return the question of `did_you_mean` as the end of a sentence, "" if no name is near."""
    question = did_you_mean(name, names)
    if not question:
        return ""
    return f"; {question}"


def told(errors: Iterable[str]) -> str:
    """Return errors of a file, one a line, without duplicates.

    Of very many, the first ones are listed and the others counted.
    """
    lines = list(dict.fromkeys(errors))
    omitted = len(lines) - _MOST_ERRORS
    if omitted > 0:
        lines = [*lines[:_MOST_ERRORS], f"… and {omitted} more errors"]
    return "\n".join(lines)


def _documents(
    path: Path, text: str, limits: Limits, loader: Any, *, is_harmless: bool = False
) -> Iterator[yaml.Node]:
    """Yield the roots of the documents, each once it was seen to be within the limits.

    A harmless text need not be checked against them.
    """
    with _syntax_errors(path, text):
        if not is_harmless:
            refuse_large(path, text, limits, loader)
        roots = [root for root in yaml.compose_all(text, Loader=loader) if root is not None]
    for root in roots:
        if not is_harmless:
            Expansion(path, limits).measure(root)
        yield root


@contextmanager
def _syntax_errors(path: Path, text: str) -> Iterator[None]:
    """Turn what the library raises while it parses a text into a DevenvError with the place."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise not_yaml(path, _describe(path, error, with_column=True)) from error
    except yaml.reader.ReaderError as error:
        line = 1
        if isinstance(error.position, int):
            line += text.count("\n", 0, error.position)
        raise not_yaml(path, f"{path}:{line}: a character that YAML does not allow.") from error
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise not_yaml(path, f"{path}: {error}.") from error


def _construct(path: Path, root: yaml.Node, loader: Any, *, long_numbers: bool = True) -> Any:
    """Return a document's content. Raises DevenvError for a value that can't be read.

    `long_numbers` means that it may have numbers with too many digits.
    """
    if long_numbers:
        _turn_long_numbers_into_texts(root)
    constructor = loader("")
    try:
        return constructor.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise not_yaml(path, _describe(path, error, with_column=False)) from error
    except (yaml.YAMLError, RecursionError, *_VALUE_ERRORS) as error:
        line = _line_of_bad_value(root, loader)
        raise not_yaml(path, f"{path}:{line}: this value can't be read.") from error
    finally:
        constructor.dispose()


def _turn_long_numbers_into_texts(root: yaml.Node) -> None:
    """Spare Python numbers with too many digits: it refuses to read the longest."""
    for node in scalars(root):
        if node.tag.endswith(":int") and len(node.value) > _MOST_DIGITS:
            node.tag = "tag:yaml.org,2002:str"


def _line_of_bad_value(root: yaml.Node, loader: Any) -> int:
    """Return the line of the first value that can't be read, or of the document."""
    for node in scalars(root):
        constructor = loader("")
        try:
            constructor.construct_document(node)
        except (yaml.YAMLError, *_VALUE_ERRORS):
            return int(node.start_mark.line) + 1
        finally:
            constructor.dispose()
    return int(root.start_mark.line) + 1


def _describe(path: Path, error: yaml.MarkedYAMLError, *, with_column: bool) -> str:
    """Return what the library says of a file, with the place if it names one."""
    message = error.problem or error.context
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return f"{path}: {message}."
    place = f"{path}:{mark.line + 1}"
    if with_column:
        place += f":{mark.column + 1}"
    return f"{place}: {message}."


def as_map(document: Document, what: str) -> JsonMap:
    """Return the content of a document that must be a map.

    Raises DevenvError if it is not; `what` names what the document should be, such as "a profile".
    """
    if not isinstance(document.content, dict):
        reason = f"{document.path}:1: it must be a map of keys and values."
        raise DevenvError(f"{document.path} is not {what}.", reason, FIX, Exit.USAGE)
    return document.content
