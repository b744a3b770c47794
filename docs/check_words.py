"""Prints what a doctor check and its test are written with: `python docs/check_words.py [WORD]`.

These are the records with their fields, and the functions with their signatures and the first line
of their docstrings. With WORD, only those entries that contain it, in any case. If WORD is a kind,
such as Deployment, one of its objects, too, as facts have it, and which fields facts keep.
"""

import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from devenv.facts import trim
from devenv.facts.collect import BARE, KINDS
from devenv.facts.model import WORKLOADS
from devenv.facts.revisions import KEEPERS

ROOT = Path(__file__).parents[1]
FILES = (
    # Facts
    "devenv/facts/model.py",
    "devenv/facts/live.py",
    "devenv/facts/collect.py",
    "devenv/ports/host.py",
    # Questions about facts
    "devenv/diagnosis/read.py",
    "devenv/diagnosis/manifests.py",
    "devenv/diagnosis/workloads.py",
    "devenv/diagnosis/containers.py",
    "devenv/diagnosis/served_models.py",
    "devenv/diagnosis/roles.py",
    "devenv/diagnosis/log_lines.py",
    "devenv/diagnosis/times.py",
    "devenv/facts/objects.py",
    "devenv/facts/labels.py",
    "devenv/base/image_names.py",
    # Findings
    "devenv/diagnosis/model.py",
    "devenv/diagnosis/keys.py",
    "devenv/diagnosis/commands.py",
    # Tests
    "tests/unit/diagnosis/facts_builder.py",
    "tests/unit/diagnosis/covers.py",
    "tests/unit/diagnosis/spelled.py",
)
_INDENT = "    "
ALL = "all"
_WEBHOOKS = {"webhooks": ", ".join((*trim.WEBHOOK, "clientConfig"))}
# Kind → what facts keep of it beside metadata, spec and status.
_KEPT_BESIDE = {
    "ConfigMap": {"": f"keys (of {trim.CONFIG} also data)"},
    "Event": {"": ", ".join(trim.EVENT)},
    "EndpointSlice": {"endpoints": ", ".join(trim.ENDPOINT)},
    "MutatingWebhookConfiguration": _WEBHOOKS,
    "ValidatingWebhookConfiguration": _WEBHOOKS,
}


@dataclass(frozen=True)
class Entry:
    """A constant, a class or a function. `members`: a class's fields and methods."""

    head: str
    members: tuple[str, ...] = ()

    def about(self, word: str) -> "Entry | None":
        """Return the entry with the members that contain the word, None if nothing contains it."""
        if word in self.head.lower():
            return self
        members = tuple(member for member in self.members if word in member.lower())
        return Entry(self.head, members) if members else None

    def __str__(self) -> str:
        return "\n".join([self.head, *self.members])


def entries(source: str) -> Iterator[Entry]:
    """Yield the public constants, classes and functions of a module."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield Entry(f"class {node.name}: {_summary(node)}", tuple(_members(node, lines)))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield Entry(_function(node))
        elif isinstance(node, ast.Assign) and _is_constant(node):
            yield Entry(_source(node, lines))


def _is_constant(node: ast.Assign) -> bool:
    target = ast.unparse(node.targets[0])
    return target.isupper() and not target.startswith("_")


def _members(node: ast.ClassDef, lines: list[str]) -> Iterator[str]:
    """Yield a class's fields, as its source has them, and its public methods."""
    for member in node.body:
        if isinstance(member, ast.AnnAssign | ast.Assign):
            yield _source(member, lines)
        elif isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
            yield indent(_function(member), _INDENT)


def _source(node: ast.stmt, lines: list[str]) -> str:
    """Return a statement as it stands in its file, with the comment above it."""
    first = node.lineno - 1
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return "\n".join(lines[first : node.end_lineno])


def _function(node: ast.FunctionDef) -> str:
    """Return a function's signature and summary. A property has no brackets."""
    decorators = list(map(ast.unparse, node.decorator_list))
    arguments = f"({ast.unparse(node.args)})"
    if any(name.endswith("property") for name in decorators):
        arguments = ""
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}{arguments}{result}\n{_INDENT}{_summary(node)}".rstrip()


def _summary(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def example_object(kind: str) -> str:
    """Return an object of a kind from the facts of a healthy cluster, "" if it has none."""
    facts = json.loads((ROOT / "tests/incidents/aibrix-healthy/facts.json").read_text())
    objects = facts["objects"].get(kind)
    return json.dumps(objects[0], indent=2) if objects else ""


def kept_fields(kind: str) -> dict[str, str]:
    """Return which fields facts keep of an object: the path to them → their names.

    The path "" leads to fields beside metadata, spec and status. Nothing else is kept.
    """
    rule = {
        "metadata": ", ".join((*trim.METADATA, "annotations")),
        "metadata.annotations": ", ".join(trim.ANNOTATIONS),
    }
    if kind in BARE:
        return rule
    if kind in KEEPERS.values():
        return {**rule, "": ", ".join(trim.REVISION_FIELDS), "spec": ", ".join(trim.REVISION_SPEC)}
    rule["spec"] = ALL
    if kind in WORKLOADS:
        rule["spec.template.metadata"] = "labels, annotations"
        rule["spec.template.metadata.annotations"] = ", ".join(trim.ANNOTATIONS)
    if kind in (*WORKLOADS, "Pod"):
        rule |= _kept_of_pods("spec" if kind == "Pod" else "spec.template.spec")
    rule["status"] = f"{ALL} but " + ", ".join(sorted(trim.DROPPED_STATUS))
    return rule | _KEPT_BESIDE.get(kind, {})


def _kept_of_pods(path: str) -> dict[str, str]:
    """Return what is kept of a pod's spec, or of the one in a template, at this path."""
    own = ("nodeName", *trim.PLACING, "references", *trim.CONTAINER_GROUPS)
    container = ", ".join((*trim.CONTAINER, "env"))
    return {path: ", ".join(own)} | {
        f"{path}.{group}": container for group in trim.CONTAINER_GROUPS
    }


def main() -> None:
    """Print the entries that contain the word, file by file."""
    word = " ".join(sys.argv[1:])
    is_printed = False
    for name in FILES:
        all_entries = entries((ROOT / name).read_text())
        matching_entries = list(filter(None, (entry.about(word.lower()) for entry in all_entries)))
        if matching_entries:
            is_printed = True
            print("", f"# {name}", *matching_entries, sep="\n")
    if word in {kind for _, kind in KINDS}:
        rule = kept_fields(word)
        print("", f"# {word}: the fields that facts keep (devenv/facts/trim.py)", sep="\n")
        print(*(f"{path or 'beside'}: {names}" for path, names in rule.items()), sep="\n")
    if example := example_object(word):
        is_printed = True
        print("", f"# a {word} in the facts", example, sep="\n")
    if not is_printed:
        print(f"No entry has {word}. For an object's fields, give its kind, such as Node.")


if __name__ == "__main__":
    main()
