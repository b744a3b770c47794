"""A watch on a terminal and in a pipe."""

import io
import json

import pytest
from rich.console import Console
from rich.text import Text

from devenv.ui import watch
from devenv.ui.render import print_changes
from devenv.ui.watch import Round, print_rounds, show_screens


def test_a_pipe_gets_changes_alone_each_below_its_time(capsys):
    print_rounds([Round(60, 1, ["a"]), Round(62, 1, ["a, older"]), Round(64, 2, ["b"])])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["1970-01-01 00:01:00", "a", "1970-01-01 00:01:04", "b"]


def test_json_has_changes_alone(capsys):
    print_changes("status", [{"n": 1}, {"n": 1}, {"n": 2}])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["result"]["n"] for line in lines] == [1, 2]


@pytest.mark.parametrize("colours", [None, "standard"])
def test_a_terminal_gets_a_screen_of_its_own_and_is_given_back(monkeypatch, colours):
    paper = io.StringIO()
    options = {"force_terminal": True, "color_system": colours}
    out = Console(file=paper, width=80, height=24, **options)
    monkeypatch.setattr(watch.console, "result", lambda: out)
    show_screens([lambda width, height: [f"[bold]{width} columns[/bold]", f"{height} lines"]])
    written = paper.getvalue()
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    assert written.index(enter) < written.index("80 columns") < written.index(leave)
    assert ("\x1b[1m" in written) is (colours is not None)
    assert "24 lines" in Text.from_ansi(written).plain
