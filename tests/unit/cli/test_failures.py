"""Errors for scripts: one JSON object in place of the result."""

import errno
import json
import os

import click
import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.cli import app
from devenv.cli.additions import UNTIMED
from devenv.cli.failures import as_told, tell_total, wants_json


@pytest.mark.parametrize(
    "args",
    [
        "status -o json",
        "-n c status --output json",
        "status --output=json",
        "status -ojson",
        "logs -fo json",
        "logs -fojson",
        "nonsense -o json",
    ],
)
def test_json_is_asked_for(args):
    assert wants_json(args.split())


@pytest.mark.parametrize(
    "args",
    [
        "status",
        "-n c kubectl get -o json",
        "status -o text",
        "profile show json",
        "test-e2e -- -o json",
        "status -o",
    ],
)
def test_json_is_not_asked_for(args):
    assert not wants_json(args.split())


def told(capsys) -> dict[str, str]:
    """The error on standard output, where nothing else may be; nor is it said a second time."""
    out, err = capsys.readouterr()
    assert err == ""
    (line,) = out.splitlines()
    document = json.loads(line)
    assert (document["version"], document["kind"]) == (1, "error")
    assert sorted(document["result"]) == ["error", "next_step", "why"]
    return document["result"]


@pytest.mark.parametrize(
    "args",
    [
        "sideways -o json",
        "model sideways -o json",
        "status --sideways -o json",
        "status -n ../x -o json",
        "kubeconfig -o json",
        "down --all -o json",
        "request --route sideways -o json",
        "status --profile sideways -o json",
        "up -o json --with",
    ],
)
def test_wrong_usage(args, capsys):
    assert app.run(args.split()) == Exit.USAGE
    result = told(capsys)
    assert result["error"]
    assert result["next_step"]


SHOWN_BEFORE = DevenvError("a", "b", "c", Exit.PREREQUISITE)
SHOWN_BEFORE.told = True


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DevenvError("a", "b", "c", Exit.UNKNOWN), Exit.UNKNOWN),
        (SHOWN_BEFORE, Exit.PREREQUISITE),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/some/file"), Exit.FAILED),
        (TypeError("boom"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (click.Abort(), Exit.INTERRUPTED),
    ],
)
def test_every_error_keeps_its_exit_code(monkeypatch, capsys, error, code):
    def broken(**_):
        raise error

    monkeypatch.setattr(app.app, "main", broken)
    assert app.run(["status", "-o", "json"]) == code
    result = told(capsys)
    if isinstance(error, DevenvError):
        assert list(result.values()) == ["a", "b", "c"]


def test_what_follows_two_dashes_is_for_another_program(capsys):
    assert app.run(["test-e2e", "--sideways", "--", "-o", "json"]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "--sideways" in err


@pytest.mark.parametrize(
    ("args", "command"),
    [
        ("status", "devenv bugreport"),
        ("-n c status", "devenv -n c bugreport"),
        ("status --name c", "devenv -n c bugreport"),
        ("status --name=c", "devenv --name=c bugreport"),
        ("kubectl -n default get pods", "devenv bugreport"),
        ("-n c kubectl -n default get pods", "devenv -n c bugreport"),
    ],
)
def test_an_internal_error_names_the_report_of_the_same_cluster(args, command):
    error = as_told(TypeError("boom"), args.split())
    assert f"`{command}`" in error.next_step


@pytest.mark.parametrize("code", [Exit.OK, Exit.FAILED])
@pytest.mark.parametrize("seconds", [2.04, 125.4])
def test_a_command_that_takes_a_while_ends_with_its_total(capsys, check_message, seconds, code):
    tell_total(seconds, code)
    printed = capsys.readouterr()
    assert printed.out == ""
    check_message(printed.err)


def test_a_quick_command_and_a_completion_say_nothing_of_their_time(capsys, monkeypatch):
    tell_total(1.9, Exit.OK)
    monkeypatch.setenv("_DEVENV_COMPLETE", "bash_complete")
    tell_total(60, Exit.OK)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_timed", [True, False])
def test_each_command_is_timed_unless_a_user_ends_it(monkeypatch, is_timed):
    totals = []

    def run(_args, settings):
        if not is_timed:
            settings[UNTIMED] = True
        return Exit.FAILED

    monkeypatch.setattr(app, "_run", run)
    monkeypatch.setattr(app, "tell_total", lambda seconds, code: totals.append(code))
    assert app.run(["status"]) == Exit.FAILED
    assert totals == [Exit.FAILED] * is_timed


@pytest.mark.parametrize(
    ("command", "is_timed"),
    [("logs -f", False), ("status -w", False), ("kubectl get", False), ("logs", True)],
)
def test_a_command_without_an_end_of_its_own_has_no_total(monkeypatch, command, is_timed):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("devenv.wiring.world", stop)
    settings = {}
    app._run(command.split(), settings)
    assert (UNTIMED not in settings) is is_timed
