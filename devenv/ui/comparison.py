"""A comparison of two looks, as text or as JSON."""

from typing import Any

from rich.markup import escape
from rich.text import Text

from devenv.diagnosis.compare import Comparison, Difference
from devenv.facts.model import Facts
from devenv.ui import console
from devenv.ui.diagnosis import clock
from devenv.ui.reports import emit_json, envelope

_LONG = 240  # characters


def comparison(good: Facts, other: Facts, found: Comparison) -> None:
    """Show what differs."""
    out = console.result()
    for line in lines(good, other, found):
        out.print(line, soft_wrap=True)


def lines(good: Facts, other: Facts, found: Comparison) -> list[str]:
    """Return the lines to show, in rich's markup."""
    shown = [
        f"{escape(other.cluster)} at {clock(other.taken)}, against {escape(good.cluster)} at {clock(good.taken)}"
    ]
    if found.configuration:
        shown += [
            f"[bold red]✗[/bold red] Configuration differs ({len(found.configuration)}):",
            *map(_line, found.configuration),
        ]
    else:
        shown.append("[green]✓[/green] Configuration is equal.")
    if found.state:
        because = "" if found.configuration else ", so what came of it is where to look"
        shown += [
            f"[bold red]✗[/bold red] State differs ({len(found.state)}){because}:",
            *map(_line, found.state),
        ]
    else:
        shown.append("[green]✓[/green] State is equal.")
    return shown


def _line(one: Difference) -> str:
    text = console.harmless(" ".join(one.says.split()))
    text = (
        text
        if text.startswith(one.subject.rpartition("/")[2]) or one.subject in text
        else _about(one, text)
    )
    return f"    {escape(text if len(text) <= _LONG else text[: _LONG - 1] + '…')}"


def _about(one: Difference, text: str) -> str:
    """Say what a difference is about, where its words do not."""
    named = one.subject.partition(" ")[2] or one.subject
    return text if named in text or text.startswith(("the ", "Envoy")) else f"{one.subject} {text}"


def comparison_json(good: Facts, other: Facts, found: Comparison) -> None:
    """Print the same as JSON."""
    emit_json("comparison", shape(good, other, found))


def envelope_text(good: Facts, other: Facts, found: Comparison) -> str:
    """Return the same as text."""
    return envelope("comparison", shape(good, other, found)) + "\n"


def plain_text(good: Facts, other: Facts, found: Comparison) -> str:
    """Return the lines without markup."""
    return "\n".join(Text.from_markup(line).plain for line in lines(good, other, found)) + "\n"


def shape(good: Facts, other: Facts, found: Comparison) -> dict[str, Any]:
    """Shape of `doctor --compare`. Times are in seconds since 1970."""
    return {
        "good": {"cluster": good.cluster, "taken": good.taken}, "other": {"cluster": other.cluster, "taken": other.taken},
        "same": found.same, "configuration": [_json(d) for d in found.configuration], "state": [_json(d) for d in found.state],
    }  # fmt: skip


def _json(one: Difference) -> dict[str, Any]:
    return {"subject": one.subject, "path": one.path, "says": one.says, "rank": one.rank}
