"""Log lines, one by one as they come."""

from collections.abc import Iterable

from rich.markup import escape

from devenv import streams
from devenv.base.json_types import JsonObject
from devenv.facts.logs import LogLine
from devenv.ui import console
from devenv.ui.marks import dim
from devenv.ui.render import json_line

# Columns for a component's name.
_WIDTH = 15


def print_logs(log_lines: Iterable[LogLine], output: str) -> None:
    """Print lines until their reader is gone; with the output "json", one JSON document a line."""
    out = console.result()
    for line in log_lines:
        if output == "json":
            out.print(json_line("log", log_shape(line)), markup=False, soft_wrap=True)
        else:
            out.print(_text(line), soft_wrap=True)
        if streams.is_unread():
            return


def _text(line: LogLine) -> str:
    """Return the time of day, the component, the code of a known line, and the line."""
    time_of_day = dim(line.time[11:23])
    component = escape(line.component[:_WIDTH].ljust(_WIDTH))
    text = escape(console.harmless(line.text))
    if line.code:
        text = f"[bold red]{line.code}[/bold red] {text}"
    return f"{time_of_day} {component} {text}"


def log_shape(line: LogLine) -> JsonObject:
    """Shape of a log line."""
    return {
        "time": line.time,
        "component": line.component,
        "pod": line.pod,
        "container": line.container,
        "text": line.text,
        "code": line.code,
    }
