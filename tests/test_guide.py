"""What README and the guide print works: commands parse, YAML validates, outputs are what the commands print."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from devenv import data
from devenv.cli.app import app
from devenv.profiles import settings
from devenv.profiles.load import check
from docs import outputs
from tests import guide

# A README of one screen and a half: lines of 100 columns on a screen of 50 lines.
LINES = 75
PROFILES = data.root() / "profiles"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with the files that the guide's commands name."""
    for folder in ("src/aibrix/pkg", "src/aibrix/cmd", "plugins", "here"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "plugins" / "main.go").touch()
    (tmp_path / "here" / "facts.json").write_text(
        (guide.ROOT / "tests/incidents/the-incident/facts.json").read_text()
    )
    for block in guide.blocks("yaml"):
        name = block.content.partition("\n")[0].removeprefix("# ")
        if name.endswith(".yaml"):
            (tmp_path / "here" / name).write_text(block.content)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def parse(arguments: list[str]) -> None:
    """Parse a command line as devenv does, and call nothing."""
    command, name, context = app, "devenv", None
    while isinstance(command, click.Group):
        context = command.make_context(name, list(arguments), parent=context, obj={})
        name, command, arguments = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
    command.make_context(name, list(arguments), parent=context)


@pytest.mark.parametrize("command", guide.commands())
def test_a_command_that_is_printed_parses(home, command):
    if guide.reason_not_run(command) == "a placeholder":
        return
    arguments = [word.replace("~", str(home)) for word in guide.arguments(command)]
    # `--version` ends where it is parsed.
    with contextlib.suppress(click.exceptions.Exit):
        parse(arguments)


def test_a_wrong_command_is_noticed(home):
    for wrong in (["request", "--rout", "direct"], ["-x", "status"], ["-n", "../x", "status"]):
        with pytest.raises(click.UsageError):
            parse(wrong)


@pytest.mark.parametrize("command", guide.run_anywhere())
def test_a_command_that_needs_nothing_runs(home, command):
    argv = [sys.executable, "-m", "devenv", *guide.arguments(command)]
    if "init" in command:
        (home / "here" / guide.arguments(command)[2]).unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": str(guide.ROOT), "DOCKER_HOST": "unix:///nowhere"}
    done = subprocess.run(
        argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    # A diagnosis of an incident says so.
    expected = 1 if "--from" in command else 0
    assert done.returncode == expected, done.stderr


PROFILES_IN_PAGES = [
    block for block in guide.blocks("yaml") if block.page.name != "github-actions.md"
]


@pytest.mark.parametrize("block", PROFILES_IN_PAGES, ids=lambda block: block.page.name)
def test_a_block_of_yaml_is_a_profile_or_settings(home, block):
    content = yaml.safe_load(block.content)
    file = home / "here" / "tried.yaml"
    file.write_text(block.content)
    if "extends" not in content:
        assert settings.read(file) != settings.Settings()
        return
    for entry in (*content.get("images", ()), *content.get("manifests", ())):
        for key in ("archive", "path"):
            if key in entry:
                create(home / "here" / entry[key])
    check(str(file), PROFILES)


def create(path: Path) -> None:
    """Create a file, or a folder with a manifest in it."""
    if path.suffix:
        path.touch()
    else:
        path.mkdir()
        (path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")


@pytest.mark.parametrize("page", outputs.PAGES, ids=lambda page: page.name)
def test_the_outputs_are_what_the_commands_print(page):
    text = page.read_text()
    assert outputs.rewritten(text) == text, "run `python docs/outputs.py`"


def test_readme_fits_a_screen_and_a_half():
    assert len((guide.ROOT / "README.md").read_text().splitlines()) <= LINES
