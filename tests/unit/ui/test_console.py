"""The two consoles."""

import io
import sys

import pytest
from rich.text import Text

from devenv.ui import console
from devenv.ui.marks import CROSS, bold, dim


class Terminal(io.StringIO):
    """A terminal, as far as rich asks."""

    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


@pytest.mark.parametrize(("value", "is_plain"), [("1", True), ("", False)])
def test_no_color_is_without_bold_and_dim(monkeypatch, value, is_plain):
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = terminal_of(monkeypatch)
    console.result().print(f"{CROSS} {bold('name')} {dim('note')}")
    assert ("\x1b" not in terminal.getvalue()) is is_plain


def test_a_line_is_broken_between_words_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    terminal = terminal_of(monkeypatch)
    words = ["short"] * 20 + ["/a/path" * 15] + ["short"] * 3
    console.result().print(" ".join(words))
    lines = terminal.getvalue().splitlines()
    assert " ".join(map(str.strip, lines)).split() == words
    assert [len(line) > 80 for line in lines].count(True) == 1


def test_what_rich_draws_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    terminal = terminal_of(monkeypatch)
    console.result().print(Text("x" * 200, no_wrap=True, overflow="ellipsis"))
    assert len(terminal.getvalue().splitlines()[0]) == 80


def test_progress_is_always_printed_by_the_same_console(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    first = console.progress()
    assert console.progress() is first
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.progress() is not first
