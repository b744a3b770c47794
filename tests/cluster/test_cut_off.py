"""`up` is killed in each of its steps, or kind beneath it: the next `up` heals, with no help.

The tests share a cluster, each from what the one before has left. Any of them works from nothing, too.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.by_hand import cases
from tests.cluster.lab import Lab, has_ended


@pytest.fixture(scope="module")
def lab(at_hand, tmp_path_factory):
    made = Lab(tmp_path_factory.mktemp("cut-off"), "devenv-test-cut-off")
    made.clear()
    yield made
    made.clear()


@contextmanager
def begun(lab: Lab, *options: str) -> Iterator[subprocess.Popen[str]]:
    """An `up` that has begun. It does not outlive a test that fails, not even stopped."""
    with subprocess.Popen(
        lab.argv("up", "--profile", str(lab.profile), *options),
        env=lab.env,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            yield run
        except BaseException:
            run.kill()
            raise


def node_id(lab: Lab) -> str:
    """Return the ID of the node's container, "" if there is none that runs."""
    return lab.docker("ps", "-q", "--filter", f"name={lab.node}").strip()


def await_node(lab: Lab, other_than: str = "") -> None:
    def missing() -> str:
        return "" if node_id(lab) not in ("", other_than) else "a container"

    lab.eventually("the node", missing)


def await_line(run: subprocess.Popen[str], is_it: Callable[[str], bool]) -> None:
    """Read what `up` says until a line is the one."""
    lines = []
    for line in run.stderr:
        lines.append(line)
        if is_it(line):
            return
    pytest.fail(f"`up` never said it:\n{''.join(lines)}")


def kill(run: subprocess.Popen[str]) -> None:
    """Kill `up` with no chance to tidy up."""
    run.kill()
    run.stderr.read()
    assert run.wait() == -signal.SIGKILL


def test_kind_is_killed_beneath_it(lab):
    former_node = node_id(lab)
    with begun(lab) as run:
        await_node(lab, other_than=former_node)
        kind = subprocess.run(
            ["pgrep", "-f", f"kind create cluster --name {lab.cluster}"],
            capture_output=True,
            text=True,
            check=True,
        )
        os.kill(int(kind.stdout.split()[0]), signal.SIGKILL)
        told = run.stderr.read()
    assert run.returncode == 1
    assert "`kind create cluster`" in told


def test_killed_while_kind_is_at_work(lab):
    former_node = node_id(lab)
    with begun(lab) as run:
        await_node(lab, other_than=former_node)
        kill(run)


STEPS = ("cluster", "images", "definitions", "apply gateway", "envoy-gateway", "gateway")


@pytest.mark.parametrize("step", cases(STEPS, by_hand={"cluster", "apply gateway"}))
def test_killed_after_a_step(lab, step):
    with begun(lab) as run:
        await_line(run, lambda line: has_ended(line, step))
        kill(run)


def await_lock(lab: Lab, holder: subprocess.Popen[str]) -> None:
    def missing() -> str:
        changing = lab.json("status", check=False)["changing"]
        return "" if changing == f"process {holder.pid}" else "the lock's holder"

    lab.eventually("the lock", missing)


def test_two_at_once_heal_it(lab):
    """The first is stopped until the second waits for it, so that it can't be over before."""
    with begun(lab) as first:
        await_node(lab)
        await_lock(lab, first)
        first.send_signal(signal.SIGSTOP)
        given_up = lab.devenv("up", "--profile", str(lab.profile), "--no-wait", check=False)
        assert given_up.returncode == 1
        assert f"process {first.pid}" in given_up.stderr
        with begun(lab, "-o", "json") as second:
            await_line(second, lambda line: f"process {first.pid}" in line)
            first.send_signal(signal.SIGCONT)
            said, _ = second.communicate()
        first.stderr.read()
    assert first.returncode == 0
    told = json.loads(said)["result"]
    assert told["changed"] is False
    assert all(r["ok"] for r in told["requests"])


def test_down_removes_all(lab):
    lab.up()
    mounts = "{{range .Mounts}}{{.Name}} {{end}}"
    volumes = set(lab.docker("inspect", "-f", mounts, lab.node).split())
    assert volumes, "the node had one"
    assert lab.json("down")["nodes"] == [lab.node]
    assert lab.node not in lab.docker("ps", "-a", "--format", "{{.Names}}")
    assert not volumes & set(lab.docker("volume", "ls", "-q").split())
    assert lab.cluster not in (lab.folder / "kubeconfig").read_text()
    assert lab.json("down")["nodes"] == []
