import json
from pathlib import Path
from types import SimpleNamespace

import docker
import pytest
import requests

from devenv.adapters.engine import DockerEngine, address, chosen, environment
from devenv.errors import DevenvError, ElsewhereError, Exit, ForbiddenError
from devenv.ports import Measured


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
    meta = {
        "Name": name,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}},
    }
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


class Api:
    """An engine's answers by path, and what it was asked."""

    def __init__(self, answers) -> None:
        self.answers, self.asked = answers, []

    def _url(self, path):
        return path

    def _get(self, url, params):
        self.asked.append((url, params))
        return SimpleNamespace(json=lambda: self.answers[url])

    def _post(self, url, params):
        self.asked.append((url, params))

    def _raise_for_status(self, answer): ...

    def events(self, **asked):
        self.asked.append(("events", asked))
        return self.answers["events"]


@pytest.fixture
def engine(monkeypatch):
    def answering(**answers):
        api = Api({name.replace("_", "/"): answer for name, answer in answers.items()})
        monkeypatch.setattr(DockerEngine, "_client", lambda *_: api)
        return DockerEngine(), api

    return answering


def test_build_cache_that_images_have_stays_where_it_is_trimmed(engine):
    one, api = engine()
    one.trim_build_cache(12.7)
    ((path, params),) = api.asked
    assert path == "/build/prune"
    assert json.loads(params["filters"]) == {"private": {}, "until": {"12s": True}}


def test_volumes_and_containers_are_measured_and_what_was_not_is_left_out(engine):
    volumes = [
        {"Name": "v", "UsageData": {"Size": 5}},
        {"Name": "unmeasured", "UsageData": {"Size": -1}},
        {"Name": "w"},
    ]
    containers = [{"Names": ["/c"], "SizeRw": 7}, {"Names": ["/d"]}, {"Names": None}]
    one, _ = engine(_system_df={"Volumes": volumes, "Containers": containers})
    assert one.measure(5) == Measured({"v": 5}, {"c": 7, "d": 0})
    newer, _ = engine(
        _system_df={"VolumeUsage": {"Items": volumes}, "ContainerUsage": {"Items": containers}}
    )
    assert newer.measure(5) == Measured({"v": 5}, {"c": 7, "d": 0})


def test_the_names_that_images_got_are_read_from_events(engine):
    events = [
        {"Actor": {"ID": "sha256:1", "Attributes": {"name": "a:1"}}},
        {"Actor": {"ID": "sha256:2"}},
        {},
    ]
    one, _ = engine(events=events)
    assert one.names_given(0) == [("sha256:1", "a:1")]


def silent(monkeypatch, reason: OSError) -> None:
    """Have the library fail as it does where a connection fails; its own sockets would stay open."""

    def connect(*_args, **_more):
        raise docker.errors.DockerException(
            "Error while fetching server API version"
        ) from requests.ConnectionError("Connection aborted.", reason)

    monkeypatch.setattr("devenv.adapters.engine._Client", connect)


@pytest.mark.parametrize("host", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock", "nonsense"])
def test_an_engine_that_docker_host_names_is_said_to_be_the_reason_once(
    docker_config, monkeypatch, host
):
    monkeypatch.setenv("DOCKER_HOST", host)
    silent(monkeypatch, ConnectionRefusedError(111, "Connection refused"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().info()
    assert chosen() == "DOCKER_HOST"
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert caught.value.why.count("DOCKER_HOST") == 1
    assert "unset DOCKER_HOST" in caught.value.next_step
    assert caught.value.why.endswith("Connection refused.")


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


@pytest.mark.parametrize(
    "content",
    [
        {"auths": 5},
        {"proxies": 5},
        {"proxies": {"default": 5}},
        {"HttpHeaders": 5},
        {"credHelpers": []},
        "[" * 100_000,
    ],
    ids=["auths", "proxies", "a proxy", "headers", "helpers", "deep"],
)
def test_an_odd_value_in_docker_s_config_is_told_with_its_file(docker_config, monkeypatch, content):
    (docker_config / "config.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    monkeypatch.setenv("DOCKER_HOST", "unix:///nosuch.sock")
    with pytest.raises(DevenvError) as caught:
        DockerEngine().image("a")
    assert caught.value.exit_code == Exit.PREREQUISITE
    assert str(docker_config / "config.json") in caught.value.what


def test_a_reason_without_a_number_is_told_in_its_own_words(docker_config, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nosuch.sock")
    silent(monkeypatch, OSError("AF_UNIX path too long"))
    with pytest.raises(ElsewhereError) as caught:
        DockerEngine().image("a")
    assert "OSError" not in caught.value.why
