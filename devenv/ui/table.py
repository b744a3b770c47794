"""Tables: one line a row if that fits, otherwise one line a cell. No cell is cut or broken."""

from collections.abc import Collection, Sequence
from textwrap import wrap

from rich.console import Console
from rich.markup import escape

from devenv.ui.console import print_line
from devenv.ui.marks import bold, dim

# Columns between two columns of a table.
_GAP = "  "
# Before what continues a row.
INDENT = "    "


def print_table(
    out: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str] = (),
) -> None:
    """Print rows below their headings. `numbers`: the headings of columns aligned to the right.

    Where the console is too narrow, each row becomes a paragraph that begins with its first cell.
    """
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > out.width:
        _print_paragraphs(out, headings, rows)
        return
    for row in (headings, *rows):
        cells = []
        for heading, cell, width in zip(headings, row, widths, strict=True):
            cells.append(cell.rjust(width) if heading in numbers else cell.ljust(width))
        line = _GAP.join(cells).rstrip()
        print_line(out, bold(line) if row is headings else escape(line))


def print_described_table(
    out: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Collection[str] = (),
) -> None:
    """Print rows whose last cell is a description, which stands below its row if it is too wide."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, cells)) for cells in columns]
    if sum(widths) + len(_GAP) * (len(widths) - 1) <= out.width:
        print_table(out, headings, rows, numbers)
        return
    for row in (headings, *rows):
        *cells, description = row
        pairs = zip(headings[:-1], cells, widths[:-1], strict=True)
        aligned = [c.rjust(w) if heading in numbers else c.ljust(w) for heading, c, w in pairs]
        line = _GAP.join(aligned).rstrip()
        print_line(out, bold(line) if row is headings else escape(line))
        for part in wrapped(description, out.width):
            print_line(out, bold(part) if row is headings else dim(part))


def wrapped(text: str, width: int) -> list[str]:
    """Return indented lines of text, broken between words only: a name stays whole."""
    return wrap(
        text,
        width,
        initial_indent=INDENT,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_paragraphs(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _, *other_headings = headings
    width = max(map(len, other_headings))
    for title, *cells in rows:
        print_line(out, bold(title))
        for heading, cell in zip(other_headings, cells, strict=True):
            print_line(out, f"  {heading.lower().ljust(width)}{_GAP}{escape(cell)}")
