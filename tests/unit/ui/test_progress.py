import io
import sys
import threading

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from devenv.ui import console
from devenv.ui.progress import Bars, Lines, amount, reporter


class Watch:
    """A clock that a test turns on."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    """Forget the reporter of the test before."""
    monkeypatch.setattr(console, "_shown_progress", None)


def test_progress_is_spelt_by_its_unit(check_message):
    check_message(amount(1 << 20, 4 << 20, "B"))
    check_message(amount(60, 240, "s"))
    assert amount(240, 240, "s") == ""
    check_message(amount(2, 6, "images"))


def pipe() -> tuple[io.StringIO, Lines, Watch]:
    out, now = io.StringIO(), Watch()
    return out, Lines(Console(file=out, width=500, highlight=False), now), now


def test_a_pipe_has_lines(check_message):
    out, shown, now = pipe()
    shown.begin("cluster")
    shown.update("cluster", 1, 2, "s")
    now.time += 2
    shown.end("cluster", "created [by] kind")
    shown.begin("images")
    now.time += 3
    shown.fail("images")
    shown.say("[text]")
    shown.close()
    check_message(out.getvalue())
    assert "\x1b" not in out.getvalue()


def test_a_pipe_learns_what_a_long_step_waits_for(check_message):
    out, shown, now = pipe()
    shown.plan(("other", "apply gateway"))
    shown.begin("apply gateway")
    for _ in range(400):
        now.time += 0.2
        shown.detail("apply gateway", "waiting for the webhook")
    shown.detail("apply gateway", "")
    shown.end("apply gateway")
    check_message(out.getvalue())


def test_a_stage_is_printed_at_once(check_message):
    out, shown, now = pipe()
    shown.begin("cluster")
    for stage in ("Preparing nodes", "Starting control-plane"):
        now.time += 1
        shown.stage("cluster", stage)
    check_message(out.getvalue())


def test_steps_that_took_no_time_share_a_line(check_message):
    out, shown, now = pipe()
    shown.plan(("a", "b", "c"))
    for name in "ab":
        shown.begin(name)
        shown.end(name, "2 [objects]" if name == "b" else "")
    shown.begin("c")
    now.time += 1
    assert out.getvalue() == ""
    shown.end("c")
    shown.begin("d")
    shown.end("d")
    shown.close()
    check_message(out.getvalue())


def test_only_steps_of_the_plan_are_numbered_and_a_new_plan_begins_at_one(check_message):
    out, shown, now = pipe()
    for plan in (("a", "b"), ("b", "c"), ("c",)):
        shown.plan(plan)
        run_steps(shown, now, "x", *plan)
    check_message(out.getvalue())


def test_a_plan_within_a_plan_keeps_the_numbers_and_what_is_skipped_has_none(check_message):
    out, shown, now = pipe()
    shown.plan(("a", "b", "c", "d"))
    run_steps(shown, now, "a")
    shown.plan(("b", "c"))
    run_steps(shown, now, "b")
    for name in ("c", "never planned"):
        shown.skip(name)
    run_steps(shown, now, "d")
    check_message(out.getvalue())


def run_steps(shown, now, *names):
    for name in names:
        shown.begin(name)
        now.time += 1
        shown.end(name)


def terminal(width: int = 80) -> tuple[io.StringIO, Bars]:
    out = io.StringIO()
    shown = reporter(Console(file=out, width=width, force_terminal=True, highlight=False))
    assert isinstance(shown, Bars)
    return out, shown


def plain(out: io.StringIO) -> str:
    return Text.from_ansi(out.getvalue()).plain


def test_a_terminal_is_left_alone_where_nothing_takes_long():
    out, shown = terminal()
    shown.close()
    assert out.getvalue() == ""


@pytest.mark.parametrize("width", [80, 160])
def test_a_bar_has_number_time_count_and_detail_and_becomes_a_line(width, check_message):
    out, shown = terminal(width)
    shown.plan(("images", "pods"))
    shown.begin("images")
    shown.update("images", 1, 6, "images")
    shown.detail("images", "envoy")
    shown._progress.refresh()
    last_line = plain(out).splitlines()[-1]
    assert cell_len(last_line) <= width
    for part in ("[1/2] images", "0:00", "1 of 6 images", "envoy"):
        assert part in last_line
    shown.end("images", "6 loaded")
    shown.close()
    assert "6 loaded" in plain(out)


def test_a_long_detail_does_not_break_a_narrow_terminal():
    out, shown = terminal(80)
    shown.begin("images")
    shown.detail("images", "x" * 300)
    shown._progress.refresh()
    shown.close()
    assert "…" in out.getvalue()
    assert max(map(cell_len, plain(out).splitlines())) <= 80


def test_a_result_has_the_terminal_for_itself(monkeypatch):
    screen, shown = terminal()
    result = io.StringIO()
    monkeypatch.setattr(sys, "stdout", result)
    shown.begin("images")
    console.result().print("a result")
    drawn = len(screen.getvalue())
    assert shown._progress is None
    shown.detail("images", "more")
    assert len(screen.getvalue()) == drawn
    assert result.getvalue() == "a result\n"
    shown.begin("pods")
    assert len(screen.getvalue()) > drawn
    shown.end("pods")
    shown.end("images")
    shown.close()


def test_lines_that_were_held_back_come_before_a_result():
    screen, shown = terminal()
    # No time passes, however busy the machine is.
    shown._now = Watch()
    shown.begin("fast")
    shown.end("fast")
    assert "✓ fast" not in plain(screen)
    console.result()
    assert "✓ fast" in plain(screen)


def test_nothing_is_drawn_between_two_steps():
    _, shown = terminal()
    shown.begin("a")
    shown.end("a")
    assert shown._progress is None
    shown.begin("b")
    assert shown._progress is not None
    shown.fail("b")
    assert shown._progress is None


def test_an_interrupt_says_once_what_is_being_ended(check_message, monkeypatch):
    out, shown, _ = pipe()
    console.show_progress_with(shown)
    console.tell_interrupt()
    assert out.getvalue() == ""
    for name in ("images", "cluster"):
        shown.begin(name)
    console.tell_interrupt()
    console.tell_interrupt()
    check_message(out.getvalue())


def test_an_interrupt_waits_for_no_thread_that_may_wait_for_it(monkeypatch):
    monkeypatch.setattr("devenv.ui.progress._LOCK_SECONDS", 0.01)
    out, shown, _ = pipe()
    shown.begin("images")
    has_lock, is_over = threading.Event(), threading.Event()

    def print_slowly():
        with shown._lock:
            has_lock.set()
            is_over.wait(60)

    thread = threading.Thread(target=print_slowly)
    thread.start()
    has_lock.wait(60)
    shown.interrupt()
    assert out.getvalue() == ""
    is_over.set()
    thread.join()
    shown.interrupt()
    assert "images" in out.getvalue()
