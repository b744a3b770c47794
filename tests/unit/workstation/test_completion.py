"""Where completion is installed."""

import os
import subprocess

import pytest

from devenv.workstation.completion import install

SCRIPT = "complete -W 'up down' devenv\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "my data"))
    return tmp_path


@pytest.mark.parametrize(("shell", "name"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_one_line_is_added_however_often_it_is_installed(home, shell, name):
    start_file = home / name
    start_file.write_text("export A=1")
    first, second = install(shell, SCRIPT), install(shell, SCRIPT)
    assert (first.start_file, second.start_file) == (start_file, None)
    own_line, added_line = start_file.read_text().splitlines()
    assert own_line == "export A=1"
    assert str(first.script) in added_line
    assert first.script.read_text().endswith(SCRIPT)


def test_a_start_file_is_made_where_there_is_none(home):
    assert install("bash", SCRIPT).start_file == home / ".bashrc"


def test_a_link_to_the_start_file_stays_one(home):
    (home / "dotfiles").write_text("")
    (home / ".bashrc").symlink_to(home / "dotfiles")
    install("bash", SCRIPT)
    assert (home / ".bashrc").is_symlink()
    assert (home / "dotfiles").read_text()


def test_zsh_may_keep_its_files_elsewhere(home, monkeypatch):
    (home / "z").mkdir()
    monkeypatch.setenv("ZDOTDIR", str(home / "z"))
    installed = install("zsh", SCRIPT)
    assert installed.start_file == home / "z" / ".zshrc"
    assert "compinit" in installed.script.read_text()


def test_fish_reads_its_own_folder(home):
    installed = install("fish", SCRIPT)
    assert installed.start_file is None
    assert installed.script == home / ".config" / "fish" / "completions" / "devenv.fish"


def test_bash_completes_after_it(home):
    install("bash", SCRIPT)
    done = subprocess.run(
        ["bash", "--norc", "-c", ". ~/.bashrc && complete -p devenv"],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == SCRIPT
