"""What --quiet leaves out and --verbose adds."""

import io

import pytest
from rich.console import Console

from devenv.base.errors import DevenvError
from devenv.ui import console, errors, life, verbosity
from devenv.ui.progress import DetailedLines, Silence, program_line, reporter
from devenv.ui.verbosity import Verbosity
from devenv.wiring import world


@pytest.fixture(autouse=True)
def normal():
    yield
    verbosity.choose(Verbosity.NORMAL)


def shown(choice: Verbosity, *, terminal: bool = False) -> str:
    """What the chosen reporter prints of two steps."""
    verbosity.choose(choice)
    out = io.StringIO()
    lines = reporter(Console(file=out, width=500, force_terminal=terminal, no_color=True))
    lines.begin("cluster")
    lines.update("cluster", 1, 2, "s")
    lines.detail("cluster", "kind")
    lines.detail("cluster", "kind")
    lines.end("cluster", "made")
    lines.begin("images")
    lines.fail("images")
    lines.say("by-the-way")
    lines.close()
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_no_progress(terminal):
    assert shown(Verbosity.QUIET, terminal=terminal) == ""


def test_verbose_shows_each_beginning_and_each_change_once():
    lines = shown(Verbosity.VERBOSE).splitlines()
    assert [line.split()[0].rstrip(":") for line in lines] == [
        "cluster", "cluster", "✓", "images", "✗", "by-the-way",
    ]  # fmt: skip
    assert sum("kind" in line for line in lines) == 1


def test_a_terminal_gets_lines_too_if_everything_is_to_be_shown():
    verbosity.choose(Verbosity.VERBOSE)
    assert type(reporter(Console(file=io.StringIO(), force_terminal=True))) is DetailedLines
    verbosity.choose(Verbosity.QUIET)
    assert type(reporter(Console(file=io.StringIO(), force_terminal=True))) is Silence


def test_normal_shows_less_than_verbose():
    assert "kind" not in shown(Verbosity.NORMAL)


def test_quiet_keeps_errors_and_warnings_and_leaves_out_notes(capsys):
    verbosity.choose(Verbosity.QUIET)
    console.note("saved")
    errors.error(DevenvError("broken"))
    errors.warning(DevenvError("odd"), "ignored")
    err = capsys.readouterr().err
    assert "saved" not in err
    assert "broken" in err
    assert "odd" in err
    verbosity.choose(Verbosity.NORMAL)
    console.note("saved")
    assert "saved" in capsys.readouterr().err


def test_quiet_shows_no_sign_of_life(monkeypatch):
    written = []
    monkeypatch.setattr(life, "_is_terminal", lambda _: True)
    monkeypatch.setattr(life, "_write", lambda _, text: written.append(text))
    verbosity.choose(Verbosity.QUIET)
    with life.sign_of_life("Looking"):
        pass
    assert written == []
    verbosity.choose(Verbosity.NORMAL)
    with life.sign_of_life("Looking"):
        pass
    assert written != []


def test_verbose_shows_a_line_in_place_of_the_sign_of_life(capsys):
    verbosity.choose(Verbosity.VERBOSE)
    with life.sign_of_life("Looking"):
        assert capsys.readouterr().err == "Looking\n"
    assert capsys.readouterr().err == ""


def test_a_program_is_shown_as_a_shell_takes_it_without_credentials():
    assert program_line(["kind", "create", "a b"]) == "$ kind create 'a b'"
    assert "hunter2" not in program_line(["x", "--token", "hunter2"])
    assert "hunter2" not in program_line(["x", "https://me:hunter2@host"])


@pytest.mark.parametrize("choice", Verbosity)
def test_programs_are_shown_only_if_everything_is(choice, capsys, tmp_path):
    verbosity.choose(choice)
    with world(tmp_path) as instance:
        instance.host.attach(["true"], {})
    assert ("$ true" in capsys.readouterr().err) is (choice is Verbosity.VERBOSE)
