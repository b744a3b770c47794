import errno
import os
import subprocess
import sys

import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.cli import app
from devenv.cli.failures import as_told
from tests.totals import without_total


def devenv(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devenv", *args],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["up", "--help"],
        ["request", "--help"],
        ["images", "build", "--help"],
    ],
)
def test_help_imports_nothing_heavy(args):
    script = f"""
import sys
from devenv.cli.app import run
run({args!r})
print([m for m in ("docker", "kubernetes", "pydantic", "yaml", "rich", "psutil", "questionary") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_answers_help():
    for name in app.COMMANDS:
        done = devenv(name, "--help")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage: devenv")


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["up", "--nonsense"],
        ["request", "--route", "sideways"],
        ["status", "-o", "xml"],
        ["down", "--name", "../x"],
        ["up", "--name", "A B"],
    ],
)
def test_a_wrong_call_is_told_and_ends_with_2(args):
    done = devenv(*args)
    assert done.returncode == Exit.USAGE
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_told_without_a_traceback_and_with_one_when_asked(tmp_path, check_message):
    where = f"unix://{tmp_path}/none.sock"
    done = devenv("images", "list", DOCKER_HOST=where)
    assert done.returncode == Exit.PREREQUISITE
    assert done.stdout == ""
    check_message(without_total(done.stderr))
    for args in (
        ("--debug", "images", "list"),
        ("images", "--debug", "list"),
        ("images", "list", "--debug"),
    ):
        debugged = devenv(*args, DOCKER_HOST=where)
        assert debugged.returncode == Exit.PREREQUISITE
        assert "Traceback" in debugged.stderr


def test_an_unknown_profile_is_a_wrong_call(check_message):
    done = devenv("status", "--profile", "unknown")
    assert done.returncode == Exit.USAGE
    check_message(without_total(done.stderr))


def test_an_interrupt_ends_with_130(monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(app.app, "main", interrupted)
    assert app.run([]) == Exit.INTERRUPTED


def test_a_mistake_of_devenvs_own_is_told_in_the_same_form(monkeypatch, capsys):
    def broken(**_):
        raise TypeError("boom")

    monkeypatch.setattr(app.app, "main", broken)
    assert app.run(["up", "--debug", "a b"]) == Exit.FAILED
    told = capsys.readouterr().err
    assert "TypeError: boom" in told
    assert "devenv --debug up 'a b'" in told, "what to attach"
    assert "`devenv bugreport`" in told, "what else to attach"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_file_that_the_system_refuses_is_no_mistake_of_devenvs(monkeypatch, capsys, number):
    def refused(**_):
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setattr(app.app, "main", refused)
    assert app.run([]) == Exit.FAILED
    told = capsys.readouterr().err
    assert "/some/file" in told
    assert "OSError" not in told


def test_an_error_keeps_its_own_exit_code(monkeypatch, capsys):
    def refused(**_):
        raise DevenvError("[what]", "[why]", "next [step]", Exit.UNKNOWN)

    monkeypatch.setattr(app.app, "main", refused)
    assert app.run([]) == Exit.UNKNOWN
    assert capsys.readouterr().err == "Error: [what]\n  [why]\n→ next [step]\n"


def test_completion_is_to_be_had():
    done = devenv(_DEVENV_COMPLETE="bash_source")
    assert "_devenv_completion" in done.stdout


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG])
def test_a_file_in_an_odd_place_is_no_internal_error(number):
    told = as_told(OSError(number, "odd", "/state/file"), [])
    assert told.what.startswith("/state/file")


def test_an_empty_context_is_not_taken_for_the_local_cluster():
    assert app.run(["doctor", "--context", ""]) == Exit.USAGE


INTERRUPTED = """
import os, signal, sys
from devenv import streams
streams.guard()
from devenv.cli import app
from devenv.ui import console, progress

class Command:
    def main(self, **_):
        shown = progress.reporter(console.progress())
        shown.begin("images")
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))

app.app = Command()
sys.exit(app.run([]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_says_at_once_what_is_being_ended(name, check_message):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == Exit.INTERRUPTED
    check_message(without_total(done.stderr))
