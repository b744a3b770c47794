import json

import pytest

from devenv.adapters.docker.address import address, address_origin, docker_environment
from devenv.base.errors import DevenvError, Exit
from tests.unit.adapters.docker.contexts import add_context


def test_docker_host_comes_first(docker_config, monkeypatch):
    add_context(docker_config, "mine", "unix:///mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert address() == "tcp://127.0.0.1:1"
    assert docker_environment() == {}


def test_then_the_context_that_is_named(docker_config, monkeypatch):
    add_context(docker_config, "mine", "unix:///mine.sock")
    monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    assert address() == "unix:///mine.sock"


def test_then_the_current_context(docker_config):
    add_context(docker_config, "mine", "unix:///mine.sock")
    (docker_config / "config.json").write_text(json.dumps({"currentContext": "mine"}))
    assert address() == "unix:///mine.sock"
    assert docker_environment() == {}


def test_else_a_socket_and_the_docker_program_is_led_there_too(docker_config):
    assert address().startswith("unix://")
    assert docker_environment() == {"DOCKER_HOST": address()}


def test_a_context_that_is_not_there_is_told(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(DevenvError, match="nowhere") as caught:
        address()
    assert caught.value.exit_code == Exit.PREREQUISITE


def test_the_usual_socket_is_nobody_s_choice(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/docker.sock")
    assert address_origin() == ""
    monkeypatch.delenv("DOCKER_HOST")
    assert address_origin() == ""
