"""The two consoles."""

import io
import sys

import pytest

from devenv.ui import console
from devenv.ui.marks import CROSS, bold, dim


class Terminal(io.StringIO):
    """A terminal, as far as rich asks."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("value", "is_plain"), [("1", True), ("", False)])
def test_no_color_is_without_bold_and_dim(monkeypatch, value, is_plain):
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    console.result().print(f"{CROSS} {bold('name')} {dim('note')}")
    assert ("\x1b" not in terminal.getvalue()) is is_plain
