"""The groups of the top help."""

from devenv.cli.app import COMMANDS
from devenv.cli.sections import SECTIONS


def test_every_command_is_in_one_section():
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(COMMANDS)
