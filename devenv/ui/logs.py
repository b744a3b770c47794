"""Log lines."""

import json
from collections.abc import Iterable

from rich.markup import escape

from devenv import streams
from devenv.facts.logs import LogLine
from devenv.ui import console
from devenv.ui.reports import VERSION

# Of a component's name.
_WIDTH = 15


def lines(log_lines: Iterable[LogLine]) -> None:
    """Show lines: the time of day, the component, a known line's code, the text."""
    out = console.result()
    for line in log_lines:
        mark = f"[bold red]{line.code}[/bold red] " if line.code else ""
        head = f"[dim]{line.time[11:23]}[/dim] {escape(line.component[:_WIDTH].ljust(_WIDTH))}"
        out.print(f"{head} {mark}{escape(console.harmless(line.text))}", soft_wrap=True)
        if streams.is_unread():
            return


def json_lines(log_lines: Iterable[LogLine]) -> None:
    """Print each line as JSON on a line of its own."""
    out = console.result()
    for line in log_lines:
        out.print(
            json.dumps({"version": VERSION, "kind": "log", "result": shape(line)}),
            markup=False,
            soft_wrap=True,
        )
        if streams.is_unread():
            return


def shape(line: LogLine) -> dict[str, str]:
    """Shape of a log line."""
    return {
        "time": line.time, "component": line.component, "pod": line.pod, "container": line.container,
        "text": line.text, "code": line.code,
    }  # fmt: skip
