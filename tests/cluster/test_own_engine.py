"""What concerns all clusters of an engine, on one of the tests' own: its end, kind's network, an image's own name."""

import subprocess

import pytest

from tests.by_hand import exhaustive
from tests.cluster.lab import Lab
from tests.cluster.test_reload import CRASHING, KNOWN, id_of


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


def test_up_keeps_an_image_that_was_returned_to(lab, built_refs, tmp_path):
    """The engine has the crashing one under the profile's own name, where any cluster's `up` would find it."""
    assert lab.proven()
    before = id_of(lab, KNOWN)
    base = next(ref for ref in built_refs if "vllm-mock" in ref)
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\n{CRASHING}\n")
    lab.build(KNOWN, tmp_path)
    try:
        assert lab.devenv("reload-image", KNOWN, "--rollback", check=False).returncode == 1
        assert id_of(lab, KNOWN) == before
        assert lab.proven()
        assert id_of(lab, KNOWN) == before
    finally:
        lab.docker("rmi", "-f", KNOWN)


@exhaustive
def test_a_network_that_is_gone_is_named_and_made_again(lab):
    assert lab.proven()
    lab.devenv("stop")
    lab.docker("network", "rm", "kind")
    (cause,) = lab.doctor()["causes"]
    assert cause["code"] == "DE109"
    assert all(answer["ok"] for answer in lab.json("recover", "--yes")["requests"])
    assert lab.doctor()["healthy"]
