"""`up` is killed in each of its steps, kind beneath it, the engine beneath that: the next `up` heals, with no help."""

import os
import signal
import subprocess

import pytest

from tests.cluster.lab import Lab


def kill_after(lab: Lab, line: str) -> None:
    """Run `up` and kill it, with no chance to tidy up, when it says that a step is done."""
    argv = lab.argv("up", "--profile", str(lab.profile))
    with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
        seen = []
        for said in run.stderr:
            seen.append(said)
            if said.startswith(line):
                run.kill()
                break
        else:
            pytest.fail(f"`up` never said {line!r}:\n{''.join(seen)}")
        run.stderr.read()
    assert run.returncode == -signal.SIGKILL


def proven(lab: Lab) -> bool:
    return all(r["ok"] for r in lab.up()["requests"])


def test_killed_in_every_step(at_hand, tmp_path):
    lab = Lab(tmp_path, "devenv-test-steps")
    try:
        for line in ("✓ cluster", "✓ images", "✓ definitions", "✓ apply gateway", "✓ envoy-gateway", "✓ gateway"):
            kill_after(lab, line)
        assert proven(lab)
    finally:
        assert lab.json("down")["nodes"] == [lab.node]


def test_kind_is_killed_beneath_it(at_hand, tmp_path):
    lab = Lab(tmp_path, "devenv-test-kind")
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, text=True) as run:
            lab.eventually("the node", lambda: "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container")
            kind = subprocess.run(
                ["pgrep", "-f", f"kind create cluster --name {lab.cluster}"], capture_output=True, text=True, check=True
            )
            os.kill(int(kind.stdout.split()[0]), signal.SIGKILL)
            told = run.stderr.read()
        assert run.returncode == 1
        assert "Error: cluster: `kind create cluster` failed." in told
        assert proven(lab)
    finally:
        lab.devenv("down")


def test_the_engine_is_stopped_beneath_it(small_disk, tmp_path):
    lab = Lab(tmp_path, "devenv-test-engine", small_disk.docker_host)
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, text=True) as run:
            lab.eventually("the node", lambda: "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container")
            small_disk.kill()
            told = run.stderr.read()
        assert run.returncode in {1, 3}
        assert "Error: " in told
        assert "Traceback" not in told
        refused = lab.devenv("up", "--profile", str(lab.profile), check=False)
        assert refused.returncode == 3
        assert "No Docker engine answers" in refused.stderr
        small_disk.launch()
        assert proven(lab)
    finally:
        lab.devenv("down")


def test_two_at_once(at_hand, tmp_path):
    lab = Lab(tmp_path, "devenv-test-two")
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as first:
            lab.eventually("the node", lambda: "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container")
            given_up = lab.devenv("up", "--profile", str(lab.profile), "--no-wait", check=False)
            assert given_up.returncode == 1
            assert f"is being changed by process {first.pid}" in given_up.stderr
            assert lab.json("status", check=False)["changing"] == f"process {first.pid}"
            waited = lab.devenv("up", "--profile", str(lab.profile))
            assert f"is being changed by process {first.pid}. Waiting" in waited.stderr
            assert "Nothing to do" in waited.stdout
            first.stderr.read()
        assert first.returncode == 0
    finally:
        lab.devenv("down")


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_a_node_that_is_not_running_is_started_not_made_anew(cluster, how):
    before = cluster.docker("inspect", "-f", "{{.Id}}", cluster.node)
    if how == "stop":
        assert cluster.json("stop")["nodes"] == [cluster.node]
        # 137: killed after its grace, etcd with it.
        assert cluster.docker("inspect", "-f", "{{.State.ExitCode}}", cluster.node).strip() != "137"
    else:
        cluster.docker("pause", cluster.node)
    told = cluster.devenv("status", check=False)
    assert told.returncode == 1
    assert f"Start it again with `devenv up --name {cluster.cluster}`" in told.stdout
    refused = cluster.devenv("request", check=False)
    assert refused.returncode == 1
    assert "is not running" in refused.stderr
    assert proven(cluster)
    assert cluster.docker("inspect", "-f", "{{.Id}}", cluster.node) == before
    if how == "stop":
        last = "{.status.containerStatuses[0].lastState.terminated.exitCode}"
        assert cluster.kubectl("-n", "kube-system", "get", "pod", f"etcd-{cluster.node}", "-o", f"jsonpath={last}") == "0"


def address(lab: Lab) -> str:
    return lab.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", lab.node).strip()


def test_a_node_at_another_address_is_followed(cluster, built_refs):
    """As after a restart of the engine: the first container to start gets the first address."""
    before, made = address(cluster), cluster.docker("inspect", "-f", "{{.Id}}", cluster.node)
    squatter = f"{cluster.cluster}-squatter"
    cluster.docker("stop", cluster.node)
    try:
        cluster.docker("run", "-d", "--name", squatter, "--network", "kind", "--entrypoint", "/bin/sleep", built_refs[0], "600")
        assert proven(cluster)
        assert address(cluster) != before
        assert cluster.docker("inspect", "-f", "{{.Id}}", cluster.node) == made
    finally:
        cluster.docker("rm", "-fv", squatter, check=False)
