"""A real cluster, made by `devenv up` and used as a developer would."""

import http.client
import json
import os

import pytest

from tests.cluster.lab import Lab


def test_up_ends_with_every_route_proven(cluster):
    assert [(r["name"], r["ok"]) for r in cluster.first["requests"]] == [
        ("direct", True),
        ("extension", True),
        ("plain", True),
    ]


def test_a_second_up_has_nothing_to_do_and_still_proves(cluster):
    again = cluster.up()
    assert again["changed"] is False
    assert all(r["ok"] for r in again["requests"])


@pytest.mark.parametrize(
    "words",
    [
        ["disk"],
        ["prune", "--dry-run"],
        ["schedule", "install"],
        ["request"],
        ["logs"],
        ["status"],
        ["stop"],
        ["restart"],
        ["recover", "--dry-run"],
        ["model", "list"],
        ["reload-image", "vllm-mock"],
    ],
)
def test_a_cluster_that_is_not_there_is_refused(cluster, words):
    told = cluster.devenv(*words, "--name", "nobody-made-it", check=False)
    assert told.returncode == 2
    assert "nobody-made-it" in told.stderr
    assert cluster.cluster in told.stderr.partition("Clusters: ")[2].partition("\n")[0]
    assert told.stdout == ""


def test_each_route_shows_its_own_proof(cluster):
    direct, extension, plain = (cluster.request(r) for r in ("direct", "extension", "plain"))
    assert direct["access_log"]["route"].startswith("httproute/aibrix-system/llama2-7b-router/")
    assert extension["access_log"]["route"] == "original_route"
    assert extension["access_log"]["cluster"] == "original_destination_cluster"
    assert extension["answer"]["headers"]["target-pod"] == extension["pod"]
    assert plain["access_log"]["route"].startswith("httproute/aibrix-system/llama2-7b-router/")
    assert "x-went-into-req-headers" in plain["answer"]["headers"]
    assert all(
        r["ok"] and r["pod"].startswith("mock-llama2-7b-") for r in (direct, extension, plain)
    )


@pytest.mark.parametrize("route", ["direct", "extension", "plain"])
def test_a_stream_is_proven_too(cluster, route):
    proof = cluster.request(route, "--stream")
    assert proof["ok"], proof["failures"]
    assert proof["answer"]["headers"]["content-type"] == "text/event-stream"


def test_an_unknown_model_and_an_unknown_strategy_are_refused_by_the_plugin(cluster):
    model = cluster.request("plain", "--model", "nobody")
    assert model["answer"]["status"] == 400
    assert model["answer"]["headers"]["x-error-no-model-backends"] == "nobody"
    strategy = cluster.request("extension", "--strategy", "wishful")
    assert strategy["answer"]["status"] == 400
    assert not model["ok"]
    assert not strategy["ok"]
    assert len(strategy["hints"]) == 1
    assert strategy["diagnosis"] is None
    assert model["diagnosis"]["healthy"]
    done = cluster.devenv("request", "--model", "nobody", check=False)
    assert done.returncode == 1
    assert "does not exist" in done.stdout


def test_requests_that_are_kept_going_are_counted_by_route(cluster):
    series = cluster.json("request", "--for", "5s", "--concurrency", "2")
    assert series["ok"], series["failures"]
    assert [route["route"] for route in series["routes"]] == ["direct", "extension", "plain"]
    assert all(route["total"] > 2 for route in series["routes"])


def test_the_raw_answer_is_alone_on_standard_output(cluster):
    done = cluster.devenv("request", "who are you", "--raw")
    assert "content" in json.loads(done.stdout)["choices"][0]["message"]
    assert "original_route" in done.stderr


def test_an_ordinary_client_needs_nothing_of_devenv(cluster):
    connection = http.client.HTTPConnection("localhost", cluster.port, timeout=10)
    body = json.dumps({"model": "llama2-7b", "messages": [{"role": "user", "content": "hi"}]})
    connection.request(
        "POST",
        "/v1/chat/completions",
        body,
        {"content-type": "application/json", "routing-strategy": "random"},
    )
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["model"] == "llama2-7b"
    connection.close()


def test_the_gateway_listens_on_loopback_only(cluster):
    ports = cluster.docker("port", cluster.node)
    assert f"30888/tcp -> 127.0.0.1:{cluster.port}" in ports
    assert all("-> 127.0.0.1:" in line for line in ports.splitlines())


def test_status_tells_every_component_and_disk(cluster):
    state = cluster.json("status")
    assert state["ready"]
    assert {c["name"] for c in state["components"]} >= {
        "envoy-gateway",
        "proxy",
        "gateway-plugins",
        "extension-policy",
        "patch-policy",
    }
    assert state["disks"][cluster.node]["total"] > 1 << 30
    assert state["disks"][cluster.node]["total_inodes"] > 0


def test_what_a_missing_plugin_breaks_is_seen_and_up_mends_it(cluster):
    cluster.kubectl(
        "-n", "aibrix-system", "scale", "deployment/aibrix-gateway-plugins", "--replicas=0"
    )

    def still_there() -> str:
        return cluster.kubectl(
            "-n", "aibrix-system", "get", "pods", "-l", "app=gateway-plugins", "-o", "name"
        )

    cluster.eventually("the plugin's end", still_there)
    assert cluster.request("direct")["ok"]
    broken = cluster.request("extension")
    assert not broken["ok"]
    assert broken["answer"]["status"] >= 500
    mended = cluster.up()
    assert all(r["ok"] for r in mended["requests"])


def test_an_image_that_is_loaded_is_kept_once_in_the_node(cluster):
    names = cluster.docker(
        "exec", cluster.node, "ctr", "-n", "k8s.io", "images", "ls", "-q"
    ).split()
    assert "docker.io/envoyproxy/envoy:v1.36.2" in names
    loaded = [
        n for n in names if "/superseded:" not in n
    ]  # what is kept to return to has such a name
    assert not [n for n in loaded if n.startswith("devenv.local/") and not n.endswith(":reference")]


def test_a_cluster_that_devenv_did_not_make_is_left_alone(cluster, tmp_path):
    stranger = Lab(tmp_path, cluster.cluster)  # the same cluster, and no record of it
    for command in (["up", "--profile", str(stranger.profile)], ["down"], ["status"]):
        done = stranger.devenv(*command, check=False)
        assert done.returncode == 1
        assert f"`devenv up --adopt --name {cluster.cluster}`" in done.stderr
    assert cluster.docker("inspect", "-f", "{{.State.Running}}", cluster.node).strip() == "true"


def test_a_taken_port_is_refused_before_anything_changes(cluster, tmp_path):
    other = Lab(tmp_path, "devenv-test-other", port=cluster.port)
    done = other.devenv("up", "--profile", str(other.profile), check=False)
    assert done.returncode == 3
    assert str(cluster.port) in done.stderr
    assert "devenv-test-other" not in cluster.docker("ps", "-a", "--format", "{{.Names}}")


def test_the_kubeconfig_is_its_owners_alone(cluster):
    assert os.stat(cluster.env["KUBECONFIG"]).st_mode & 0o077 == 0


def test_a_lost_state_folder_is_made_up_for_by_the_cluster_itself(cluster):
    state = cluster.folder / "state" / "devenv" / "clusters" / f"{cluster.cluster}.json"
    kept = state.read_text()
    state.unlink()
    try:
        refused = cluster.devenv("up", "--profile", str(cluster.profile), check=False)
        assert refused.returncode == 1
        assert f"`devenv up --adopt --name {cluster.cluster}`" in refused.stderr
        again = cluster.devenv("up", "--profile", str(cluster.profile), "--adopt")
        assert "carries devenv's record" in again.stderr
    finally:
        if not state.exists():
            state.write_text(kept)
    assert cluster.up()["changed"] is False
