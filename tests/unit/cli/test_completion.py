"""devenv completion."""

import pytest

from devenv.base.errors import Exit
from devenv.cli import app


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_or_installed(shell, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    assert app.run(["completion", shell]) == Exit.OK
    script = capsys.readouterr().out.strip()
    assert "_DEVENV_COMPLETE" in script
    assert list(tmp_path.iterdir()) == []
    assert app.run(["completion", shell, "--install"]) == Exit.OK
    files = [file.read_text() for file in tmp_path.rglob("*devenv*") if file.is_file()]
    files += [file.read_text() for file in tmp_path.rglob("completion.*")]
    assert any(script in text for text in files)


def test_an_unknown_shell_is_a_wrong_call():
    assert app.run(["completion", "tcsh"]) == Exit.USAGE


def test_fish_shows_descriptions_beyond_their_first_comma(capsys):
    assert app.run(["completion", "fish"]) == Exit.OK
    splitting_lines = [line for line in capsys.readouterr().out.splitlines() if "split" in line]
    assert splitting_lines
    assert all("--max" in line for line in splitting_lines)
