import json
from pathlib import Path

import docker
import pytest
import requests

from devenv.adapters.engine import DockerEngine, address, chosen, environment
from devenv.errors import DevenvError, ElsewhereError, Exit, ForbiddenError


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


def silent(monkeypatch, reason: OSError) -> None:
    """Have the library fail as it does where a connection fails; its own sockets would stay open."""

    def connect(*_args, **_more):
        raise docker.errors.DockerException("Error while fetching server API version") from requests.ConnectionError(
            "Connection aborted.", reason
        )

    monkeypatch.setattr("docker.APIClient", connect)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock", "nonsense"])
def test_an_engine_that_docker_host_names_is_said_to_be_the_reason_once(docker_config, monkeypatch, host):
    monkeypatch.setenv("DOCKER_HOST", host)
    silent(monkeypatch, ConnectionRefusedError(111, "Connection refused"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().info()
    assert chosen() == "DOCKER_HOST"
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert str(caught.value).count("DOCKER_HOST names it") == 1
    assert "unset DOCKER_HOST" in caught.value.next_step
    assert caught.value.why.endswith("names it. Connection refused.")


@pytest.mark.parametrize("by", ["current", "variable"])
def test_so_is_a_docker_context(docker_config, monkeypatch, by):
    context(docker_config, "mine", "unix:///nowhere/docker.sock")
    if by == "current":
        (docker_config / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    else:
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    silent(monkeypatch, FileNotFoundError(2, "No such file or directory"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().info()
    assert "ontext" in caught.value.why
    assert "mine" in caught.value.why or by == "current"


def test_the_usual_socket_is_nobody_s_choice(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert chosen() == ""
    monkeypatch.delenv("DOCKER_HOST")
    assert chosen() == ""


def test_who_may_not_use_the_engine_is_told_that(docker_config, monkeypatch):
    silent(monkeypatch, PermissionError(13, "Permission denied"))
    with pytest.raises(ForbiddenError) as caught:
        DockerEngine().info()
    assert "group docker" in caught.value.next_step
