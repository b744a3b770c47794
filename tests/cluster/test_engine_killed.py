"""The engine ends beneath `up`, or loses kind's network: the next command heals. On an engine of the tests' own."""

import subprocess

import pytest

from tests.cluster.lab import Lab


@pytest.fixture(scope="module")
def lab(small_disk, tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("engine"), "devenv-test-engine", small_disk.docker_host)
    yield made
    made.devenv("down")


def test_the_engine_is_stopped_beneath_it(small_disk, lab):
    argv = lab.argv("up", "--profile", str(lab.profile))
    with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, text=True) as run:
        lab.eventually(
            "the node",
            lambda: "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container",
        )
        small_disk.kill()
        try:
            told = run.stderr.read()
            assert run.wait() in {1, 3}
            assert "Error: " in told
            assert "Traceback" not in told
            refused = lab.devenv("up", "--profile", str(lab.profile), check=False)
            assert refused.returncode == 3
            assert small_disk.docker_host in refused.stderr
        finally:
            small_disk.launch()
    assert lab.proven()


def test_a_network_that_is_gone_is_named_and_made_again(lab):
    assert lab.proven()
    lab.devenv("stop")
    lab.docker("network", "rm", "kind")
    (cause,) = lab.doctor()["causes"]
    assert cause["code"] == "DE109"
    assert all(answer["ok"] for answer in lab.json("recover", "--yes")["requests"])
    assert lab.doctor()["healthy"]
