"""A credential helper that does not work: builds and pulls go on without it, and it is said once."""

import base64
import json
import stat

import pytest

from devenv.adapters.docker import DockerEngine
from devenv.base.errors import NotReachableError
from tests.unit.adapters import servers

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
AUTHS = {"mine.invalid": {"auth": base64.b64encode(b"me:hush").decode()}}
CONFIGS = [
    {"credsStore": "missing"},
    {"credsStore": "broken"},
    {"credHelpers": {"r.invalid": "missing"}},
    {"credsStore": "broken", "credHelpers": {"r.invalid": "broken"}, "auths": AUTHS},
]


@pytest.fixture
def engine(monkeypatch, tmp_path):
    with servers.serving(
        servers.Engine, seen=[], pull=b"unauthorized: authentication required", info=b"{}"
    ) as server:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / "context.tar").write_bytes(b"")
        broken = tmp_path / "docker-credential-broken"
        broken.write_text("#!/bin/sh\necho it is locked\nexit 1\n")
        broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
        yield server


@pytest.mark.parametrize("config", CONFIGS)
def test_builds_and_pulls_go_on_and_it_is_said_once(engine, tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    told = []
    docker = DockerEngine(told.append)
    for name in ("x:1", "x:2"):
        docker.build(tmp_path / "context.tar", name, {}, {}, lambda _: None)
        with pytest.raises(NotReachableError):
            docker.pull("r.invalid/x:1", "linux/amd64", lambda *_: None)
    assert len([path for path, _ in engine.seen if "/build" in path]) == 2
    assert len([path for path, _ in engine.seen if "/images/create" in path]) == 2
    assert len(told) == 1
    assert str(tmp_path / "config.json") in told[0]
    assert all(key in told[0] for key in config if key != "auths")


def test_credentials_that_are_in_the_file_are_still_sent(engine, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS[-1]))
    DockerEngine().build(tmp_path / "context.tar", "x:1", {}, {}, lambda _: None)
    headers = {name.lower(): value for name, value in engine.seen[0][1].items()}
    sent = json.loads(base64.urlsafe_b64decode(headers["x-registry-config"]))
    assert sent["mine.invalid"]["username"] == "me"


def test_a_registry_that_is_asked_for_an_image_tells_why_not(engine, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "missing"}))
    told = []
    assert "unauthorized" in DockerEngine(told.append).registry_problem("r.invalid/x:1")
    assert len(told) == 1
