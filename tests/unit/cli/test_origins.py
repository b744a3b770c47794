"""Where a value is from: an option, before or after the command, a variable or the default."""

import json

import pytest

from devenv.cli import app


@pytest.mark.parametrize(
    ("args", "variable", "source"),
    [
        ("config view", "", "default"),
        ("config view", "other", "DEVENV_CLUSTER"),
        ("config view -n mine", "other", "--name"),
        ("-n mine config view", "other", "--name"),
    ],
)
def test_the_cluster(args, variable, source, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEVENV_CLUSTER", variable)
    assert app.run([*args.split(), "-o", "json"]) == 0
    values = json.loads(capsys.readouterr().out)["result"]["values"]
    assert values[0]["source"] == source


@pytest.mark.parametrize(
    ("args", "variable", "source"),
    [
        ("", "offline", "DEVENV_PROFILE"),
        ("--profile offline", "", "--profile"),
    ],
)
def test_the_profile(args, variable, source, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEVENV_PROFILE", variable)
    assert app.run(["config", "view", *args.split(), "-o", "json"]) == 0
    values = json.loads(capsys.readouterr().out)["result"]["values"]
    (profile,) = [value for value in values if value["name"] == "profile"]
    assert profile["source"] == source
