"""How each command's help ends."""

import shlex

import pytest

from devenv.cli import app
from devenv.cli.examples import EXAMPLES, GUIDE
from tests.paths import ROOT
from tests.test_guide import home, parse
from tests.unit.cli.test_options import ALL

__all__ = ["home"]
PATHS = sorted({*ALL, *app.COMMANDS})
FEWEST, MOST = 2, 3


def test_every_command_has_examples():
    assert sorted(EXAMPLES) == PATHS


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_examples_are_of_the_command_and_parse(path, home):
    examples = EXAMPLES[path].commands
    assert FEWEST <= len(examples) <= MOST
    for example in examples:
        assert example.startswith(path)
        parse(shlex.split(example.partition(" > ")[0]))


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_page_is_there(path):
    assert (ROOT / GUIDE / EXAMPLES[path].page).is_file()


@pytest.mark.parametrize("path", PATHS)
def test_the_help_ends_with_them(path, capsys):
    assert app.run([*path.split(), "--help"]) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    examples = EXAMPLES[path]
    assert lines[-1].strip() == f"Guide: {GUIDE}/{examples.page}"
    shown = [line.strip() for line in lines[-2 - len(examples.commands) : -2]]
    assert shown == [f"devenv {command}" for command in examples.commands]
