"""Docker 29, whose image store is containerd's: other image IDs, another `docker save`, the same cluster."""

import os

import pytest

from devenv import data, wiring
from tests.cluster import engines
from tests.cluster.lab import Lab
from tests.cluster.test_reload import KNOWN, NAME, note_in

JUNK = 200 << 20
OVERRIDES = (
    "keep_newer: 0\nbudgets: {host: {keep_free: 0}, engine: {keep_free: 0}, node: {keep_free: 0}}\n"
)
RECIPES = data.root() / "tests" / "cluster" / "images"


@pytest.fixture(scope="module")
def docker29(built_refs, tmp_path_factory):
    if reason := engines.why_not():
        pytest.skip(reason)
    with wiring.world(RECIPES) as tests_own, wiring.world() as own:
        programs = [tests_own.recipe_file("docker29", file) for file in ("dockerd", "docker-proxy")]
        programs += [
            own.recipe_file("node", f)
            for f in ("containerd", "ctr", "containerd-shim-runc-v2", "runc")
        ]
    if missing := [p.name for p in programs if not p.exists()]:
        pytest.skip(
            f"not built: {', '.join(missing)}; run `devenv images build --folder tests/cluster/images`"
        )
    store = {"features": {"containerd-snapshotter": True}}
    path = os.pathsep.join(dict.fromkeys(str(p.parent) for p in programs))
    # What a removal frees is measured, and on the machine's own disk other tests write at the same time.
    folder = tmp_path_factory.mktemp("docker29")
    with engines.OwnDisk("docker29", folder, 250, store, path, size="12G").running(
        built_refs
    ) as engine:
        yield engine


def reloaded(lab: Lab, base: str, folder) -> None:
    """Change a file of an image, without a builder, and reload it: this engine knows its blobs' digests and pushes."""
    (folder / "note").write_text("changed")
    made = lab.docker("create", base).strip()
    lab.docker("cp", str(folder / "note"), f"{made}:/note")
    lab.docker("commit", made, NAME)
    lab.docker("rm", made)
    told = lab.json("reload-image", NAME, "--as", KNOWN)
    assert [(m["way"], len(m["missing"])) for m in told["images"]] == [("push", 1)]
    assert told["images"][0]["sent"] < 10_000
    assert {note_in(lab, pod) for pod in told["pods"]} == {"changed"}
    assert lab.json("reload-image", NAME, "--as", KNOWN)["images"][0]["way"] == "present"


def pruned(lab: Lab, base: str, folder) -> None:
    """Images without a name go, and what this store really gives back is what was said: packed and unpacked."""
    (folder / "junk").write_bytes(os.urandom(JUNK))
    made = lab.docker("create", base).strip()
    lab.docker("cp", str(folder / "junk"), f"{made}:/junk")
    lost = lab.docker("commit", made, "devenv-test/junk:1").strip()
    lab.docker("rm", made)
    lab.docker("tag", base, "devenv-test/junk:1")
    told = lab.json("prune", "--free", f"{JUNK >> 20}Mi", "--yes")
    assert lost in lab.docker("images", "-aq", "--no-trunc") or told["removed"], told
    assert told["freed"] >= 2 * JUNK * 0.95, "random bytes can't be packed"
    assert told["estimated"] == pytest.approx(told["freed"], rel=0.05)
    lab.docker("rmi", "devenv-test/junk:1")


def test_a_cluster_on_the_containerd_store(docker29, built_refs, tmp_path):
    lab = Lab(tmp_path, "devenv-test-docker29", docker29.docker_host, OVERRIDES)
    try:
        assert lab.docker("version", "-f", "{{.Server.Version}}").startswith("29.")
        assert "io.containerd" in lab.docker("info", "-f", "{{.DriverStatus}}")
        assert all(r["ok"] for r in lab.up()["requests"])
        again = lab.up()
        assert again["changed"] is False
        mock = next(ref for ref in built_refs if "vllm-mock" in ref)
        reloaded(lab, mock, tmp_path)
        pruned(lab, mock, tmp_path)
    finally:
        assert lab.json("down")["nodes"] == [lab.node]
