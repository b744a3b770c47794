"""Bad input, on the real engine: refused before anything changes, with what to do."""

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile

import psutil
import pytest

from tests.cluster.lab import Lab


@pytest.fixture
def lab(at_hand, tmp_path):
    made = Lab(tmp_path, "devenv-test-refused")
    yield made
    # Only its own: other tests make clusters at the same time.
    assert not made.docker("ps", "-aq", "--filter", f"name={made.node}"), "something was made"
    assert not (tmp_path / "kubeconfig").exists()


def refusal(lab: Lab, *args: str, code: int = 2, env: dict[str, str] | None = None) -> str:
    """Return what is told on standard error."""
    argv = lab.argv("up", *(args or ("--profile", str(lab.profile))))
    done = subprocess.run(
        argv,
        env={**lab.env, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def with_manifest(lab: Lab, url: str) -> None:
    manifest = f"{{name: a, url: '{url}', sha256: {'a' * 64}}}"
    lab.profile.write_text(
        f"extends: offline\ngateway: {{host_port: {lab.port}}}\nmanifests: [{manifest}]\n"
    )


def test_a_profile_with_six_errors_tells_all_six(lab):
    lab.profile.write_text(
        "extends: offline\n"
        "gateway:\n  host_port: 99999\n  colour: red\n"
        "needs: {memory: lots}\n"
        "images:\n  - {name: envoy, ref: [1]}\n"
        "requests:\n  - {name: direct, route: sideways, model: m}\n"
        "unknown: 1\n"
    )
    told = refusal(lab)
    for line, key in (
        (3, "gateway.host_port"),
        (4, "gateway.colour"),
        (5, "needs.memory"),
        (10, "unknown"),
    ):
        assert f"{lab.profile}:{line}: {key}: " in told
    assert ".ref: " in told
    assert ".route: " in told


def test_an_unknown_profile(lab):
    assert "aibrix, aibrix-e2e, offline" in refusal(lab, "--profile", "nobody")


def test_an_image_without_a_source(lab):
    lab.profile.write_text(
        "extends: offline\nimages: [{name: vllm-mock, recipe: '', pull: false}]\n"
    )
    assert f"{lab.profile}:2: images.vllm-mock: " in refusal(lab)


def test_files_that_cannot_be_used_are_told_together(lab, tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    config = json.dumps({"architecture": "s390x"}).encode()
    manifest = json.dumps(
        [{"Config": "c.json", "RepoTags": ["kindest/node:x"], "Layers": []}]
    ).encode()
    with tarfile.open(tmp_path / "node.tar", "w") as tar:
        for name, content in (("c.json", config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    lab.profile.write_text(
        f"extends: offline\ngateway: {{host_port: {lab.port}}}\n"
        "images:\n  - {name: node, ref: 'kindest/node:x', archive: node.tar}\n  - {name: envoy, archive: missing.tar}\n"
        "manifests: [{name: models, path: bad.yaml}]\n"
    )
    told = refusal(lab)
    assert "node.tar" in told
    assert "s390x" in told
    assert "missing.tar" in told
    assert "bad.yaml:2:" in told


def test_a_download_that_is_not_what_was_recorded(lab, tmp_path):
    (tmp_path / "web").mkdir()
    content = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    (tmp_path / "web" / "m.yaml").write_bytes(content)
    argv = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        tmp_path / "web",
        "0",
    ]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            port = server.stdout.readline().split("port ")[1].split()[0]
            with_manifest(lab, f"http://127.0.0.1:{port}/m.yaml")
            told = refusal(lab)
        finally:
            server.terminate()
    assert "a" * 64 in told
    assert hashlib.sha256(content).hexdigest() in told


def test_an_address_that_does_not_answer(lab):
    with_manifest(lab, "http://127.0.0.1:9/m.yaml")
    assert "http://127.0.0.1:9/m.yaml" in refusal(lab, code=3)


def test_a_port_that_is_taken_says_by_whom(lab):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", lab.port))
        holder.listen()
        me = psutil.Process()  # "python" or "pytest", by how the tests were started
        taken = f"Port {lab.port} is taken by {me.name()} (process {me.pid})"
        assert taken in refusal(lab, code=3)
        with lab.profile.open("a") as profile:
            profile.write("manifests: [{name: models, path: missing.yaml}]\n")
        told = refusal(lab)
        assert taken in told
        assert "missing.yaml" in told


def test_no_engine(lab):
    told = refusal(lab, code=3, env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert "unix:///nowhere.sock" in told
    assert "DOCKER_HOST" in told


@pytest.mark.skipif(
    shutil.which("setpriv") is None or os.geteuid() != 0, reason="only root can give up its rights"
)
def test_an_engine_without_permission(lab, tmp_path):
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(path))
        os.chown(path, 65534, 65534)
        path.chmod(0o600)
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        done = subprocess.run(
            [*drop, *lab.argv("up")], env={**lab.env, "DOCKER_HOST": f"unix://{path}"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert str(path) in done.stderr
    assert "group docker" in done.stderr


def test_a_disk_too_small(lab):
    lab.profile.write_text("extends: offline\nneeds: {disk: 900Ti}\n")
    assert "921600 GiB" in refusal(lab, code=3)


def test_too_little_memory_and_too_few_cpus_are_told_together(lab):
    lab.profile.write_text("extends: offline\nneeds: {memory: 1Ti, cpus: 4000}\n")
    told = refusal(lab, code=3)
    assert "1024 GiB" in told
    assert "4000" in told


def test_a_state_folder_that_cannot_be_written(lab, tmp_path):
    (tmp_path / "file").write_text("")
    told = refusal(lab, code=3, env={"XDG_STATE_HOME": str(tmp_path / "file")})
    assert str(tmp_path / "file") in told
    assert "XDG_STATE_HOME" in told
