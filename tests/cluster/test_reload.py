"""reload-image on real kind: what moves, what runs, what is left."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from devenv import wiring
from tests.by_hand import cases, exhaustive
from tests.cluster.asking import asking, failures
from tests.cluster.lab import Lab, has_ended, step_numbers
from tests.cluster.test_doctor import until_named

KNOWN = "devenv.local/vllm-mock:reference"  # in the nodes
NAME = (
    "devenv-test/vllm-mock:reload"  # in the engine: the user may have built one of the other name
)
RELOAD = ("reload-image", NAME, "--as", KNOWN)


@pytest.fixture(scope="module")
def base(built_refs) -> str:
    return next(ref for ref in built_refs if "vllm-mock" in ref)


@pytest.fixture(scope="module", autouse=True)
def healed(cluster):
    """Each test goes on from the image that the one before has left; one `up` at the end brings the profile's back."""
    yield
    cluster.up()


@pytest.fixture
def build(request, cluster, base, tmp_path):
    """Build an image whose last layer has this content; afterwards the engine's name is gone.

    If the test fails, `up` mends the cluster, so that one failure stays one.
    """
    failed_before = request.session.testsfailed

    def make(content: str) -> None:
        (tmp_path / "Dockerfile").write_text(f"FROM {base}\nCOPY note /note\n")
        (tmp_path / "note").write_text(content)
        cluster.build(NAME, tmp_path)

    yield make
    cluster.docker("rmi", "-f", NAME, check=False)
    if request.session.testsfailed > failed_before:
        cluster.up()


def note_in(lab: Lab, pod: str) -> str:
    """Read the file in the running container, through the node: the image has no shell."""
    listed = json.loads(
        lab.docker(
            "exec",
            lab.node,
            "crictl",
            "ps",
            "--label",
            f"io.kubernetes.pod.name={pod}",
            "-o",
            "json",
        )
    )
    (container,) = listed["containers"]
    pid = json.loads(lab.docker("exec", lab.node, "crictl", "inspect", container["id"]))["info"][
        "pid"
    ]
    return lab.docker("exec", lab.node, "cat", f"/proc/{pid}/root/note")


def images(lab: Lab) -> list[str]:
    return lab.docker(
        "exec", lab.node, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet"
    ).split()


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
    assert len(kept_images(cluster)) <= 1, "at most the one to return to"


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
    reloaded = cluster.devenv(*RELOAD, "-o", "json")
    (moved,) = (told := json.loads(reloaded.stdout)["result"])["images"]
    assert moved["way"] == "push"
    assert moved["sent"] < 10_000
    *_, last_number = step_numbers(reloaded.stderr)
    # load, restart, end of the rollouts, compare, live requests
    assert last_number == (5, 5)
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"pushed"}
    assert not cluster.names_for_pushes()


def test_bad_input_moves_nothing(cluster, base):
    before = images(cluster)
    told = cluster.devenv(
        "reload-image", "devenv.local/vllm-mok:reference", "nothing/like:it", check=False
    )
    assert told.returncode == 2
    assert "devenv.local/vllm-mok:reference" in told.stderr
    assert KNOWN in told.stderr, "the nearest name"
    assert "nothing/like:it" in told.stderr
    assert cluster.devenv("reload-image", base, "x", "--as", "y", check=False).returncode == 2
    for wrong in ((base, "--as", "BAD NAME"), ("BAD NAME",)):
        told = cluster.devenv("reload-image", *wrong, check=False)
        assert told.returncode == 2
        assert "'BAD NAME'" in told.stderr
    told = cluster.devenv("reload-image", base, "--as", "foo/bar:1", check=False)
    assert told.returncode == 2
    assert "docker.io/foo/bar:1" in told.stderr
    assert images(cluster) == before


def saved_as_layout(archive: Path, folder: Path) -> Path:
    """Make an OCI layout with packed layers of what Docker up to 24 saved."""
    with tarfile.open(archive) as tar:
        (listed,) = json.load(tar.extractfile("manifest.json"))
        config = tar.extractfile(listed["Config"]).read()
        layers = [gzip.compress(tar.extractfile(name).read()) for name in listed["Layers"]]

    def put(content: bytes, kind: str, **more) -> dict:
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        sha = hashlib.sha256(content).hexdigest()
        (folder / "blobs/sha256" / sha).write_bytes(content)
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{sha}",
            "size": len(content),
            **more,
        }

    listed_layers = [put(x, "layer.v1.tar+gzip") for x in layers]
    manifest = json.dumps(
        {"schemaVersion": 2, "config": put(config, "config.v1+json"), "layers": listed_layers}
    ).encode()
    named = {"annotations": {"io.containerd.image.name": KNOWN}}
    (folder / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [put(manifest, "manifest.v1+json", **named)]})
    )
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def test_files_are_reloaded_as_images_of_the_engine_are(cluster, build, tmp_path):
    for content, make in (
        ("an archive", lambda p: p),
        ("a layout", lambda p: saved_as_layout(p, tmp_path / "layout")),
    ):
        build(content)
        cluster.docker("save", NAME, "-o", str(tmp_path / "a.tar"))
        told = cluster.json("reload-image", str(make(tmp_path / "a.tar")), "--as", KNOWN)
        (moved,) = told["images"]
        assert (moved["way"], len(moved["missing"])) == ("file", 1)
        assert moved["sent"] < 10_000
        assert {note_in(cluster, pod) for pod in told["pods"]} == {content}
    assert (
        cluster.json("reload-image", str(tmp_path / "layout"))["images"][0]["way"] == "present"
    ), "it says its name itself"


def test_a_broken_file_and_an_unknown_node_move_nothing(cluster, build, tmp_path):
    build("broken")
    cluster.docker("save", NAME, "-o", str(tmp_path / "whole.tar"))
    whole = (tmp_path / "whole.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    before = images(cluster)
    told = cluster.devenv(
        "reload-image",
        str(tmp_path / "cut.tar"),
        str(tmp_path / "none.tar"),
        "no/such:image",
        check=False,
    )
    assert told.returncode == 2
    assert "cut.tar is not a readable image" in told.stderr
    assert "none.tar does not exist" in told.stderr
    assert "no/such:image: the engine has no such image" in told.stderr
    told = cluster.devenv(*RELOAD, "--node", "nobody", check=False)
    assert told.returncode == 2
    assert "nobody" in told.stderr
    assert cluster.node in told.stderr
    assert images(cluster) == before


def build_above(lab: Lab, base: str, folder: Path, content: str) -> str:
    """Build an image with one layer above another that no other image has."""
    (folder / "below").write_text(f"{folder} below")
    (folder / "above").write_text(content)
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY below /below\nCOPY above /note\n")
    name = "devenv-test/collected:1"
    lab.build(name, folder)
    return name


def snapshots(lab: Lab) -> set[str]:
    """Chains of the layers that the node has unpacked."""
    lines = lab.docker(
        "exec", lab.node, "ctr", "--namespace", "k8s.io", "snapshots", "ls"
    ).splitlines()
    return {line.split()[0] for line in lines if line.startswith("sha256:")}


IN_BETWEEN = """
import json, sys
from devenv import wiring
from devenv.reload.moves import Move, Way
from devenv.reload.reload import Options
cluster, image, way = sys.argv[1:]
with wiring.world() as world:
    reload = world.reload(cluster, world.choice(cluster, None).profile, Options(restart=False))
    (move,) = reload.plan([(image, "")]).moves
    print(len(move.layers), flush=True)
    sys.stdin.readline()
    moved = reload._loader().run(Move(move.source, move.name, Way(way), move.missing_layers, move.old_digests))
    print(moved.digest)
"""


@pytest.mark.parametrize("way", ["archive", "push"])
def test_a_base_that_is_collected_in_between_is_sent_again(cluster, base, tmp_path, way):
    """The plan was made, then the node lost a layer on which it counts."""
    name = build_above(cluster, base, tmp_path, f"first {way}")
    cluster.devenv("reload-image", name, "--no-restart")
    if way == "push":
        cluster.devenv("reload-image", "--teach", name)
    build_above(cluster, base, tmp_path, f"second {way}")
    argv = [sys.executable, "-c", IN_BETWEEN, cluster.cluster, name, way]
    piped = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    try:
        with subprocess.Popen(argv, env=cluster.env, **piped) as run:
            assert run.stdout.readline() == "1\n", "only the upper layer is to be sent"
            before = snapshots(cluster)
            cluster.docker("exec", cluster.node, "crictl", "rmi", name)
            cluster.eventually(
                "the end of its layers", lambda: "" if snapshots(cluster) < before else "it", 60
            )
            out, err = run.communicate("go on\n", timeout=120)
        assert run.returncode == 0, err
        assert [line.split()[0] for line in err.splitlines()] == ["✓"], (
            f"nobody need hear of it: {err}"
        )
        listed = json.loads(cluster.docker("exec", cluster.node, "crictl", "images", "-o", "json"))[
            "images"
        ]
        assert out.strip() in {i["id"] for i in listed if f"docker.io/{name}" in i["repoTags"]}
    finally:
        cluster.docker("exec", cluster.node, "crictl", "rmi", name, check=False)
        cluster.docker("rmi", name)


def id_of(lab: Lab, name: str) -> str:
    listed = json.loads(lab.docker("exec", lab.node, "crictl", "images", "-o", "json"))["images"]
    return next((i["id"] for i in listed if name in i["repoTags"]), "")


@pytest.mark.parametrize("how", cases(("reload-image", "by hand"), by_hand={"by hand"}))
def test_up_puts_the_profiles_image_back(cluster, build, how):
    """Also where nobody told devenv of the other one, and its pods run it."""
    cluster.up()
    before = id_of(cluster, KNOWN)
    build(how)
    cluster.json(
        "reload-image", NAME, *(("--as", KNOWN) if how == "reload-image" else ("--no-restart",))
    )
    if how == "by hand":
        tag = (
            "ctr",
            "--namespace",
            "k8s.io",
            "images",
            "tag",
            "--force",
            f"docker.io/{NAME}",
            KNOWN,
        )
        cluster.docker("exec", cluster.node, *tag)
        cluster.eventually(
            "the CRI", lambda: "" if id_of(cluster, KNOWN) != before else "the other image"
        )
        cluster.kubectl(
            "--namespace", "default", "rollout", "restart", "deployment", "mock-llama2-7b"
        )
        cluster.kubectl(
            "--namespace", "default", "rollout", "status", "deployment", "mock-llama2-7b"
        )
    other = id_of(cluster, KNOWN)
    assert other not in {"", before}
    told = cluster.up()
    assert told["changed"] is True
    assert all(r["ok"] for r in told["requests"])
    assert id_of(cluster, KNOWN) == before

    def running() -> str:
        listed = json.loads(cluster.docker("exec", cluster.node, "crictl", "ps", "-o", "json"))[
            "containers"
        ]
        return ", ".join(c["id"] for c in listed if c["imageRef"] == other)

    cluster.eventually("the end of the other image's containers", running)
    assert cluster.up()["changed"] is False


def test_two_at_once_one_waits_for_the_other(cluster, build):
    build("both")
    argv = cluster.argv(*RELOAD, "-o", "json")
    both = [
        subprocess.Popen(
            argv, env=cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [(*run.communicate(timeout=300), run.returncode) for run in both]
    assert [code for *_, code in told] == [0, 0], told
    assert sum("wait" in err.lower() for _, err, _ in told) == 1
    ways = sorted(json.loads(out)["result"]["images"][0]["way"] for out, *_ in told)
    assert ways in (["archive", "present"], ["present", "push"])


def test_nothing_piles_up_in_the_node(cluster, build):
    """Of all reloads before only the newest image and the one to return to are left, in the node's names and layers."""
    for content in ("piling up", "piling up again"):
        build(content)
        cluster.json(*RELOAD)
    at_first = len(snapshots(cluster))
    for number in range(3):
        build(f"piling up {number}")
        cluster.json(*RELOAD)
    cluster.eventually(
        "the end of old layers", lambda: "" if len(snapshots(cluster)) <= at_first else "it", 60
    )
    listed = json.loads(cluster.docker("exec", cluster.node, "crictl", "images", "-o", "json"))[
        "images"
    ]
    assert not [i for i in listed if not i["repoTags"] and not i["repoDigests"]], (
        "an image that has only the CRI's own name"
    )


def test_a_workload_that_always_pulls_is_refused_or_mended(cluster, build):
    build("always")
    patch = {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "llm-engine", "imagePullPolicy": "Always"}]}
            }
        }
    }
    cluster.kubectl(
        "-n", "default", "patch", "deployment", "mock-llama2-7b", "-p", json.dumps(patch)
    )
    refused = cluster.devenv(*RELOAD, check=False)
    assert refused.returncode == 2
    assert "llm-engine" in refused.stderr
    assert "imagePullPolicy" in refused.stderr
    told = cluster.json(*RELOAD, "--fix-pull-policy")
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"always"}


def test_it_builds_as_the_profile_says(cluster, base, build, tmp_path):
    build("by hand")
    (tmp_path / "note").write_text("profile")
    own = tmp_path / "own.yaml"
    own.write_text(
        f"extends: {cluster.profile}\nname: own\n"
        f"images: [{{name: vllm-mock, build: [docker, build, -t, {json.dumps(NAME)}, .], build_in: .}}]\n"
    )
    told = cluster.json(*RELOAD, "--build", "--profile", str(own))
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"profile"}
    assert set(told["seconds"]) == {"build", "move", "restart"}
    built = [cluster.docker("image", "inspect", "-f", "{{.Id}}", NAME).strip()]
    for content in ("once more", "and again"):
        (tmp_path / "note").write_text(content)
        cluster.json(*RELOAD, "--build", "--profile", str(own))
        built.append(cluster.docker("image", "inspect", "-f", "{{.Id}}", NAME).strip())
    by_hand = cluster.built[-1]
    cluster.built += built
    there = cluster.docker("image", "ls", "--all", "--quiet", "--no-trunc").split()
    assert [image in there for image in built] == [False, True, True], (
        "of devenv's own builds two stay"
    )
    assert by_hand in there, "what the user has built stays"
    refused = cluster.devenv(*RELOAD, "--build", check=False)
    assert refused.returncode == 2
    assert "build_in" in refused.stderr


CRASHING = 'ENTRYPOINT ["/no-such-program"]'


@pytest.fixture
def build_crashing(cluster, base, build, tmp_path):
    """Build an image above this content that can't start, under the same name. At the end the cluster has its own image."""

    def make(content: str) -> None:
        build(content)
        (folder := tmp_path / "crashing").mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(f"FROM {NAME}\n{CRASHING}\n")
        cluster.build(NAME, folder)

    yield make
    cluster.json("reload-image", base, "--as", KNOWN)


def notes(lab: Lab) -> set[str]:
    """What the model's running pods have in the file that tells one build from another."""
    listed = json.loads(lab.kubectl("-n", "default", "get", "pods", "-o", "json"))["items"]
    lasting = [
        p
        for p in listed
        if "deletionTimestamp" not in p["metadata"] and p["status"]["phase"] == "Running"
    ]
    return {note_in(lab, pod["metadata"]["name"]) for pod in lasting}


def save_unpackable(archive: Path) -> str:
    """Write an image that is whole, and whose layer no node can unpack: a file lies in a file. Return its config's digest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name in ("note", "note/below"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = json.dumps(
        {"architecture": engine_architecture(), "os": "linux", "config": {}, "rootfs": rootfs}
    ).encode()
    listed = json.dumps(
        [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    ).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in (
            ("config.json", config),
            ("layer.tar", layer.getvalue()),
            ("manifest.json", listed),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def engine_architecture() -> str:
    with wiring.world() as world:
        return world.engine.info().architecture


def test_an_image_that_the_node_refuses_leaves_the_old_one_under_the_name(cluster, tmp_path):
    before, names = id_of(cluster, KNOWN), images(cluster)
    refused_id = save_unpackable(tmp_path / "image.tar")
    failed = cluster.devenv("reload-image", str(tmp_path / "image.tar"), "--as", KNOWN, check=False)
    assert failed.returncode == 1, failed.stderr
    assert id_of(cluster, KNOWN) == before
    cluster.eventually(
        "the CRI", lambda: "" if images(cluster) == names else "the refused image's names"
    )
    assert refused_id not in cluster.docker("exec", cluster.node, "crictl", "images", "-o", "json")
    cluster.kubectl("--namespace", "default", "rollout", "restart", "deployment", "mock-llama2-7b")
    cluster.kubectl(
        "--namespace",
        "default",
        "rollout",
        "status",
        "deployment",
        "mock-llama2-7b",
        "--timeout=120s",
    )


def kept_images(lab: Lab) -> list[str]:
    return [name for name in images(lab) if "superseded" in name]


def test_rollback_returns_to_the_old_image(cluster, build, build_crashing):
    build("good")
    cluster.json(*RELOAD)
    build_crashing("bad")
    failed = cluster.devenv(*RELOAD, "--rollback", check=False)
    assert failed.returncode == 1, "the new image failed"
    assert failed.stdout == ""
    errors = [line for line in failed.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 2, "the failure once, and what came of it"
    assert "DE107" not in failed.stderr, "devenv's own command is no cause"
    assert notes(cluster) == {"good"}
    assert cluster.doctor()["healthy"]


def test_repaired_code_is_not_judged_by_pods_of_the_code_before(cluster, build, build_crashing):
    build_crashing("bad")
    assert cluster.devenv(*RELOAD, check=False).returncode == 1
    build("repaired")
    told = cluster.json(*RELOAD, "--rollback")
    assert {note_in(cluster, pod) for pod in told["pods"]} == {"repaired"}


def test_undo_returns_to_the_last_image_that_was_proven(cluster, build, build_crashing):
    """Not to the crashing one of the reload before; and `up` keeps it until something is built or reloaded again."""
    build("proven")
    cluster.json(*RELOAD)
    digest = id_of(cluster, KNOWN)
    for number in range(2):
        build_crashing(f"bad {number}")
        failed = cluster.devenv(*RELOAD, check=False)
        assert failed.returncode == 1
        assert "reload-image vllm-mock --undo" in failed.stderr, "the hint can be typed"
    told = cluster.json("reload-image", "vllm-mock", "--undo")
    assert [(i["name"], i["digest"]) for i in told["images"]] == [(KNOWN, digest)]
    assert all(r["ok"] for r in told["requests"])
    assert notes(cluster) == {"proven"}
    assert len(kept_images(cluster)) == 1, "the one to return to, and nothing else"
    again = cluster.json("reload-image", "vllm-mock", "--undo", "--dry-run")
    assert [i["digest"] for i in again["images"]] != [digest], "now it would be the one before"


def test_doctor_and_recover_return_from_an_image_that_crashes(cluster, build, build_crashing):
    build("proven")
    cluster.json(*RELOAD)
    build_crashing("bad")
    assert cluster.devenv(*RELOAD, check=False).returncode == 1
    found = until_named(cluster, (("DE311", "model"),))
    assert found["causes"][0]["fix"] == [
        f"devenv reload-image vllm-mock --undo --name {cluster.cluster}"
    ]
    assert [s["kind"] for s in cluster.json("recover", "--yes")["done"]] == ["undo"]
    assert notes(cluster) == {"proven"}


@pytest.mark.parametrize(
    "step",
    cases(("return to the old image", "restart"), by_hand={"return to the old image"}),
)
def test_a_return_that_is_killed_is_finished_by_up(cluster, build, build_crashing, step):
    build("good")
    cluster.json(*RELOAD)
    build_crashing("bad")
    assert cluster.devenv(*RELOAD, check=False).returncode == 1
    argv = cluster.argv("reload-image", "vllm-mock", "--undo")
    with subprocess.Popen(
        argv, env=cluster.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        assert any(has_ended(line, step) for line in run.stderr)
        run.kill()
        run.stderr.read()
    cluster.up()
    assert notes(cluster) == {"good"}


def test_a_name_of_which_nothing_else_was_proven_is_refused(cluster):
    refused = cluster.devenv("reload-image", "busybox", "--undo", check=False)
    assert refused.returncode in {1, 2}
    unused = cluster.devenv("reload-image", "no/such:image", "--undo", check=False)
    assert unused.returncode == 2


def test_a_pod_that_failed_fails_neither_doctor_nor_a_reload(cluster, build):
    listed = json.loads(cluster.kubectl("-n", "default", "get", "pods", "-o", "json"))["items"]
    name = next(
        p["metadata"]["name"] for p in listed if p["metadata"]["name"].startswith("mock-llama2-7b")
    )
    # By its deadline: what is written into its status the kubelet writes over.
    cluster.kubectl(
        "-n", "default", "patch", "pod", name, "-p", '{"spec": {"activeDeadlineSeconds": 1}}'
    )
    phase = ("-n", "default", "get", "pod", name, "-o", "jsonpath={.status.phase}")
    cluster.eventually("the pod's end", lambda: "" if cluster.kubectl(*phase) == "Failed" else "it")
    try:
        cluster.eventually("a replacement", lambda: "" if cluster.doctor()["healthy"] else "health")
        build("after a failure")
        told = cluster.json(*RELOAD)
        assert {note_in(cluster, pod) for pod in told["pods"]} == {"after a failure"}
        assert name not in told["pods"]
    finally:
        cluster.kubectl("-n", "default", "delete", "pod", name, "--ignore-not-found")


def test_a_pod_that_fits_no_node_ends_the_wait_with_the_schedulers_reason(cluster, build):
    """The deadline is longer than the test may take: it would fail by its own time limit."""
    patient = cluster.folder / "patient.yaml"
    patient.write_text(
        f"extends: {cluster.profile}\nname: patient\ncomponents: [{{name: model, deadline: 1200}}]\n"
    )
    build("no node")
    cluster.kubectl("cordon", cluster.node)
    try:
        failed = cluster.devenv(*RELOAD, "--profile", str(patient), check=False)
    finally:
        cluster.kubectl("uncordon", cluster.node)
    assert failed.returncode == 1
    assert "0/1 nodes" in failed.stderr


# Programs of ctr that take an image into a node.
INGEST, IMPORT = "content ingest", "images import"
AFTER = {  # the step that it is killed in → the step before
    "restart": "load",
    "compare": "restart",
    "live requests": "compare",
    "remove": "live requests",
}


STEPS = ("plan", "push", "import", *AFTER)
IN_EACH_RUN = {"push", "import", "compare"}


@pytest.mark.parametrize("step", cases(STEPS, by_hand=set(STEPS) - IN_EACH_RUN))
def test_a_killed_run_leaves_one_image_or_the_other_whole(cluster, build, step):
    if step == "push":
        cluster.devenv("reload-image", "--teach", NAME)
    build(f"after {step}")
    argv = cluster.argv(*RELOAD)
    with subprocess.Popen(
        argv, env=cluster.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
        if step in AFTER:
            assert any(has_ended(line, AFTER[step]) for line in run.stderr)
        elif step != "plan":
            process = INGEST if step == "push" else IMPORT
            cluster.eventually(
                step, lambda: "" if runs(cluster, process) or run.poll() is not None else "it", 60
            )
        run.kill()
        run.stderr.read()
    left = id_of(cluster, KNOWN)
    assert left, "the name is on one image or the other"
    told = cluster.json(*RELOAD)
    assert {note_in(cluster, pod) for pod in told["pods"]} == {f"after {step}"}
    assert len(kept_images(cluster)) <= 1, "at most the one to return to"
    assert not cluster.names_for_pushes()
    assert not any(runs(cluster, process) for process in (INGEST, IMPORT)), (
        "no program of ours is left in the node"
    )


def runs(lab: Lab, words: str) -> bool:
    return words in lab.docker("exec", lab.node, "ps", "-eo", "args")


@pytest.fixture
def asked(cluster):
    """Ask on two routes all the while; what was answered is counted."""
    with asking(cluster.port, ("direct", "extension")) as seen:
        yield seen


def test_no_request_fails_while_a_workload_of_two_replicas_is_reloaded_again_and_again(
    cluster, build, asked
):
    for number in range(4):
        build(f"round {number}")
        cluster.json(*RELOAD)
    assert failures(asked) == {}
    assert all(asked[route, 200, ""] > 12 for route in ("direct", "extension")), asked


@exhaustive
def test_how_many_requests_fail_while_a_workload_of_one_replica_is_reloaded_is_told(
    cluster, built_refs, build, asked, record_property
):
    plugins = next(ref for ref in built_refs if "gateway-plugins" in ref)
    (folder := cluster.folder / "plugins").mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {plugins}\nCOPY note /note\n")
    for number in range(3):
        (folder / "note").write_text(f"round {number}")
        cluster.build(NAME, folder)
        told = cluster.json("reload-image", NAME, "--as", "devenv.local/gateway-plugins:reference")
        assert told["restarted"] == ["gateway-plugins"]
        assert {note_in(cluster, pod) for pod in told["pods"]} == {f"round {number}"}
    failed = failures(asked)
    record_property("failed requests", f"{sum(failed.values())} of {sum(asked.values())}")
    assert "direct" not in {route for route, _, _ in failed}, (
        "the model's own route does not go through it"
    )


def content_of(lab: Lab) -> set[str]:
    return set(
        lab.docker(
            "exec", lab.node, "ctr", "--namespace", "k8s.io", "content", "ls", "--quiet"
        ).split()
    )


def collect(lab: Lab) -> None:
    """Have containerd collect what nothing refers to: a removal that is synchronous waits for that."""
    ctr = ("exec", lab.node, "ctr", "--namespace", "k8s.io", "images")
    lab.docker(*ctr, "tag", "--force", KNOWN, "devenv-test/collect:1")
    lab.docker(*ctr, "remove", "--sync", "devenv-test/collect:1")


HOLD = """
import sys
from devenv import wiring
from devenv.images.nodes.containerd import Nodes
node, held, *blobs = sys.argv[1:]
with wiring.world() as world:
    nodes = Nodes(world.engine)
    for blob in blobs:
        into = nodes.ingest([node], [held])
        into.put(bytes.fromhex(blob))
        assert {done.code for done in into.end().values()} == {0}
    print("ingested", flush=True)
    sys.stdin.readline()
    nodes.receive([node], [])
"""


def test_a_layer_on_its_way_is_not_collected(cluster):
    """Between the ingest of a layer and the import that names it, containerd may collect what nothing holds."""
    blobs = [os.urandom(1000) for _ in range(2)]
    held, unheld = (f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs)
    argv = [sys.executable, "-c", HOLD, cluster.node, held, *(blob.hex() for blob in blobs)]
    with subprocess.Popen(
        argv, env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "ingested\n"
        collect(cluster)
        assert held in content_of(cluster)
        assert unheld not in content_of(cluster)
        run.communicate("go on\n", timeout=60)
    collect(cluster)
    assert held not in content_of(cluster), "what no import named is let go"
