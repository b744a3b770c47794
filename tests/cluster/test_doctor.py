"""The fault campaign on real kind: inject; doctor names exactly the expected root; after recover all is well.

Faults share a cluster: what breaks it mends it. With DEVENV_RECORD=1 each diagnosis is recorded for the pure tier.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.by_hand import exhaustive
from tests.cluster.faults import FAULTS, IN_EACH_RUN
from tests.cluster.lab import Lab, step_numbers

INCIDENTS = Path(__file__).parents[1] / "incidents"


# Seconds from one diagnosis to the next: each takes a second of a core, which the cluster needs to settle.
_PAUSE = 1.5


def roots(diagnosis) -> list[tuple[str, str]]:
    return [(c["code"], c["subject"]) for c in diagnosis["causes"]]


def matches(diagnosis, wanted) -> bool:
    found = roots(diagnosis)
    return len(found) == len(wanted) and all(
        any(code == c and word in s for c, s in found) for code, word in wanted
    )


def until_named(lab: Lab, wanted):
    """Return doctor's answer once it is the expected one twice running: what is under way passes."""
    last = []

    def missing() -> str:
        found = lab.doctor()
        settled = matches(found, wanted) and not found["in_progress"]
        last[:] = [*last, found] if settled else []
        return (
            ""
            if len(last) > 1
            else f"{wanted}; found {roots(found)}, {found['in_progress']}, {found['unknown']}"
        )

    lab.eventually("the diagnosis", missing, pause=_PAUSE)
    return last[-1]


def until_healthy(lab: Lab) -> None:
    def missing() -> str:
        found = lab.doctor()
        return (
            ""
            if found["healthy"]
            else f"health; found {roots(found)}, {found['in_progress']}, {found['unknown']}"
        )

    lab.eventually("health", missing, pause=_PAUSE)


def record(lab: Lab, name: str) -> None:
    """Keep the facts and what doctor made of them, when asked to."""
    if os.environ.get("DEVENV_RECORD"):
        folder = INCIDENTS / name.lower().replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        lab.devenv("doctor", "--save", str(folder / "facts.json"), check=False)
        told = lab.devenv("doctor", "--from", str(folder / "facts.json"), "--all", check=False)
        (folder / "diagnosis.txt").write_text(told.stdout)


def test_a_healthy_cluster_has_nothing_wrong(cluster):
    until_healthy(cluster)
    for _ in range(3):
        done = cluster.devenv("doctor", "-o", "json", check=False)
        assert done.returncode == 0, done.stdout
        diagnosis = json.loads(done.stdout)["result"]
        assert diagnosis["healthy"]
        assert [request["ok"] for request in diagnosis["requests"]] == [True] * 3
    record(cluster, "healthy")


def chosen_faults():
    """All; those that the campaign alone injects run here only by hand."""
    for fault in FAULTS:
        marks = () if fault.number in IN_EACH_RUN else exhaustive
        yield pytest.param(fault, id=f"{fault.number} {fault.name}", marks=marks)


@pytest.mark.parametrize("fault", list(chosen_faults()))
def test_a_fault_is_named_and_repaired(cluster, fault):
    fault.inject(cluster)
    until_named(cluster, fault.roots)
    record(cluster, fault.name)
    told = cluster.json("recover", "--yes")
    assert told["after"]["causes"] == []
    assert all(r["ok"] for r in told["requests"])
    until_healthy(cluster)


def test_a_paused_node(cluster):
    cluster.docker("pause", cluster.node)
    until_named(cluster, (("DE203", cluster.node),))
    record(cluster, "node paused")
    assert [s["kind"] for s in cluster.json("recover", "--yes")["done"]] == ["start"]
    until_healthy(cluster)


def test_what_kind_itself_has_put_into_the_cluster(cluster):
    """Its repair is not devenv's: kind made it."""
    cluster.kubectl(
        "-n",
        "kube-system",
        "set",
        "image",
        "daemonset/kube-proxy",
        "kube-proxy=nowhere.invalid/kube-proxy:1",
    )
    found = until_named(cluster, (("DE301", "kube-proxy"),))
    record(cluster, "kube-proxy needs an image")
    assert found["causes"][0]["fix"][0].endswith("rollout undo daemonset/kube-proxy")
    refused = cluster.devenv("recover", "--yes", check=False)
    assert refused.returncode == 1
    assert "rollout undo daemonset/kube-proxy" in refused.stderr
    cluster.kubectl("-n", "kube-system", "rollout", "undo", "daemonset/kube-proxy")
    until_healthy(cluster)


@exhaustive
def test_the_port_is_taken_by_another(cluster):
    cluster.docker("stop", cluster.node)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", cluster.port))
        thief.listen()
        found = until_named(cluster, (("DE103", "port"),))
        record(cluster, "port taken")
        assert f"process {os.getpid()}" in found["causes"][0]["says"]
        refused = cluster.devenv("recover", "--yes", check=False)
        assert refused.returncode == 1
        assert f"process {os.getpid()}" in refused.stderr
    until_named(cluster, (("DE203", cluster.node),))
    cluster.json("recover", "--yes")
    until_healthy(cluster)


def test_doctor_answers_while_up_hangs(cluster):
    argv = [sys.executable, "-m", "devenv", "up", "--profile", str(cluster.profile)]
    cluster.kubectl(
        "-n", "aibrix-system", "delete", "httproute", "llama2-7b-router"
    )  # so that `up` has something to do
    with subprocess.Popen(
        argv, env=cluster.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as up:
        up.stderr.readline()
        cluster.eventually(
            "the lock",
            lambda: "" if cluster.json("status", check=False)["changing"] else "its holder",
        )
        up.send_signal(signal.SIGSTOP)
        try:
            found = cluster.doctor()
        finally:
            up.send_signal(signal.SIGCONT)
        told = up.stderr.read()
    assert up.returncode == 0, told
    holders = [h for h in found["harmless"] if h["code"] == "DE107"]
    assert [f"process {up.pid}" in holder["says"] for holder in holders] == [True]
    assert found["in_progress"] == [], "who is stopped makes no progress"
    until_healthy(cluster)


def test_without_its_context(cluster):
    config = Path(cluster.env["KUBECONFIG"])
    kept = config.read_text()
    config.unlink()
    try:
        until_named(cluster, (("DE105", "context"),))
        record(cluster, "no context")
        cluster.json("recover", "--yes")
        until_healthy(cluster)
    finally:
        if not config.exists():
            config.write_text(kept)


def test_a_saved_file_gives_the_same_diagnosis(cluster, tmp_path):
    saved = tmp_path / "facts.json"
    live = cluster.devenv("doctor", "--save", str(saved), "--all").stdout
    assert cluster.devenv("doctor", "--from", str(saved), "--all").stdout == live
    assert saved.stat().st_mode & 0o777 == 0o600


def test_restart_is_gated(cluster):
    holder = (
        "-n",
        "envoy-gateway-system",
        "get",
        "lease",
        "5b9825d2.gateway.envoyproxy.io",
        "-o",
        "jsonpath={.spec.holderIdentity}",
    )
    before = cluster.kubectl(*holder)
    restarted = cluster.devenv("restart", "proxy", "envoy-gateway", "-o", "json")
    *_, last_number = step_numbers(restarted.stderr)
    # two restarts, end of the rollouts, live requests
    assert last_number == (4, 4)
    assert json.loads(restarted.stdout)["result"]["components"] == [
        "envoy-gateway",
        "proxy",
    ]
    pods = cluster.kubectl(
        "-n",
        "envoy-gateway-system",
        "get",
        "pods",
        "-l",
        "control-plane=envoy-gateway",
        "-o",
        "name",
    )
    after = cluster.kubectl(*holder)
    assert after != before
    assert after.rpartition("_")[0] in pods
    until_healthy(cluster)


def test_logs_are_merged_and_marked(cluster):
    cluster.json("request")
    entries = cluster.devenv("logs", "--since", "1h", "-o", "json").stdout.splitlines()
    # To the millisecond: some times have no further digits.
    times = [json.loads(entry)["result"]["time"][:23] for entry in entries]
    assert times == sorted(times)
    shown = cluster.devenv("logs", "--since", "1h").stdout
    assert "proxy           200 POST /v1/chat/completions" in shown
    assert "DE901" in cluster.devenv("logs", "proxy", "--since", "10h").stdout
    assert cluster.devenv("logs", "nobody", check=False).returncode == 2
