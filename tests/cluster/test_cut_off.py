"""`up` is killed in each of its steps, or kind beneath it: the next `up` heals, with no help."""

import os
import signal
import subprocess

import pytest

from tests.cluster.lab import Lab


def kill_after(lab: Lab, line: str) -> None:
    """Run `up` and kill it, with no chance to tidy up, when it says that a step is done."""
    argv = lab.argv("up", "--profile", str(lab.profile))
    with subprocess.Popen(
        argv, env=lab.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as run:
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
        for line in (
            "✓ cluster",
            "✓ images",
            "✓ definitions",
            "✓ apply gateway",
            "✓ envoy-gateway",
            "✓ gateway",
        ):
            kill_after(lab, line)
        assert proven(lab)
    finally:
        assert lab.json("down")["nodes"] == [lab.node]


def test_kind_is_killed_beneath_it(at_hand, tmp_path):
    lab = Lab(tmp_path, "devenv-test-kind")
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(argv, env=lab.env, stderr=subprocess.PIPE, text=True) as run:
            lab.eventually(
                "the node",
                lambda: (
                    "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container"
                ),
            )
            kind = subprocess.run(
                ["pgrep", "-f", f"kind create cluster --name {lab.cluster}"],
                capture_output=True,
                text=True,
                check=True,
            )
            os.kill(int(kind.stdout.split()[0]), signal.SIGKILL)
            told = run.stderr.read()
        assert run.returncode == 1
        assert "Error: cluster: `kind create cluster` failed." in told
        assert proven(lab)
    finally:
        lab.devenv("down")


def test_two_at_once(at_hand, tmp_path):
    lab = Lab(tmp_path, "devenv-test-two")
    argv = lab.argv("up", "--profile", str(lab.profile))
    try:
        with subprocess.Popen(
            argv, env=lab.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as first:
            lab.eventually(
                "the node",
                lambda: (
                    "" if lab.node in lab.docker("ps", "--format", "{{.Names}}") else "a container"
                ),
            )
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
