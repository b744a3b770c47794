"""Tables: one line a row if that fits, otherwise one line a cell. No cell is cut or broken."""

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.markup import escape

from devenv.ui.console import print_line
from devenv.ui.marks import bold

# Columns between two columns of a table.
_GAP = "  "


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


def _print_paragraphs(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    _, *other_headings = headings
    width = max(map(len, other_headings))
    for title, *cells in rows:
        print_line(out, bold(title))
        for heading, cell in zip(other_headings, cells, strict=True):
            print_line(out, f"  {heading.lower().ljust(width)}{_GAP}{escape(cell)}")
