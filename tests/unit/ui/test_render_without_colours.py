"""Every command's reports with NO_COLOR on a terminal, and in a pipe."""

import sys

import pytest
from rich.text import Text

from devenv.ui.render import render
from tests.unit.ui import samples
from tests.unit.ui.test_console import Terminal
from tests.unit.ui.test_render_snapshots import facts

REPORTS = samples.of_commands(facts("the-incident"), facts("healthy"))


def printed(report, stream, monkeypatch) -> str:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", stream)
    render(report, "text")
    return stream.getvalue()


@pytest.mark.parametrize("command", REPORTS)
def test_a_terminal_with_no_color_has_the_same_text_and_no_sequences(command, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for _, report in REPORTS[command]:
        coloured = printed(report, Terminal(), monkeypatch)
        with monkeypatch.context() as patch:
            patch.setenv("NO_COLOR", "1")
            plain = printed(report, Terminal(), monkeypatch)
        assert "\x1b" not in plain
        assert plain.split() == Text.from_ansi(coloured).plain.split()


@pytest.mark.parametrize("command", REPORTS)
def test_a_pipe_has_no_sequences(command, capsys):
    for _, report in REPORTS[command]:
        render(report, "text")
    assert "\x1b" not in capsys.readouterr().out
