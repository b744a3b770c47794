"""A comparison of two looks, as text or as JSON."""

from typing import Any

from rich.markup import escape
from rich.text import Text

from devenv.diagnosis.compare import Comparison, Difference
from devenv.facts.model import Facts
from devenv.ui import console
from devenv.ui.diagnosis import clock
from devenv.ui.reports import emit_json, envelope

# characters.
_LONG = 240


def comparison(good: Facts, facts: Facts, differences: Comparison) -> None:
    """Show what differs."""
    out = console.result()
    for line in lines(good, facts, differences):
        out.print(line, soft_wrap=True)


def lines(good: Facts, facts: Facts, differences: Comparison) -> list[str]:
    """Return the lines to show, in rich's markup."""
    shown = [
        f"{escape(facts.cluster)} at {clock(facts.taken)}, against {escape(good.cluster)} at {clock(good.taken)}"
    ]
    if differences.configuration:
        shown += [
            f"[bold red]✗[/bold red] Configuration differs ({len(differences.configuration)}):",
            *map(_line, differences.configuration),
        ]
    else:
        shown.append("[green]✓[/green] Configuration is equal.")
    if differences.state:
        because = "" if differences.configuration else ", so what came of it is where to look"
        shown += [
            f"[bold red]✗[/bold red] State differs ({len(differences.state)}){because}:",
            *map(_line, differences.state),
        ]
    else:
        shown.append("[green]✓[/green] State is equal.")
    return shown


def _line(difference: Difference) -> str:
    text = console.harmless(" ".join(difference.says.split()))
    text = (
        text
        if text.startswith(difference.subject.rpartition("/")[2]) or difference.subject in text
        else _about(difference, text)
    )
    return f"    {escape(text if len(text) <= _LONG else text[: _LONG - 1] + '…')}"


def _about(difference: Difference, text: str) -> str:
    """Say what a difference is about, where its words do not."""
    subject = difference.subject.partition(" ")[2] or difference.subject
    return (
        text
        if subject in text or text.startswith(("the ", "Envoy"))
        else f"{difference.subject} {text}"
    )


def comparison_json(good: Facts, facts: Facts, differences: Comparison) -> None:
    """Print the same as JSON."""
    emit_json("comparison", shape(good, facts, differences))


def envelope_text(good: Facts, facts: Facts, differences: Comparison) -> str:
    """Return the same as text."""
    return envelope("comparison", shape(good, facts, differences)) + "\n"


def plain_text(good: Facts, facts: Facts, differences: Comparison) -> str:
    """Return the lines without markup."""
    return (
        "\n".join(Text.from_markup(line).plain for line in lines(good, facts, differences)) + "\n"
    )


def shape(good: Facts, facts: Facts, differences: Comparison) -> dict[str, Any]:
    """Shape of `doctor --compare`. Times are in seconds since 1970."""
    return {
        "good": {"cluster": good.cluster, "taken": good.taken},
        "other": {"cluster": facts.cluster, "taken": facts.taken},
        "same": differences.same,
        "configuration": [_json(d) for d in differences.configuration],
        "state": [_json(d) for d in differences.state],
    }


def _json(difference: Difference) -> dict[str, Any]:
    return {
        "subject": difference.subject,
        "path": difference.path,
        "says": difference.says,
        "rank": difference.rank,
    }
