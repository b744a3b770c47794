"""Keeps a YAML file that is hostile, or the wrong one, from taking all time or memory."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devenv.base.errors import DevenvError, Exit
from devenv.base.text_files import FIX
from devenv.base.yaml_tree import line_of, parts

# An anchor, if it is not inside a text.
_ANCHOR = re.compile(r"(?:^|[\s\[,{:-])&\w", re.MULTILINE)
# What may be the beginning of block nodes that nest deeply.
_DEEP_BLOCK = re.compile(r"^ {100}|^ *(?:[-?:] ){20}", re.MULTILINE)
_BRACKET = re.compile(r"[\[\]{}]")


@dataclass(frozen=True)
class Limits:
    """What a YAML file may have at most."""

    # Bytes.
    size: int
    nodes: int
    # Nodes, once every alias is replaced by what it stands for.
    expanded: int
    depth: int
    aliases: int


# Generous for what people write: the largest profile that comes with devenv has 2,200 nodes.
WRITTEN = Limits(size=1 << 20, nodes=40_000, expanded=80_000, depth=60, aliases=1_000)
# Manifests are generated: Envoy Gateway's definitions have 2 MB.
GENERATED = Limits(size=64 << 20, nodes=4_000_000, expanded=8_000_000, depth=200, aliases=10_000)


def is_harmless(text: str) -> bool:
    """Whether a text stays small and flat as YAML: it has no anchors, and can't nest deeply.

    So megabytes of definitions need not be checked value by value.
    """
    if _ANCHOR.search(text) or _DEEP_BLOCK.search(text):
        return False
    opening_brackets = text.count("[") + text.count("{")
    return opening_brackets <= GENERATED.depth or _bracket_depth(text) <= GENERATED.depth


def _bracket_depth(text: str) -> int:
    """Return how deeply brackets nest. Those inside of texts count, too."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def refuse_large(path: Path, text: str, limits: Limits, loader: Any) -> None:
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
                line = line_of(event)
                raise not_yaml(path, f"{path}:{line}: it has more than {most} {what}.")


@dataclass(frozen=True)
class _Extent:
    """How many nodes a node stands for, itself included, and how deeply they nest."""

    size: int
    height: int


class Expansion:
    """Measures how large a document is once every alias is expanded, without expanding it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        # By the identity of the node.
        self._extents: dict[int, _Extent] = {}
        # The nodes that the one being measured is inside of.
        self._enclosing: set[int] = set()

    def measure(self, node: yaml.Node) -> _Extent:
        """Return a node's extent. Raises DevenvError if it is beyond a limit, or has no end."""
        if id(node) in self._extents:
            return self._extents[id(node)]
        if id(node) in self._enclosing:
            reason = f"{self._path}:{line_of(node)}: this value contains itself."
            raise not_yaml(self._path, reason)
        self._enclosing.add(id(node))
        size, height = 1, 1
        for part in parts(node):
            extent = self.measure(part)
            size += extent.size
            height = max(height, extent.height + 1)
        self._enclosing.discard(id(node))
        self._refuse_beyond(node, size, self._limits.expanded, "values")
        self._refuse_beyond(node, height, self._limits.depth, "levels")
        self._extents[id(node)] = _Extent(size, height)
        return self._extents[id(node)]

    def _refuse_beyond(self, node: yaml.Node, count: int, most: int, what: str) -> None:
        """Raise DevenvError if a node stands for more than a limit allows."""
        if count > most:
            place = f"{self._path}:{line_of(node)}"
            reason = f"{place}: its aliases stand for more than {most} {what}."
            raise not_yaml(self._path, reason)


def not_yaml(path: Path, reason: str) -> DevenvError:
    """Return the error for a file that is not YAML, or beyond a limit."""
    return DevenvError(f"{path} can't be read as YAML.", reason, FIX, Exit.USAGE)
