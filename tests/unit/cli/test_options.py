"""What the options of all commands have in common."""

from collections.abc import Iterator

import click
import pytest

from devenv import data
from devenv.cli.app import COMMANDS, app
from devenv.cli.values import STRATEGIES
from devenv.profiles.files import read_files
from devenv.profiles.variant import CHECKOUT, FILES

SHORT = {"--name": "-n", "--output": "-o", "--yes": "-y", "--follow": "-f", "--previous": "-p"}
# Options of profiles that options of their own choose.
CHOSEN_OTHERWISE = {FILES, CHECKOUT, "make", "full"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield each command that can be called, with its full name."""
    context = click.Context(app, info_name="devenv", obj={})
    for name in COMMANDS:
        command = app.get_command(context, name)
        if not isinstance(command, click.Group):
            yield name, command
            continue
        for below, subcommand in command.commands.items():
            yield f"{name} {below}", subcommand


ALL = dict(commands())
# Group → the names of its commands.
GROUPS = {"devenv": list(COMMANDS)}
for full_name in ALL:
    group, _, name = full_name.rpartition(" ")
    if group:
        GROUPS.setdefault(f"devenv {group}", []).append(name)


@pytest.mark.parametrize("name", ALL)
def test_every_long_option_has_the_short_one_that_people_type(name):
    options = [param for param in ALL[name].params if isinstance(param, click.Option)]
    lacking = [
        long
        for long, short in SHORT.items()
        for option in options
        if long in option.opts and short not in option.opts
    ]
    assert lacking == []


@pytest.mark.parametrize("name", ALL)
def test_every_cluster_comes_from_the_environment_too(name):
    for param in ALL[name].params:
        if param.name == "cluster" and not param.hidden:
            assert (param.envvar, param.show_envvar) == ("DEVENV_CLUSTER", True)


# Command → why it has no -o json.
WITHOUT_JSON = {
    "completion": "it prints a script for a shell",
    "exec": "it prints what another program prints",
    "kubectl": "it prints what another program prints, which has -o json itself",
    "kubeconfig": "it prints a file for other programs, or that file's path",
    "profile schema": "it prints a JSON Schema, which is JSON without an envelope",
}


@pytest.mark.parametrize("name", ALL)
def test_every_command_that_reports_has_json(name):
    outputs = [param for param in ALL[name].params if "--output" in param.opts]
    choices = [choice for param in outputs for choice in param.type.choices]
    assert ("json" in choices) is (name not in WITHOUT_JSON)


def test_only_commands_that_exist_are_without_json():
    assert WITHOUT_JSON.keys() <= ALL.keys()


def option(name: str, long: str) -> click.Option:
    return next(param for param in ALL[name].params if long in param.opts)


@pytest.mark.parametrize("name", ["up", "profile show"])
def test_the_help_lists_the_options_of_the_shipped_profiles(name):
    folder = data.root() / "profiles"
    names = set()
    for profile in folder.glob("*.yaml"):
        for layer in read_files(profile.stem, folder).layers:
            names |= set(layer.get("options") or ())
    assert names - CHOSEN_OTHERWISE
    for value in names - CHOSEN_OTHERWISE:
        assert value in option(name, "--with").help


def test_the_help_of_full_lists_what_it_adds():
    layers = read_files("aibrix", data.root() / "profiles").layers
    (full,) = [layer["options"]["full"] for layer in layers if "options" in layer]
    for component in full["components"]:
        assert component["name"] in option("up", "--full").help


def test_the_help_lists_the_strategies():
    assert all(strategy in option("request", "--strategy").help for strategy in STRATEGIES)


def test_the_version_and_help_have_short_options():
    context = click.Context(app, info_name="devenv", **app.context_settings)
    names = [name for param in app.get_params(context) for name in param.opts]
    assert {"-V", "--version", "-h", "--help", "-n", "--name"} <= set(names)
    assert "-w" in option("status", "--watch").opts
