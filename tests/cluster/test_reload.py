"""reload-image on real kind: what moves, what runs, what is left."""

import hashlib
import json
import subprocess
import threading
from collections import Counter

import pytest

from tests.cluster.lab import Lab

KNOWN = "devenv.local/vllm-mock:reference"  # in the nodes
NAME = "devenv-test/vllm-mock:reload"  # in the engine: the user may have built one of the other name
RELOAD = ("reload-image", NAME, "--as", KNOWN)


@pytest.fixture(scope="module")
def base(built_refs) -> str:
    return next(ref for ref in built_refs if "vllm-mock" in ref)


@pytest.fixture
def build(cluster, base, tmp_path):
    """Build an image whose last layer has this content; afterwards the engine's name is gone, and `up` mends the cluster."""

    def make(content: str) -> None:
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nCOPY note /note\n")
        (tmp_path / "note").write_text(content)
        cluster.docker("build", "-q", "-t", NAME, str(tmp_path))

    yield make
    cluster.docker("rmi", "-f", NAME, check=False)
    cluster.up()


def note_in(lab: Lab, pod: str) -> str:
    """Read the file in the running container, through the node: the image has no shell."""
    listed = json.loads(lab.docker("exec", lab.node, "crictl", "ps", "--label", f"io.kubernetes.pod.name={pod}", "-o", "json"))
    (container,) = listed["containers"]
    pid = json.loads(lab.docker("exec", lab.node, "crictl", "inspect", container["id"]))["info"]["pid"]
    return lab.docker("exec", lab.node, "cat", f"/proc/{pid}/root/note")


def images(lab: Lab) -> list[str]:
    return lab.docker("exec", lab.node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet").split()


def test_only_what_changed_moves_and_what_runs_is_the_new_image(cluster, build):
    build("first")
    told = cluster.json(*RELOAD)
    (moved,) = told["images"]
    assert moved["way"] in {"archive", "push"}
    assert len(moved["missing"]) == 1
    assert moved["sent"] < 10_000 < moved["size"]
    assert told["restarted"] == ["model"]
    assert len(told["pods"]) == 2
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"first"}
    assert all(r["ok"] for r in told["requests"])
    assert not [n for n in images(cluster) if "superseded" in n]


def test_an_image_that_is_there_moves_nothing_and_restarts_nobody(cluster, build):
    build("same")
    cluster.json(*RELOAD)
    told = cluster.json(*RELOAD)
    assert [(m["way"], m["sent"]) for m in told["images"]] == [("present", 0)]
    assert told["restarted"] == []


def test_a_dry_run_changes_nothing(cluster, build):
    build("dry")
    before = images(cluster)
    told = cluster.json(*RELOAD, "--dry-run")
    assert told["workloads"] == ["model"]
    assert len(told["images"][0]["missing"]) == 1
    assert images(cluster) == before


def test_once_the_engine_is_taught_it_pushes(cluster, build):
    build("taught")
    cluster.devenv("reload-image", "--teach", NAME)
    build("pushed")
    (moved,) = (told := cluster.json(*RELOAD))["images"]
    assert moved["way"] == "push"
    assert moved["sent"] < 10_000
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"pushed"}
    assert "127.0.0.1" not in cluster.docker("images"), "the name for the push is gone"


def test_bad_input_moves_nothing(cluster, base):
    before = images(cluster)
    told = cluster.devenv("reload-image", "devenv.local/vllm-mok:reference", "nothing/like:it", check=False)
    assert told.returncode == 2
    assert "devenv.local/vllm-mok:reference: the engine has no such image; near it: " in told.stderr
    assert "nothing/like:it: the engine has no such image" in told.stderr
    assert cluster.devenv("reload-image", base, "x", "--as", "y", check=False).returncode == 2
    for wrong in ((base, "--as", "BAD NAME"), ("BAD NAME",)):
        told = cluster.devenv("reload-image", *wrong, check=False)
        assert told.returncode == 2
        assert "'BAD NAME' is no name of an image" in told.stderr
    told = cluster.devenv("reload-image", base, "--as", "foo/bar:1", check=False)
    assert told.returncode == 2
    assert "No workload uses docker.io/foo/bar:1" in told.stderr
    assert images(cluster) == before


def test_a_workload_that_always_pulls_is_refused_or_mended(cluster, build):
    build("always")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "llm-engine", "imagePullPolicy": "Always"}]}}}}
    cluster.kubectl("-n", "default", "patch", "deployment", "mock-llama2-7b", "-p", json.dumps(patch))
    refused = cluster.devenv(*RELOAD, check=False)
    assert refused.returncode == 2
    assert "model, container llm-engine: imagePullPolicy is Always" in refused.stderr
    told = cluster.json(*RELOAD, "--fix-pull-policy")
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"always"}


def test_it_builds_as_the_profile_says(cluster, base, build, tmp_path):
    build("by hand")
    (tmp_path / "note").write_text("by the profile")
    own = tmp_path / "own.yaml"
    own.write_text(
        f"extends: {cluster.profile}\nname: own\n"
        f"images: [{{name: vllm-mock, build: [docker, build, -t, {json.dumps(NAME)}, .], build_in: .}}]\n"
    )
    told = cluster.json(*RELOAD, "--build", "--profile", str(own))
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"by the profile"}
    assert set(told["seconds"]) == {"build", "move", "restart"}
    refused = cluster.devenv(*RELOAD, "--build", check=False)
    assert refused.returncode == 2
    assert "There is no command to build" in refused.stderr


def test_rollback_returns_to_the_old_image(cluster, build, tmp_path):
    build("good")
    cluster.json(*RELOAD)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "Dockerfile").write_text(f'FROM {NAME}\nENTRYPOINT ["/no-such-program"]\n')
    cluster.docker("build", "-q", "-t", NAME, str(tmp_path / "bad"))
    short = cluster.folder / "short.yaml"
    short.write_text(f"extends: {cluster.profile}\nname: short\ncomponents: [{{name: model, deadline: 20}}]\n")
    failed = cluster.devenv(*RELOAD, "--rollback", "--profile", str(short), check=False)
    assert failed.returncode == 1
    assert "roll back" in failed.stderr
    assert "can't run the new image" in failed.stderr, "it does not wait in vain"
    cluster.eventually("health", lambda: "" if cluster.doctor()["healthy"] else "health")
    listed = json.loads(cluster.kubectl("-n", "default", "get", "pods", "-o", "json"))["items"]
    pods = [p["metadata"]["name"] for p in listed if "deletionTimestamp" not in p["metadata"]]
    assert {note_in(cluster, pod) for pod in pods} == {"good"}


@pytest.mark.parametrize("step", ["load", "restart"])
def test_a_killed_run_leaves_one_image_or_the_other_whole(cluster, build, step):
    build(f"before {step}")
    cluster.json(*RELOAD)
    build(f"after {step}")
    argv = cluster.argv(*RELOAD)
    with subprocess.Popen(argv, env=cluster.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        for line in run.stderr:
            if step == "load" or line.startswith("✓ load"):
                run.kill()
                break
        else:
            run.kill()
        run.stderr.read()
    told = cluster.json(*RELOAD)
    assert {note_in(cluster, pod) for pod in told["pods"]} == {f"after {step}"}
    assert not [n for n in images(cluster) if "superseded" in n]


def test_no_request_fails_while_a_workload_of_two_replicas_is_reloaded(cluster, build):
    stop, seen = threading.Event(), Counter()

    def ask(route: str) -> None:
        while not stop.is_set():
            seen[route, cluster.request(route)["answer"]["status"]] += 1

    askers = [threading.Thread(target=ask, args=(route,)) for route in ("direct", "extension")]
    for asker in askers:
        asker.start()
    try:
        for number in range(3):
            build(f"round {number} {hashlib.sha256(bytes([number])).hexdigest()}")
            cluster.json(*RELOAD)
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert {status for _, status in seen} == {200}, seen
