import json

import pytest

from devenv.adapters.docker import DockerEngine
from devenv.base.errors import DevenvError, Exit


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
