"""Errors for scripts: one JSON object in place of the result."""

import errno
import json
import os

import click
import pytest

from devenv.base.errors import DevenvError, Exit
from devenv.cli import app
from devenv.cli.failures import as_told, wants_json


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
