"""Log lines, one by one as they come."""

from collections.abc import Iterable

from rich.markup import escape

from devenv import streams
from devenv.base.json_types import JsonObject
from devenv.facts.logs import LogLine, LogRange
from devenv.profiles.quantities import lasting
from devenv.ui import console
from devenv.ui.log_times import without_time
from devenv.ui.marks import dim
from devenv.ui.render import json_line
from devenv.ui.times import local_second

# Columns for a component's name, which is never cut, and for a time with milliseconds.
_WIDTH, _TIME_WIDTH = 15, 12


def print_logs(log_lines: Iterable[LogLine], output: str) -> int:
    """Print lines until their reader is gone; with the output "json", one JSON document a line.

    Returns how many lines there were.
    """
    out = console.result()
    count = 0
    for line in log_lines:
        count += 1
        if output == "json":
            out.print(json_line("log", log_shape(line)), markup=False, soft_wrap=True)
        else:
            out.print(_text(line), soft_wrap=True)
        if streams.is_unread():
            break
    return count


def say_that_there_are_none(log_range: LogRange, *, problems: bool) -> None:
    """Say beside the result that no line was printed, and how to see older ones."""
    kind = "problems" if problems else "lines"
    if log_range.previous:
        text = f"No {kind} of containers from before their last restart."
    elif log_range.begin:
        text = f"No {kind} since {local_second(log_range.begin)}."
    elif log_range.max_age:
        age = lasting(log_range.max_age)
        text = f"No {kind} in the last {age}. --since 2h or --tail 20 shows older lines."
    else:
        text = f"No {kind}."
    console.progress().print(text, markup=False)


def _text(line: LogLine) -> str:
    """Return the time of day, the component, the code of a known line, and the line."""
    time_of_day = dim(line.time[11:23].rstrip("Z").ljust(_TIME_WIDTH))
    component = escape(line.component.ljust(_WIDTH))
    text = escape(console.harmless(without_time(line.text, line.time)))
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
