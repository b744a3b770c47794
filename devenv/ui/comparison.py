"""`doctor --compare`: what differs between two facts files."""

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.diagnosis.compare import Comparison, Difference
from devenv.facts.model import Facts
from devenv.ui import console
from devenv.ui.diagnosis import clock, without_markup
from devenv.ui.marks import CHECK, CROSS
from devenv.ui.render import Report, shapes

# Characters of a line's text.
_LONG = 240


def comparison(good: Facts, facts: Facts, differences: Comparison) -> Report:
    """Report what differs from the good facts."""

    def text(out: Console) -> None:
        for line in lines(good, facts, differences):
            console.print_line(out, line)

    return Report("comparison", lambda: shape(good, facts, differences), text)


def lines(good: Facts, facts: Facts, differences: Comparison) -> list[str]:
    """Return the lines to show, in rich's markup."""
    return [
        f"{_head(facts)}, against {_head(good)}",
        *_configuration_lines(differences),
        *_state_lines(differences),
    ]


def plain_text(good: Facts, facts: Facts, differences: Comparison) -> str:
    """Return the lines without markup."""
    return without_markup(lines(good, facts, differences))


def _head(facts: Facts) -> str:
    return f"{escape(facts.cluster)} at {clock(facts.taken)}"


def _configuration_lines(differences: Comparison) -> list[str]:
    if not differences.configuration:
        return [f"{CHECK} The configuration is the same."]
    head = f"{CROSS} Configuration differs ({len(differences.configuration)}):"
    return [head, *map(_line, differences.configuration)]


def _state_lines(differences: Comparison) -> list[str]:
    if not differences.state:
        return [f"{CHECK} State is equal."]
    head = f"{CROSS} State differs ({len(differences.state)})"
    if not differences.configuration:
        head += " although the configuration is the same"
    return [f"{head}:", *map(_line, differences.state)]


def _line(difference: Difference) -> str:
    sentence = " ".join(difference.says.split())
    text = _with_subject(difference, console.harmless(sentence))
    if len(text) > _LONG:
        text = text[: _LONG - 1] + "…"
    return f"    {escape(text)}"


def _with_subject(difference: Difference, text: str) -> str:
    """Name what a difference is about, if its words do not."""
    subject = difference.subject
    _, _, last_name = subject.rpartition("/")
    if subject in text or text.startswith(last_name):
        return text
    _, _, name = subject.partition(" ")
    without_kind = name or subject
    if without_kind in text or text.startswith(("the ", "Envoy")):
        return text
    return f"{subject} {text}"


def shape(good: Facts, facts: Facts, differences: Comparison) -> JsonObject:
    """Shape of `doctor --compare`. Times are in seconds since 1970."""
    return {
        "good": {"cluster": good.cluster, "taken": good.taken},
        "other": {"cluster": facts.cluster, "taken": facts.taken},
        "same": differences.same,
        "configuration": shapes(_difference_shape, differences.configuration),
        "state": shapes(_difference_shape, differences.state),
    }


def _difference_shape(difference: Difference) -> JsonObject:
    return {
        "subject": difference.subject,
        "path": difference.path,
        "says": difference.says,
        "rank": difference.rank,
    }
