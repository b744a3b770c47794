"""The whole command, with an engine that does not answer."""

import json
import os
import subprocess
import sys
import tarfile

import pytest

from devenv.base.errors import Exit
from devenv.cli import app
from tests.paths import ROOT
from tests.totals import without_total


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home whose files and variables have secrets."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pa55word@proxy")
    logs = tmp_path / ".cache" / "devenv" / "logs"
    logs.mkdir(parents=True)
    (logs / "setup.log").write_text(f"TOKEN=hunter2hunter2 in {tmp_path}/src")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return tmp_path


def texts(path):
    with tarfile.open(path) as archive:
        return {
            entry.name.partition("/")[2]: archive.extractfile(entry).read().decode()
            for entry in archive
        }


def test_with_no_engine_there_is_a_report_and_it_says_what_is_missing(home):
    # A process of its own, since what does not answer leaves connections open.
    done = subprocess.run(
        [sys.executable, "-m", "devenv", "bugreport", "-o", "json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert without_total(done.stderr) == ""
    result = json.loads(done.stdout)["result"]
    (path,) = (home / "here").iterdir()
    assert result["file"] == path.name
    contents = texts(path)
    assert {entry["name"] for entry in result["contents"]} | {"contents.json"} == set(contents)
    assert {"facts.json", "diagnosis.txt", "versions.json", "configuration.json"} <= set(contents)
    assert [part["name"] for part in result["missing"]] == ["logs.txt"]
    assert "DE101" in contents["diagnosis.txt"]
    everything = "\n".join(contents.values())
    for secret in ("pa55word", "hunter2", str(home)):
        assert secret not in everything
    values = json.loads(contents["configuration.json"])["values"]
    assert values[0] == {"name": "cluster", "value": "devenv", "source": "default", "problem": ""}


def test_a_file_is_refused_before_anything_is_asked(home, capsys, monkeypatch):
    monkeypatch.setattr("devenv.wiring.World.bugreport", None)
    (home / "here" / "mine.tar.gz").write_text("mine")
    assert app.run(["bugreport", "--to", "mine.tar.gz"]) == Exit.USAGE
    assert capsys.readouterr().out == ""
