"""Log lines on paper, and what is said if there are none."""

import io
import json

import pytest
from rich.console import Console

from devenv.facts.logs import LogLine, LogRange
from devenv.ui import logs

LINES = (
    LogLine("2026-11-26T02:03:34.941485352Z", "redis", "r-1", "master", "2026/11/26 02:03:34 up"),
    LogLine("2026-11-26T02:03:35.1Z", "gateway-plugins", "g-1", "c", "[bad]", "DE304"),
)


@pytest.mark.parametrize("columns", [80, 160])
def test_each_time_is_printed_once(monkeypatch, columns, check_message):
    paper = io.StringIO()
    out = Console(file=paper, width=columns, no_color=True, highlight=False)
    monkeypatch.setattr(logs.console, "result", lambda: out)
    assert logs.print_logs(LINES, "text") == 2
    check_message(paper.getvalue())


def test_json_has_the_line_as_it_is(capsys):
    assert logs.print_logs(LINES[:1], "json") == 1
    assert json.loads(capsys.readouterr().out)["result"]["text"] == LINES[0].text


@pytest.mark.parametrize("problems", [False, True])
def test_no_lines_are_told_beside_the_result(capsys, problems, check_message):
    assert logs.print_logs([], "text") == 0
    for log_range in (
        LogRange(600),
        LogRange(7200, begin=1e9),
        LogRange(previous=True),
        LogRange(tail=3),
    ):
        logs.say_that_there_are_none(log_range, problems=problems)
    printed = capsys.readouterr()
    assert printed.out == ""
    check_message(printed.err)
