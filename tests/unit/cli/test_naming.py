"""--name before a command, after it, and from the environment."""

import click
import pytest

from devenv.base.errors import Exit
from devenv.cli import additions, app, naming
from devenv.cli.options import name_option, named


@pytest.fixture
def seen(monkeypatch):
    """A command of a subgroup that keeps what it was called with: the name, and whether it was given."""
    calls = []

    @click.command("show")
    @name_option
    def show(cluster):
        calls.append((cluster, named()))

    group = click.Group("group", commands={"show": show})
    monkeypatch.setattr(app.LazyGroup, "get_command", lambda *_: additions.complete(group))
    monkeypatch.delenv("DEVENV_CLUSTER", raising=False)
    return calls


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("group show", ("devenv", False)),
        ("group show -n a", ("a", True)),
        ("group show --name a", ("a", True)),
        ("-n a group show", ("a", True)),
        ("--name a group show -n b", ("b", True)),
    ],
)
def test_a_name_before_the_command_is_one_after_it(seen, args, expected):
    assert app.run(args.split()) == Exit.OK
    assert seen == [expected]


def test_a_name_before_the_command_outranks_the_environment(seen, monkeypatch):
    monkeypatch.setenv("DEVENV_CLUSTER", "e")
    assert app.run(["group", "show"]) == Exit.OK
    assert app.run(["-n", "a", "group", "show"]) == Exit.OK
    assert seen == [("e", False), ("a", True)]


def test_an_invalid_name_is_a_wrong_call_wherever_it_stands(seen):
    assert app.run(["-n", "../x", "group", "show"]) == Exit.USAGE
    assert seen == []


@pytest.mark.parametrize("args", ["-n a profile list", "profile list -n a"])
def test_a_command_that_concerns_no_cluster_refuses_a_name(args):
    assert app.run(args.split()) == Exit.USAGE


def test_a_command_that_passes_its_arguments_on_keeps_theirs():
    command = click.Command("kubectl", context_settings={"ignore_unknown_options": True})
    naming.add_refusal(command)
    assert command.params == []
