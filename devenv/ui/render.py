"""A command's result: one report, made as text or as JSON, whichever the user chose."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.console import Console

from devenv import streams
from devenv.ui import console

VERSION = 1
Record = TypeVar("Record")
Shape = TypeVar("Shape")


@dataclass(frozen=True)
class Report:
    """A result in both of its forms; only the one that the user chose is made.

    `kind` names the JSON, and `content` makes what stands there under "result". tests/unit/ui
    freezes each shape: a change is a new VERSION. `text` prints the other form.
    """

    kind: str
    content: Callable[[], Any]
    text: Callable[[Console], None]


def render(report: Report, output: str) -> None:
    """Print a result as `output` says: "text" or "json"."""
    if output == "json":
        print_json(report.kind, report.content())
    else:
        report.text(console.result())


def show_aside(report: Report) -> None:
    """Print a result's text beside the progress, before the user is asked about it."""
    report.text(console.progress())


def envelope(kind: str, result: Any) -> str:
    """Return the JSON that every command prints with `-o json`."""
    return json.dumps({"version": VERSION, "kind": kind, "result": result}, indent=2)


def json_line(kind: str, result: Any) -> str:
    """Return the same JSON on one line, for commands that print one result after the other."""
    return json.dumps({"version": VERSION, "kind": kind, "result": result})


def shapes(shape: Callable[[Record], Shape], records: Iterable[Record]) -> list[Shape]:
    """Return the shape of each record, in their order, for a list in the JSON."""
    return [shape(record) for record in records]


def print_json(kind: str, result: Any) -> None:
    """Print a result as JSON."""
    console.result().print(envelope(kind, result), markup=False, soft_wrap=True)


def print_changes(kind: str, results: Iterable[Any]) -> None:
    """Print each result that differs from the one before, as JSON on one line."""
    previous_result = None
    for result in results:
        if result != previous_result:
            console.result().print(json_line(kind, result), markup=False, soft_wrap=True)
        if streams.is_unread():
            return
        previous_result = result
