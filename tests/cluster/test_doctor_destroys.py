"""Faults that destroy: full disks and a stopped engine, on an engine of the tests' own whose whole disk is 7 GB."""

import io
import subprocess
import tarfile

import pytest

from tests.by_hand import exhaustive
from tests.cluster.lab import Lab
from tests.cluster.test_doctor import record, until_healthy, until_named
from tests.cluster.test_full_disk import UPSTREAM, fill, free, stop_filling, until_latched

JUNK = "devenv-test/junk:1"
JUNK_SIZE = 500 << 20


@pytest.fixture(scope="module")
def lab(small_disk, tmp_path_factory):
    made = Lab(
        tmp_path_factory.mktemp("destroyed"),
        "devenv-test-incident",
        small_disk.docker_host,
        f"{UPSTREAM}keep_newer: 0\n",
    )
    try:
        made.up()
        yield made
    finally:
        made.devenv("down")


@pytest.fixture(autouse=True)
def heal(lab):
    """Whatever a test leaves, the next one begins with a healthy cluster and an empty disk."""
    yield
    free(lab)
    lab.devenv("recover", "--yes", check=False)
    until_healthy(lab)


def bring_junk(lab: Lab) -> None:
    """Put an image that nobody uses into the node, as old builds lie there."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("junk")
        entry.size = JUNK_SIZE
        tar.addfile(entry, io.BytesIO(bytes(JUNK_SIZE)))
    subprocess.run(
        ["docker", "import", "-", JUNK],
        env=lab.env,
        input=archive.getvalue(),
        check=True,
        capture_output=True,
    )
    save = subprocess.Popen(["docker", "save", JUNK], env=lab.env, stdout=subprocess.PIPE)
    load = [
        "docker",
        "exec",
        "-i",
        lab.node,
        "ctr",
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "--local",
        "-",
    ]
    subprocess.run(load, env=lab.env, stdin=save.stdout, check=True, capture_output=True)
    save.stdout.close()
    assert save.wait(60) == 0
    lab.docker("rmi", JUNK)


def test_the_incident(lab):
    bring_junk(lab)
    fill(lab)
    until_latched(lab)
    found = until_named(lab, (("DE201", lab.node),))
    record(lab, "the incident")
    root = found["causes"][0]
    follows = {f["code"] for f in root["consequences"]}
    assert {"DE401", "DE410", "DE601"} <= follows
    assert any("no space left on device" in e["text"] for e in root["evidence"])
    assert root["since"]
    planned = lab.json("recover", "--dry-run", check=False)
    assert [s["kind"] for s in planned["steps"]] == ["room", "restart", "restart"]
    assert [s["target"] for s in planned["steps"]][1:] == ["envoy-gateway", "proxy"]
    assert any("junk" in r["name"] for r in planned["removals"])
    stop_filling(lab)
    lab.json("recover", "--yes")
    until_healthy(lab)


def test_latched_though_the_disk_is_free(lab):
    fill(lab)
    until_latched(lab)
    free(lab)
    found = until_named(lab, (("DE401", "envoy-gateway"),))
    record(lab, "latched")
    assert found["causes"][0]["verdict"] == "latched"
    assert [s["kind"] for s in lab.json("recover", "--yes")["done"]] == ["restart", "restart"]
    until_healthy(lab)


@exhaustive
def test_no_inodes(lab):
    lab.docker("exec", lab.node, "sh", "-c", "mkdir -p /var/fill && chown 65532 /var/fill")
    script = "cd /var/fill && i=0; while mkdir d$i 2>/dev/null && seq 20000 | (cd d$i && xargs touch 2>/dev/null); do i=$((i+1)); done; true"
    lab.docker("exec", "--user", "65532", lab.node, "sh", "-c", script)
    until_named(lab, (("DE202", lab.node),))
    record(lab, "no inodes")
    refused = lab.devenv("recover", "--yes", check=False)
    assert refused.returncode == 1
    assert "/var/fill" in refused.stderr, "it says what takes the disk"
    free(lab)
    lab.devenv("recover", "--yes")
    until_healthy(lab)


# Most of it without writing it.
FILL_AS_ROOT = """
mkdir -p /var/fill
set -- $(stat --file-system --format='%f %S' /var)
fallocate --length $(($1 * $2 - 64 * 1024 * 1024)) /var/fill/file
for size in 1M 4k; do dd if=/dev/zero of=/var/fill/rest.$size bs=$size; done
pkill -9 etcd
"""


@exhaustive
def test_filled_as_root(lab):
    lab.docker("exec", lab.node, "sh", "-c", FILL_AS_ROOT, check=False)
    lab.eventually(
        "the end of the API server", lambda: "" if "DE204" in str(lab.doctor()) else "its silence"
    )
    until_named(lab, (("DE201", lab.node),))
    record(lab, "filled as root")
    refused = lab.devenv("recover", "--yes", check=False)
    assert refused.returncode == 1
    assert "/var/fill" in refused.stderr
    free(lab)
    lab.eventually(
        "a repair",
        lambda: "" if lab.devenv("recover", "--yes", check=False).returncode == 0 else "a good end",
        300,
    )
    until_healthy(lab)


def test_the_engine_is_stopped(lab, small_disk):
    small_disk.kill()
    try:
        until_named(lab, (("DE101", "engine"),))
        record(lab, "engine stopped")
    finally:
        small_disk.launch()
    lab.devenv("up")
    until_healthy(lab)
