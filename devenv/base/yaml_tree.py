"""Walks the nodes of a YAML document, before they become values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

# Keys that lead to a value; an item of a list goes by its name, else by its number.
KeyPath: TypeAlias = tuple[Any, ...]
LinesByKey: TypeAlias = dict[KeyPath, int]


def line_of(part: yaml.Event | yaml.Node) -> int:
    """Return the line on which a part begins, 1 if the parser does not know."""
    return part.start_mark.line + 1 if part.start_mark else 1


def parts(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes right inside a node: a list's items, or a map's keys and values."""
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return []


def duplicate_keys(path: Path, root: yaml.Node) -> tuple[str, ...]:
    """Return the places where a map has a key twice, each as a line of text."""
    problems: list[str] = []
    for where, mapping in _mappings(root):
        problems += _repeated_keys(path, where, mapping)
    return tuple(sorted(problems))


def _mappings(root: yaml.Node) -> Iterator[tuple[str, yaml.MappingNode]]:
    """Yield each map with the path of keys that leads to it, once even if aliases name it."""
    visited: set[int] = set()
    pending: list[tuple[str, yaml.Node]] = [("", root)]
    while pending:
        where, node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield where, node
        pending += _values_by_path(where, node)


def _values_by_path(where: str, node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the values right inside a node, each with the path of keys that leads to it."""
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield f"{where}.{item_name(item) or number}", item
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{where}.{key_name(key)}", value


def _repeated_keys(path: Path, where: str, mapping: yaml.MappingNode) -> Iterator[str]:
    """Yield the places where a map has a key again. Several merge keys are allowed."""
    first_lines: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        name, line = key_name(key), key.start_mark.line + 1
        first_line = first_lines.get((key.tag, name))
        if first_line is None:
            first_lines[key.tag, name] = line
        elif name and not key.tag.endswith(":merge"):
            full_name = f"{where}.{name}".strip(".")
            yield f"{path}:{line}: {full_name}: line {first_line} already has this key"


def scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Yield the values that are neither lists nor maps, and keys, as the text has them."""
    visited: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        pending += reversed(parts(node))


def key_name(key: yaml.Node) -> str:
    """Return a key as it is written, "" if it is a list or a map."""
    return str(key.value) if isinstance(key, yaml.ScalarNode) else ""


def item_name(item: yaml.Node) -> str:
    """Return the name of a list's item, "" if it has none."""
    if not isinstance(item, yaml.MappingNode):
        return ""
    return next((str(value.value) for key, value in item.value if key.value == "name"), "")


def note_lines(
    node: yaml.Node | None,
    where: KeyPath,
    lines: LinesByKey,
) -> None:
    """Note the lines of a node and of all inside it. The line of a map's entry is its key's."""
    if node is None:
        return
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            entry = (*where, key_name(key))
            note_lines(value, entry, lines)
            lines[entry] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            note_lines(item, (*where, item_name(item) or index), lines)
