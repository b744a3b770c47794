"""The snapshots of messages hold what tests compare, and nothing else."""

import ast
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest

from devenv.base.errors import DevenvError
from tests.messages import (
    DESELECTED,
    MESSAGES,
    MessageSnapshots,
    node_id,
    read_sections,
    write_sections,
)
from tests.paths import ROOT

FIXTURES = {"check_message", "expect_error"}


def test_a_section_is_read_as_it_was_written(tmp_path: Path):
    sections = {"b.py::test[x 1]": "one\n\n  two", "a.py::test (2)": ""}
    write_sections(tmp_path / "file.txt", sections)
    assert read_sections(tmp_path / "file.txt") == sections


def test_another_wording_fails_and_is_rewritten(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tests.messages.MESSAGES", tmp_path)

    def check(*messages, rewrite=False):
        snapshots = MessageSnapshots("tests/unit/a/b.py::test_c", tmp_path, rewrite=rewrite)
        for message in messages:
            snapshots.check(message)

    error = DevenvError(f"{tmp_path} is full.", "why", "next")
    with pytest.raises(AssertionError):
        check(error, "second")
    check(error, "second", rewrite=True)
    check(error, "second")
    assert read_sections(tmp_path / "a.txt") == {
        "a/b.py::test_c": "FOLDER is full.\n  why\n→ next",
        "a/b.py::test_c (2)": "second",
    }
    with pytest.raises(AssertionError):
        check(error, "third")


def functions_with_snapshots(path: Path) -> set[str]:
    """Return the names of a file's tests that take a fixture of messages."""
    if not path.exists():
        return set()
    functions = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    ]
    return {
        function.name
        for function in functions
        if FIXTURES & {argument.arg for argument in function.args.args}
    }


def strays(titles: Iterable[str], folder: Path, test_ids: Collection[str]) -> list[str]:
    """Return the titles of sections that no test compares.

    `test_ids` has pytest's IDs of all tests in some files, or nothing. Only these tell of a
    parameter that is gone.
    """
    collected_files = {test_id.partition("::")[0] for test_id in test_ids}
    missing = []
    for title in titles:
        test_id = node_id(title)
        path, _, test = test_id.partition("::")
        is_gone = test.partition("[")[0] not in functions_with_snapshots(folder / path)
        if is_gone or (path in collected_files and test_id not in test_ids):
            missing.append(title)
    return missing


@pytest.mark.parametrize("file", sorted(MESSAGES.glob("*")), ids=lambda file: file.name)
def test_every_section_belongs_to_a_test(file: Path, request):
    test_ids = {item.nodeid for item in request.session.items}
    test_ids |= request.config.stash.get(DESELECTED, set())
    is_selection = any("::" in argument for argument in request.config.args)
    assert strays(read_sections(file), ROOT, () if is_selection else test_ids) == []


def test_a_section_of_no_test_is_noticed(tmp_path: Path):
    folder = tmp_path / "tests" / "unit"
    folder.mkdir(parents=True)
    (folder / "test_a.py").write_text("def test_b(expect_error): ...\ndef test_c(): ...\n")
    titles = [
        "test_a.py::test_b[1]",
        "test_a.py::test_b[1] (2)",
        "test_a.py::test_b[2]",
        "test_a.py::test_c",
        "test_gone.py::test_b",
    ]
    assert strays(titles, tmp_path, ()) == titles[3:]
    assert strays(titles, tmp_path, {"tests/unit/test_a.py::test_b[1]"}) == titles[2:]
