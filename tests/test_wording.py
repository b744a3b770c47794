"""Tests assert codes, ids, exit codes and fields. The wording is in tests/snapshots.

wording_allowance.txt has the number of sentences, or parts of them, that a file's assertions still
hold. A figure may only shrink: `pytest tests/test_wording.py --rewrite` lowers figures, and raises
none. In place of a sentence, assert a field, or use the fixtures `expect_error` and `check_message`.
"""

import ast
import re
from collections.abc import Iterator, Mapping

import pytest

from devenv.cli.app import COMMANDS
from tests.paths import ROOT

ALLOWANCE = ROOT / "tests" / "wording_allowance.txt"
# Two words of letters, one after the other.
PROSE = re.compile(
    r"""(^|(?<=[\s"'(`\\]))[A-Za-z][a-z']+[,;:.)]?\s(?=[A-Za-z][a-z']+([\s.,;:!?)'"`\\]|$))"""
)
PROGRAMS = {"crictl", "ctr", "docker", "kind", "kubectl", "launchctl", "sudo", "systemctl"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_prose(text: str) -> bool:
    """Say whether a text has two words in sequence, and is no command."""
    words = text.strip("` $").split()
    if not PROSE.search(text) or words[0] in PROGRAMS:
        return False
    return words[0] != "devenv" or words[1] not in COMMANDS


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def is_about_actions(test: ast.expr) -> bool:
    """Say whether an assertion looks at the fakes' log: its entries are actions, not wording."""
    attributes = {part.attr for part in ast.walk(test) if isinstance(part, ast.Attribute)}
    return "log" in attributes | names_in(test)


def assertions(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield what `assert` tests, and what `match=` of pytest.raises expects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and not is_about_actions(node.test):
            yield node.test
        elif isinstance(node, ast.keyword) and node.arg == "match":
            yield node.value


def compared_names(function: Function) -> set[str]:
    """Return the names that an assertion of the test compares as they are."""
    names = set()
    for assertion in assertions(function):
        if isinstance(assertion, ast.Name):
            names.add(assertion.id)
        for node in ast.walk(assertion):
            if isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
                names |= {operand.id for operand in operands if isinstance(operand, ast.Name)}
    return names


def parameter_sets(function: Function) -> Iterator[tuple[list[str], list[ast.expr]]]:
    """Yield the names and the rows of each `parametrize` whose names and rows are literals."""
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call) or len(decorator.args) < 2:
            continue
        names, rows, *_ = decorator.args
        if isinstance(rows, ast.List | ast.Tuple):
            literals = [part for part in ast.walk(names) if isinstance(part, ast.Constant)]
            yield (
                [name for literal in literals for name in re.split(r", *", literal.value)],
                rows.elts,
            )


def expectations(function: Function) -> Iterator[ast.expr]:
    """Yield the parameters of a test that its assertions compare as they are."""
    compared = compared_names(function)
    for names, rows in parameter_sets(function):
        for row in rows:
            values = row.elts if len(names) > 1 and isinstance(row, ast.Tuple) else [row]
            yield from (
                value for name, value in zip(names, values, strict=False) if name in compared
            )


def wordings(source: str) -> list[str]:
    """Return the sentences, or parts of them, that a test file's assertions hold."""
    tree = ast.parse(source)
    expected = list(assertions(tree))
    for node in ast.walk(tree):
        if isinstance(node, Function):
            expected += expectations(node)
    literals = {
        part for node in expected for part in ast.walk(node) if isinstance(part, ast.Constant)
    }
    texts = [part.value for part in literals if isinstance(part.value, str)]
    return sorted(text for text in texts if is_prose(text))


def read_allowance() -> dict[str, int]:
    """Return path → number of wordings."""
    pairs = [line.split() for line in ALLOWANCE.read_text().splitlines()]
    return {path: int(count) for count, path in pairs}


def write_allowance(counts: Mapping[str, int]) -> None:
    lines = [f"{count} {path}\n" for path, count in sorted(counts.items()) if count]
    ALLOWANCE.write_text("".join(lines))


def test_assertions_hold_no_more_wording_than_they_are_allowed(request):
    allowance, texts = read_allowance(), {}
    for path in (ROOT / "tests").rglob("*.py"):
        texts[str(path.relative_to(ROOT))] = wordings(path.read_text())
    counts = {path: len(texts[path]) for path in texts if texts[path]}
    excess = {path: texts[path] for path in counts if counts[path] > allowance.get(path, 0)}
    assert excess == {}, "assert a field, or use expect_error or check_message"
    if request.config.getoption("--rewrite"):
        write_allowance(counts)
    assert counts == read_allowance(), "the allowance may shrink: --rewrite"


@pytest.mark.parametrize(
    "source",
    [
        "assert 'The port is taken' in told",
        "assert f'{port} is taken' in told",
        "with pytest.raises(OSError, match='already taken'): call()",
        "@pytest.mark.parametrize('why', ['is taken'])\ndef test(why):\n    assert why in told",
        "@pytest.mark.parametrize(('a', 'why'), [(1, 'is taken')])\ndef test(a, why):\n    with pytest.raises(OSError, match=why): call(a)",
        "assert 'devenv refused it' in told",
    ],
)
def test_wording_is_noticed(source):
    assert len(wordings(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "assert code == 'DE401'",
        "assert finding.subject == 'component/redis 7'",
        "assert 'kubectl get pods' in told",
        "assert '`devenv up --adopt`' in told",
        "assert fakes.log == ['stop children']",
        "assert told, 'it says nothing'",
        "told = 'it says nothing'",
        "@pytest.mark.parametrize('text', ['is taken'])\ndef test(text):\n    assert read(text) == 7",
    ],
)
def test_codes_commands_and_actions_are_no_wording(source):
    assert wordings(source) == []
