import io

from rich.console import Console
from rich.text import Text

from devenv.ui.progress import Bars, Lines, amount, reporter


def test_progress_is_spelt_by_its_unit(check_message):
    check_message(amount(1 << 20, 4 << 20, "B"))
    check_message(amount(60, 240, "s"))
    assert amount(240, 240, "s") == ""
    check_message(amount(2, 6, "images"))


def test_a_pipe_gets_plain_lines():
    out = io.StringIO()
    shown = reporter(Console(file=out, width=500))
    assert type(shown) is Lines
    shown.begin("cluster")
    shown.update("cluster", 1, 2, "s")
    shown.end("cluster", "created [by] kind")
    shown.begin("images")
    shown.fail("images")
    shown.close()
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("✓ cluster  created [by] kind")
    assert lines[1].startswith("✗ images")
    assert "\x1b" not in out.getvalue()


def terminal(width: int = 80) -> tuple[io.StringIO, Bars]:
    out = io.StringIO()
    shown = reporter(Console(file=out, width=width, force_terminal=True))
    assert isinstance(shown, Bars)
    return out, shown


def test_a_terminal_is_left_alone_where_nothing_takes_long():
    out, shown = terminal()
    shown.close()
    assert out.getvalue() == ""


def test_a_bar_shows_count_and_detail_and_becomes_a_line():
    out, shown = terminal(120)
    shown.begin("images")
    shown.update("images", 1, 6, "images")
    shown.detail("images", "envoy")
    shown._progress.refresh()
    assert "1 of 6 images  envoy" in out.getvalue()
    shown.end("images", "6 loaded")
    shown.close()
    assert "images  6 loaded" in Text.from_ansi(out.getvalue()).plain


def test_a_long_detail_does_not_break_a_narrow_terminal():
    out, shown = terminal(80)
    shown.begin("images")
    shown.detail("images", "x" * 300)
    shown._progress.refresh()
    shown.close()
    assert "…" in out.getvalue()
    assert "x" * 60 not in out.getvalue()
