"""Standard streams that are closed, full, read by nobody, or without Unicode: the work is done, and the exit code tells."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import INCIDENTS
from tests.totals import without_total

FACTS = INCIDENTS / "the-incident" / "facts.json"
DIAGNOSE = ("doctor", "--from", str(FACTS), "--all")  # exits with 1
LISTING = ("doctor", "--list")  # exits with 0
# Writes more than any buffer holds, changes something, and writes again.
CHANGE = """
import sys
from devenv import streams
streams.guard()
from devenv.ui import console
for stream in (console.result(), console.progress()):
    stream.print("✓ " * 100_000)
open(sys.argv[1], "w").close()
console.result().print("✓")
console.progress().print("✓")
sys.exit(streams.finish(0))
"""


def run(argv, shell: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command with its streams as the shell redirects them."""
    script = f'"$@" {shell}'
    full = {**os.environ, **env}
    return subprocess.run(
        ["sh", "-c", script, "sh", *argv], capture_output=True, env=full, check=False, timeout=60
    )


def devenv(*args: str) -> list[str]:
    return [sys.executable, "-m", "devenv", *args]


@functools.cache
def usual(args: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
    return run(devenv(*args), "")


def possible(*redirections: str) -> list[str]:
    """Return those that this system can do: a device that is always full is Linux's."""
    return [one for one in redirections if "/dev/full" not in one or Path("/dev/full").exists()]


@pytest.fixture(
    params=possible(
        "> /dev/full", ">&-", "> /dev/full 2> /dev/full", "2> /dev/full", "<&- >&- 2>&-"
    )
)
def redirection(request) -> str:
    return request.param


def test_a_change_that_has_begun_is_finished_and_the_exit_code_tells(redirection, tmp_path):
    done = run([sys.executable, "-c", CHANGE, str(tmp_path / "changed")], redirection)
    assert (tmp_path / "changed").exists()
    lost = ">&-" in redirection.replace("2>&-", "") or redirection.startswith("> /dev/full")
    assert done.returncode == (1 if lost else 0), done.stderr[-300:]
    assert b"Traceback" not in done.stderr
    if lost and "2>" not in redirection:
        assert done.stderr.splitlines()[-1].startswith(b"Error: ")


@pytest.mark.parametrize("where", possible("> /dev/full", ">&-"))
@pytest.mark.parametrize("args", [LISTING, ("--help",)])
def test_a_result_that_can_t_be_written_is_one_sentence_and_exit_1(args, where):
    done = run(devenv(*args), where)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(b"Error: ")


@pytest.mark.parametrize("args", [LISTING, DIAGNOSE])
def test_a_reader_that_leaves_is_not_told(args):
    whole = usual(args)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            devenv(*args), stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert done.returncode == whole.returncode
    assert without_total(done.stderr.decode()) == without_total(whole.stderr.decode())


def test_a_progress_that_nobody_reads_changes_nothing(tmp_path):
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-c", CHANGE, str(tmp_path / "changed")]
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(argv, stdout=pipe, stderr=pipe, check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "changed").exists()


@pytest.mark.parametrize("args", [DIAGNOSE, ("profile", "show", "nonsense")])
def test_without_standard_error_nothing_else_changes(args):
    done = run(devenv(*args), "2>&-")
    assert (done.returncode, done.stdout) == (usual(args).returncode, usual(args).stdout)


ASCII = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C"},
]


@pytest.mark.parametrize("env", ASCII)
@pytest.mark.parametrize("args", [DIAGNOSE, ("--help",), ("profile", "show", "nonsense")])
def test_an_encoding_without_unicode_gets_ascii(args, env):
    done = run(devenv(*args), "", **env)
    assert done.returncode == usual(args).returncode
    assert b"Traceback" not in done.stderr
    if "PYTHONIOENCODING" in env or "PYTHONUTF8" in env:
        assert (done.stdout + done.stderr).isascii()


def test_a_page_is_the_same_file_in_every_encoding():
    args = ("doctor", "--from", str(FACTS), "-o", "html")
    assert run(devenv(*args), "", PYTHONIOENCODING="ascii").stdout == usual(args).stdout


def test_a_file_name_that_is_no_text_is_told_too(tmp_path):
    done = run([*map(os.fsencode, devenv("profile", "show")), b"no\xfftext"], "")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


FOLLOW = """
import itertools, sys, types
from devenv import streams
streams.guard()
from devenv.facts.logs import LogLine
from devenv.ui import logs, render, watch
line = LogLine("2026-01-01T00:00:00Z", "c", "p", "k", "text", "")
numbers = itertools.count()
{"lines": lambda: logs.print_logs(itertools.repeat(line), "text"),
 "json": lambda: logs.print_logs(itertools.repeat(line), "json"),
 "watch": lambda: watch.print_rounds(watch.Round(n, n, [str(n)]) for n in numbers),
 "changes": lambda: render.print_changes("status", numbers)}[sys.argv[1]]()
sys.exit(streams.finish(0))
"""


@pytest.mark.parametrize("what", ["lines", "json", "watch", "changes"])
def test_what_goes_on_for_ever_ends_with_its_reader(what):
    done = run([sys.executable, "-c", FOLLOW, what], "| head -n 3")
    assert done.stdout.count(b"\n") >= 3
    assert done.stderr == b""


def test_a_pipe_that_takes_no_more_for_now_is_waited_for(tmp_path):
    read, write = os.pipe()
    os.set_blocking(write, False)
    argv = [sys.executable, "-c", CHANGE, str(tmp_path / "changed")]
    with (
        os.fdopen(write, "wb") as pipe,
        subprocess.Popen(argv, stdout=pipe, stderr=subprocess.DEVNULL) as process,
    ):
        pipe.close()
        with os.fdopen(read, "rb") as reader:
            content = reader.read().decode()
    assert process.returncode == 0
    assert content.count("✓") == 100_001
