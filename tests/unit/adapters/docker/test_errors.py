import json

import docker
import pytest
import requests

from devenv.adapters.docker import DockerEngine
from devenv.adapters.docker.address import address_origin
from devenv.base.errors import ElsewhereError, Exit, ForbiddenError
from tests.unit.adapters.docker.contexts import add_context


def silent(monkeypatch, reason: OSError) -> None:
    """Have the library fail as it does where a connection fails; its own sockets would stay open."""

    def connect(*_args, **_more):
        raise docker.errors.DockerException(
            "Error while fetching server API version"
        ) from requests.ConnectionError("Connection aborted.", reason)

    monkeypatch.setattr("devenv.adapters.docker.client.Client", connect)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock", "nonsense"])
def test_an_engine_that_docker_host_names_is_said_to_be_the_reason_once(
    docker_config, monkeypatch, host, expect_error
):
    monkeypatch.setenv("DOCKER_HOST", host)
    silent(monkeypatch, ConnectionRefusedError(111, "Connection refused"))
    with expect_error(Exit.PREREQUISITE, ElsewhereError):
        DockerEngine().info()
    assert address_origin() == "DOCKER_HOST"


@pytest.mark.parametrize("by", ["current", "variable"])
def test_so_is_a_docker_context(docker_config, monkeypatch, by):
    add_context(docker_config, "mine", "unix:///nowhere/docker.sock")
    if by == "current":
        (docker_config / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    else:
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    silent(monkeypatch, FileNotFoundError(2, "No such file or directory"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().info()
    assert "ontext" in caught.value.why
    assert "mine" in caught.value.why or by == "current"


def test_who_may_not_use_the_engine_is_told_that(docker_config, monkeypatch, expect_error):
    silent(monkeypatch, PermissionError(13, "Permission denied"))
    with expect_error(Exit.PREREQUISITE, ForbiddenError):
        DockerEngine().info()


@pytest.mark.parametrize(
    "host",
    ["tcp://127.0.0.1:99999", "tcp://127.0.0.1:x", "tcp://[::1", "[red]"],
)
def test_what_is_no_address_is_told_with_what_names_it(docker_config, monkeypatch, host):
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().image("a")
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert "DOCKER_HOST" in caught.value.why


def test_a_reason_without_a_number_is_told_in_its_own_words(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nosuch.sock")
    silent(monkeypatch, OSError("AF_UNIX path too long"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().image("a")
    assert "OSError" not in caught.value.why
