"""Reads the files that users give: profiles, settings, manifests, facts, state.

Whatever reading or parsing raises leaves here as a DevenvError that names the file and, where there
is one, the line. Limits keep a file that is hostile, or the wrong one, from taking all time or
memory: see `Limits`.
"""

import difflib
import errno
import json
import os
import re
import select
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devenv.errors import DevenvError, Exit

_FIX = "Correct the file; nothing was changed."
# How alike two names are.
_NEAR = 0.6
# Seconds in which a program must have opened a pipe.
_PATIENCE = 3.0
# Seconds for which one that has it open may write nothing.
_LONGEST_SILENCE = 300.0
# Of a file that are told one by one.
_MOST_ERRORS = 20
_INT = re.compile(r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_SHAPES = {
    "int": re.compile(rf"^(?:{_INT.pattern})$"),
    "float": re.compile(rf"^(?:{_FLOAT.pattern})$"),
}
# An anchor; and what may be the beginning of block nodes that nest deep.
_ANCHOR = re.compile(r"(?:^|[\s\[,{:-])&\w", re.MULTILINE)
_NESTS = re.compile(r"^ {100}|^ *(?:[-?:] ){20}", re.MULTILINE)
_LONG_NUMBER = re.compile(r"[\d_]{31}")
_BRACKET = re.compile(r"[\[\]{}]")
# What the library raises, unwrapped, for a value of the wrong kind.
_STUMBLES = (ValueError, LookupError, AttributeError, TypeError)
# Of a number: more are no number that anything here can have.
_DIGITS = 30


@dataclass(frozen=True)
class Limits:
    """What a YAML file may have at most. `expanded`: nodes with every alias as its content."""

    # Bytes.
    size: int
    nodes: int
    expanded: int
    depth: int
    aliases: int


# Generous for what people write: the largest profile that comes with devenv has 2,200 nodes.
WRITTEN = Limits(size=1 << 20, nodes=40_000, expanded=80_000, depth=60, aliases=1_000)
# Manifests are generated: Envoy Gateway's definitions have 2 MB.
GENERATED = Limits(size=64 << 20, nodes=4_000_000, expanded=8_000_000, depth=200, aliases=10_000)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without numbers to the base of 60: `1:30` is a text, as Kubernetes reads it."""


class _ManifestLoader(_Loader):
    """YAML in which a date is a text, too."""


def _resolvers(loader: Any, without: str = "") -> dict[str, list[tuple[str, Any]]]:
    changed: dict[str, list[tuple[str, Any]]] = {}
    for character, pairs in loader.yaml_implicit_resolvers.items():
        kinds = ((tag, tag.rpartition(":")[2], form) for tag, form in pairs)
        resolvers = ((tag, kind, form) for tag, kind, form in kinds if kind != without)
        changed[character] = [(tag, _SHAPES.get(kind, form)) for tag, kind, form in resolvers]
    return changed


_Loader.yaml_implicit_resolvers = _resolvers(yaml.SafeLoader)
_ManifestLoader.yaml_implicit_resolvers = _resolvers(_Loader, without="timestamp")


@dataclass(frozen=True)
class Document:
    """A YAML file as it was read once. `content` is None where it is empty.

    `duplicates`: keys that a map has twice, each as a line of text with its place.
    """

    path: Path
    content: Any
    root: yaml.Node | None
    duplicates: tuple[str, ...] = ()

    @property
    def lines(self) -> dict[tuple[Any, ...], int]:
        """The line of each key path; an item of a list goes by its name, else by its number."""
        lines: dict[tuple[Any, ...], int] = {}
        _note_lines(self.root, (), lines)
        return lines


def read_text(path: Path, size: int) -> str:
    """Return a file's text. `size`: bytes that it may have at most.

    Raises FileNotFoundError, and DevenvError for all else: it can't be opened, is a folder, is
    larger, is endless, is not UTF-8.
    """
    try:
        content = _pipe_content(path, size + 1) if path.is_fifo() else _file_content(path, size + 1)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DevenvError(f"{path} can't be read.", f"{reason}.", _FIX, Exit.USAGE) from error
    if len(content) > size:
        reason = f"It has more than {size >> 20} MiB."
        raise DevenvError(
            f"{path} can't be read.", reason, "Check that this is the right file.", Exit.USAGE
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"{path}:{line}: this is not UTF-8."
        raise DevenvError(f"{path} is not UTF-8 text.", reason, _FIX, Exit.USAGE) from error


def _file_content(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _pipe_content(path: Path, size: int) -> bytes:
    """Return what is written into a pipe, of which `size` bytes at most are read.

    Raises OSError where no program has opened it, or where one writes nothing for too long.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    content, silence = b"", 0.0
    try:
        while len(content) < size:
            is_ready = bool(select.select([number], [], [], _PATIENCE)[0])
            silence = 0.0 if is_ready else silence + _PATIENCE
            try:
                chunk = os.read(number, size - len(content))
            except BlockingIOError:
                # A program has it open, and may take its time.
                if silence > _LONGEST_SILENCE:
                    raise OSError(
                        errno.ETIMEDOUT, "Nothing more was written into the pipe"
                    ) from None
                continue
            if not chunk and not is_ready:
                raise OSError(errno.ETIMEDOUT, "It is a pipe that no program writes into")
            if not chunk:
                break
            content += chunk
    finally:
        os.close(number)
    return content


def read_yaml(path: Path, limits: Limits = WRITTEN, *, lenient: bool = False) -> Document:
    """Return the only document of a YAML file. Raises as `read_text` does.

    `lenient`: duplicate keys are left to the caller to refuse, with what else is wrong; else they raise DevenvError,
    as one of two values would be lost.
    """
    text = read_text(path, limits.size)
    roots = list(_documents(path, text, limits, _Loader))
    if len(roots) > 1:
        reason = f"{path}:{roots[1].start_mark.line + 1}: a second document begins here; only one is allowed."
        raise _not_yaml(path, reason)
    root = roots[0] if roots else None
    if root is None:
        return Document(path, None, root)
    duplicates = _duplicates(path, root)
    if duplicates and not lenient:
        raise DevenvError(f"{path} has duplicate keys.", told(duplicates), _FIX, Exit.USAGE)
    return Document(path, _constructed(path, root, _Loader), root, duplicates)


def read_state(path: Path) -> Any:
    """Return what a file of devenv's own state says, as JSON. Raises as `read_text` does."""
    text = read_text(path, GENERATED.size)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise broken_state(path, f"{path}:{error.lineno}:{error.colno}: it is not JSON.") from error
    except (ValueError, RecursionError) as error:
        raise broken_state(path, f"{path}:1: it can't be read as JSON.") from error


def broken_state(path: Path, reason: str) -> DevenvError:
    """Return the error for a file of devenv's own state that something else changed."""
    return DevenvError(f"{path} is broken.", reason)


def read_manifests(path: Path) -> list[Any]:
    """Return all documents of a file of manifests. Raises as `read_yaml` does."""
    text = read_text(path, GENERATED.size)
    roots = _documents(path, text, GENERATED, _ManifestLoader, quick=_is_plain(text))
    has_long = bool(_LONG_NUMBER.search(text))
    return [_constructed(path, root, _ManifestLoader, long_numbers=has_long) for root in roots]


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that `name` may be meant for, the nearest first."""
    return difflib.get_close_matches(name, list(names), 3, _NEAR)


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the question that offers those names, "" where there is none."""
    near = nearest(name, names)
    if not near:
        return ""
    offer = " or ".join(filter(None, (", ".join(near[:-1]), near[-1])))
    return f"did you mean {offer}?"


def near_it(name: str, names: Iterable[str]) -> str:
    """Return the same question as the end of a sentence."""
    question = did_you_mean(name, names)
    return f"; {question}" if question else ""


def told(errors: Iterable[str]) -> str:
    """Return the errors of a file, one per line, each once; of very many, the first ones and a count."""
    unique_errors = list(dict.fromkeys(errors))
    omitted = len(unique_errors) - _MOST_ERRORS
    return "\n".join(
        [*unique_errors[:_MOST_ERRORS], *([f"… and {omitted} more errors"] if omitted > 0 else [])]
    )


def _is_plain(text: str) -> bool:
    """Whether a text is harmless for its size: it has no anchors, and can't nest deep.

    So megabytes of definitions need not be checked value by value.
    """
    if _ANCHOR.search(text) or _NESTS.search(text):
        return False
    opened = sum(map(text.count, "[{"))
    return opened <= GENERATED.depth or _bracket_depth(text) <= GENERATED.depth


def _bracket_depth(text: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _documents(
    path: Path,
    text: str,
    limits: Limits,
    loader: Any,
    *,
    quick: bool = False,
) -> Iterator[yaml.Node]:
    """Yield the roots of the documents, once all limits were looked at.

    `quick`: there is no need to.
    """
    try:
        if not quick:
            _refuse_large(path, text, limits, loader)
        roots = [root for root in yaml.compose_all(text, Loader=loader) if root is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise _not_yaml(path, f"{place}: {error.problem or error.context}.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise _not_yaml(path, f"{path}:{line}: a character that YAML does not allow.") from error
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise _not_yaml(path, f"{path}: {error}.") from error
    for root in roots:
        if not quick:
            _Expansion(path, limits).measure(root)
        yield root


def _refuse_large(path: Path, text: str, limits: Limits, loader: Any) -> None:
    """Raise DevenvError at the first event that is beyond a limit: nothing was built yet."""
    nodes = aliases = depth = 0
    for event in yaml.parse(text, Loader=loader):
        nodes += isinstance(event, yaml.NodeEvent)
        aliases += isinstance(event, yaml.AliasEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        for count, most, what in (
            (nodes, limits.nodes, "values"),
            (aliases, limits.aliases, "aliases"),
            (depth, limits.depth, "levels"),
        ):
            if count > most:
                line = event.start_mark.line + 1 if event.start_mark else 1
                reason = f"{path}:{line}: it has more than {most} {what}."
                raise _not_yaml(path, reason)


class _Expansion:
    """How large a document is once every alias is expanded, without expanding it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        # Node → how many nodes it stands for, and how deep they nest.
        self._measured: dict[int, tuple[int, int]] = {}
        self._within: set[int] = set()

    def measure(self, node: yaml.Node) -> tuple[int, int]:
        """Return how many nodes a node stands for, and how deep they nest.

        Raises DevenvError beyond a limit.
        """
        if id(node) in self._measured:
            return self._measured[id(node)]
        line = node.start_mark.line + 1 if node.start_mark else 1
        if id(node) in self._within:
            raise _not_yaml(self._path, f"{self._path}:{line}: this value contains itself.")
        self._within.add(id(node))
        parts = [self.measure(part) for part in _parts(node)]
        self._within.discard(id(node))
        size = 1 + sum(count for count, _ in parts)
        height = 1 + max((depth for _, depth in parts), default=0)
        for count, most, what in (
            (size, self._limits.expanded, "values"),
            (height, self._limits.depth, "levels"),
        ):
            if count > most:
                reason = f"{self._path}:{line}: its aliases stand for more than {most} {what}."
                raise _not_yaml(self._path, reason)
        self._measured[id(node)] = (size, height)
        return size, height


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _duplicates(path: Path, root: yaml.Node) -> tuple[str, ...]:
    """Return the places where a map has a key twice."""
    doubles: list[str] = []
    visited: set[int] = set()
    pending: list[tuple[yaml.Node, str]] = [(root, "")]
    while pending:
        node, where = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            pending += [(item, f"{where}.{_name(item) or number}") for number, item in items]
        if isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, Any], int] = {}
            for key, value in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
                pending.append((value, f"{where}.{name}"))
                first_line, line = lines.get((key.tag, name)), key.start_mark.line + 1
                if name and first_line and not key.tag.endswith(":merge"):
                    full_name = f"{where}.{name}".strip(".")
                    doubles.append(
                        f"{path}:{line}: {full_name}: line {first_line} already has this key"
                    )
                lines.setdefault((key.tag, name), line)
    return tuple(sorted(doubles))


def _constructed(path: Path, root: yaml.Node, loader: Any, *, long_numbers: bool = True) -> Any:
    """Return a document's content. Raises DevenvError for what YAML allows and JSON does not."""
    if long_numbers:
        _spell_long_numbers(root)
    maker = loader("")
    try:
        content = maker.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        raise _not_yaml(path, f"{place}: {error.problem or error.context}.") from error
    except (yaml.YAMLError, RecursionError, *_STUMBLES) as error:
        line = _culprit(root, loader)
        raise _not_yaml(path, f"{path}:{line}: this value can't be read.") from error
    finally:
        maker.dispose()
    return content


def _spell_long_numbers(root: yaml.Node) -> None:
    """Turn numbers with too many digits into strings: Python refuses to read the longest."""
    for node in _scalars(root):
        if node.tag.endswith(":int") and len(node.value) > _DIGITS:
            node.tag = "tag:yaml.org,2002:str"


def _culprit(root: yaml.Node, loader: Any) -> int:
    """Return the line of the first value that can't be made."""
    for node in _scalars(root):
        maker = loader("")
        try:
            maker.construct_document(node)
        except (yaml.YAMLError, *_STUMBLES):
            return int(node.start_mark.line) + 1
        finally:
            maker.dispose()
    return int(root.start_mark.line) + 1


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    visited: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        pending += reversed(_parts(node))


def _not_yaml(path: Path, reason: str) -> DevenvError:
    return DevenvError(f"{path} can't be read as YAML.", reason, _FIX, Exit.USAGE)


def _name(node: yaml.Node) -> str:
    """Return a list item's name, "" where it has none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "name"), "")


def _note_lines(
    node: yaml.Node | None,
    where: tuple[Any, ...],
    lines: dict[tuple[Any, ...], int],
) -> None:
    if node is None:
        return
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            _note_lines(value, (*where, name), lines)
            lines[(*where, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*where, _name(value) or index), lines)


def as_map(document: Document, what: str) -> Mapping[str, Any]:
    """Return a document that is a map. Raises DevenvError; `what`: what it should be."""
    if not isinstance(document.content, dict):
        reason = f"{document.path}:1: it must be a map of keys and values."
        raise DevenvError(f"{document.path} is not {what}.", reason, _FIX, Exit.USAGE)
    return document.content
