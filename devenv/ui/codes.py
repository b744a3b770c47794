"""`doctor --list` and `doctor --explain`: what the codes mean."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.diagnosis.codes import Code, book, get
from devenv.ui.marks import bold
from devenv.ui.render import Report, render, shapes


def show(code_name: str | None, output: str) -> None:
    """Print what a code means, or the titles of all. Raises DevenvError for an unknown one."""
    if code_name is None:
        render(listing(list(book().values())), output)
    else:
        render(explanation(get(code_name)), output)


def listing(codes: Sequence[Code]) -> Report:
    """Report all codes with their titles."""

    def text(out: Console) -> None:
        for code in codes:
            out.print(f"{bold(code.code)}  {escape(code.title)}")

    return Report("codes", lambda: shapes(code_shape, codes), text)


def explanation(code: Code) -> Report:
    """Report what a code means."""

    def text(out: Console) -> None:
        out.print(f"{bold(code.code)}: {escape(code.title)}")
        parts = {
            "Meaning": code.meaning,
            "Why": code.why,
            "Fix": code.fix,
            "Source": code.source,
        }
        for name, sentence in parts.items():
            out.print(f"  [dim]{name}:[/dim] {escape(sentence)}")

    return Report("codes", lambda: [code_shape(code)], text)


def code_shape(code: Code) -> JsonObject:
    """Shape of a code."""
    return {
        "code": code.code,
        "title": code.title,
        "meaning": code.meaning,
        "why": code.why,
        "fix": code.fix,
        "source": code.source,
        "place": code.place.value if code.place else None,
    }
