"""A node that does not run, or has another address: `up` starts the same one, and follows it."""

import json

import pytest

from tests.cluster.lab import Lab

# Leaves a process frozen among the pods' cgroups, as a `runc init` is whose runc was killed. Only under cgroup v1
# does that keep its node from ending.
FREEZE = """
[ -e /sys/fs/cgroup/freezer/kubelet ] || exit 0
mkdir --parents /sys/fs/cgroup/freezer/kubelet/stuck
cd /sys/fs/cgroup/freezer/kubelet/stuck
sleep 600 >/dev/null 2>&1 &
echo $! >cgroup.procs
echo FROZEN >freezer.state
"""


def ending_of_etcd(lab: Lab) -> int:
    """Return the exit code of the etcd that ran last, as the node's containerd has it: the API server's may be late."""
    crictl = ("exec", lab.node, "crictl")
    ended = lab.docker(
        *crictl, "ps", "--all", "--quiet", "--name", "^etcd$", "--state", "Exited"
    ).split()
    return json.loads(lab.docker(*crictl, "inspect", ended[0]))["status"]["exitCode"]


@pytest.mark.parametrize("how", ["stop", "pause"])
def test_a_node_that_is_not_running_is_started_not_made_anew(cluster, how):
    before = cluster.docker("inspect", "-f", "{{.Id}}", cluster.node)
    if how == "stop":
        cluster.docker("exec", cluster.node, "bash", "-euc", FREEZE)
        assert cluster.json("stop")["nodes"] == [cluster.node]
        # 137: killed after its grace, etcd with it.
        assert cluster.docker("inspect", "-f", "{{.State.ExitCode}}", cluster.node).strip() != "137"
    else:
        cluster.docker("pause", cluster.node)
    told = cluster.devenv("status", check=False)
    assert told.returncode == 1
    assert f"`devenv up --name {cluster.cluster}`" in told.stdout
    refused = cluster.devenv("request", check=False)
    assert refused.returncode == 1
    assert "is not running" in refused.stderr
    assert cluster.proven()
    assert cluster.docker("inspect", "-f", "{{.Id}}", cluster.node) == before
    if how == "stop":
        assert ending_of_etcd(cluster) == 0


def address(lab: Lab) -> str:
    return lab.docker(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", lab.node
    ).strip()


def test_a_node_at_another_address_is_followed(cluster, built_refs):
    """As after a restart of the engine: the first container to start gets the first address."""
    before, made = address(cluster), cluster.docker("inspect", "-f", "{{.Id}}", cluster.node)
    squatter = f"{cluster.cluster}-squatter"
    cluster.docker("stop", cluster.node)
    try:
        cluster.docker(
            "run",
            "-d",
            "--name",
            squatter,
            "--network",
            "kind",
            "--entrypoint",
            "/bin/sleep",
            built_refs[0],
            "600",
        )
        assert cluster.proven()
        assert address(cluster) != before
        assert cluster.docker("inspect", "-f", "{{.Id}}", cluster.node) == made
    finally:
        cluster.docker("rm", "-fv", squatter, check=False)
