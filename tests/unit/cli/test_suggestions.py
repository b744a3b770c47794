"""Words that are no commands, and what to type instead."""

import pytest

from devenv.base.errors import Exit
from devenv.cli import app
from devenv.cli.peers import PEERS
from devenv.cli.suggestions import suggested_names
from tests.unit.cli.test_options import ALL, GROUPS

NAMES = list(app.COMMANDS)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("start", ["up"]),
        ("delete cluster", ["down"]),
        ("create cluster", ["up"]),
        ("load docker-image x", ["reload-image"]),
        ("image load x", ["reload-image"]),
        ("image x", ["images"]),
        ("statu", ["status"]),
        ("Doctr", ["doctor"]),
        ("reload_image", ["reload-image"]),
        ("dis", ["disk"]),
        ("creat", ["up"]),
        ("help", ["--help"]),
        ("help up", ["up --help"]),
        ("help nonsense", ["--help"]),
        ("nonsense", []),
    ],
)
def test_what_is_suggested(words, names):
    assert suggested_names("devenv", words.split(), NAMES) == names


def test_few_names_are_suggested():
    assert len(suggested_names("devenv", ["re"], NAMES)) == 3


@pytest.mark.parametrize("group", PEERS)
def test_a_peers_word_is_no_command_and_leads_to_one(group):
    names = GROUPS[group]
    for words, target in PEERS[group].items():
        assert words not in names
        path = f"{group} {target}".removeprefix("devenv ")
        assert path in ALL or path in app.COMMANDS, words


@pytest.mark.parametrize(
    "args", ["start", "model delete x", "images biuld", "-n c statu", "sideways", "help up"]
)
def test_an_unknown_command_is_told_what_to_type(args, capsys, check_message):
    assert app.run(args.split()) == Exit.USAGE
    check_message(capsys.readouterr().err)


def test_an_unknown_option_is_still_clicks(capsys):
    assert app.run(["--sideways"]) == Exit.USAGE
    assert "--sideways" in capsys.readouterr().err
