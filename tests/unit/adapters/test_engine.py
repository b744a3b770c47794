import json
from pathlib import Path

import pytest

from devenv.adapters.engine import address, environment
from devenv.errors import DevenvError, Exit


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def context(config: Path, name: str, host: str) -> None:
    import hashlib

    folder = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (folder / "meta.json").write_text(json.dumps(meta))


def test_docker_host_comes_first(docker_config, monkeypatch):
    context(docker_config, "mine", "unix:///mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert address() == "tcp://127.0.0.1:1"
    assert environment() == {}


def test_then_the_context_that_is_named(docker_config, monkeypatch):
    context(docker_config, "mine", "unix:///mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    assert address() == "unix:///mine.sock"


def test_then_the_current_context(docker_config):
    context(docker_config, "mine", "unix:///mine.sock")
    (docker_config / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    assert address() == "unix:///mine.sock"
    assert environment() == {}


def test_else_a_socket_and_the_docker_program_is_led_there_too(docker_config):
    assert address().startswith("unix://")
    assert environment() == {"DOCKER_HOST": address()}


def test_a_context_that_is_not_there_is_told(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(DevenvError, match="no Docker context nowhere") as caught:
        address()
    assert caught.value.exit_code == Exit.PREREQUISITE
