"""A sign of life is there before anything else is done, and gone before anything else is written."""

import importlib
import io
import sys
import threading
from types import SimpleNamespace

import pytest

from devenv.ui.life import sign_of_life


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr("devenv.ui.life.sys", SimpleNamespace(stderr=stream))
    monkeypatch.setenv("TERM", "xterm")
    return stream


def test_it_is_there_when_the_work_begins_and_gone_when_it_ends(terminal):
    threads = threading.active_count()
    with sign_of_life("Looking"):
        assert "Looking" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[2K")
    assert threading.active_count() == threads


def test_an_error_leaves_nothing_of_it(terminal):
    with pytest.raises(ValueError, match="x"), sign_of_life("Looking"):
        raise ValueError("x")
    assert terminal.getvalue().endswith("\r\x1b[2K")


def test_where_nobody_sees_it_nothing_is_written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("devenv.ui.life.sys", SimpleNamespace(stderr=stream))
    with sign_of_life("Looking"):
        pass
    assert stream.getvalue() == ""


def test_a_dumb_terminal_and_a_closed_one_get_nothing(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with sign_of_life("Looking"):
        pass
    assert terminal.getvalue() == ""
    terminal.close()
    monkeypatch.setenv("TERM", "xterm")
    with sign_of_life("Looking"):
        pass
    monkeypatch.setattr("devenv.ui.life.sys", SimpleNamespace(stderr=None))
    with sign_of_life("Looking"):
        pass


def test_an_encoding_without_braille_gets_plain_letters(terminal, monkeypatch):
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    with sign_of_life("Looking"):
        pass
    assert terminal.getvalue().isascii()


@pytest.mark.parametrize(
    ("argv", "works"),
    [
        (["disk"], "devenv.wiring"), (["prune", "--dry-run"], "devenv.wiring"), (["doctor"], "devenv.diagnosis"),
        (["status"], "devenv.wiring"), (["model", "list"], "devenv.profiles.headers"),
    ],
)  # fmt: skip
def test_it_comes_before_what_takes_long_to_import(terminal, monkeypatch, argv, works):
    from devenv.cli import app

    class Stop(BaseException):
        pass

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == works:
                seen.append(terminal.getvalue())
                raise Stop

    seen: list[str] = []
    monkeypatch.delitem(sys.modules, works, raising=False)
    package, _, module = works.rpartition(".")
    monkeypatch.delattr(importlib.import_module(package), module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(Stop):
        app.run(argv)
    assert "Looking" in seen[0]
