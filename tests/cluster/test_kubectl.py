"""list, version, kubectl, kubeconfig and exec on a real cluster."""

import subprocess

import pytest
import yaml

from tests.cluster.lab import Lab


def run(cluster: Lab, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A process of its own: the program that it starts has its streams."""
    return subprocess.run(
        cluster.argv(*args),
        env=cluster.env,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_cluster_is_listed(cluster):
    listed = {each["name"]: each for each in cluster.json("list")}
    entry = listed[cluster.cluster]
    assert (entry["state"], entry["url"]) == ("running", f"http://localhost:{cluster.port}")
    assert entry["age"] > 0


def test_versions_are_those_of_the_cluster(cluster):
    versions = cluster.json("version")
    assert versions["no_answer"] == []
    assert versions["cluster"]["envoy_gateway"] == "v1.2.8"
    assert versions["cluster"]["kubernetes"].startswith("v1.")


def test_kubectl_has_our_arguments_input_and_exit_code(cluster):
    done = run(cluster, "kubectl", "-n", "kube-system", "get", "configmap", "devenv", "-o", "name")
    assert (done.returncode, done.stdout) == (0, "configmap/devenv\n")
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: typed}\n"
    done = run(cluster, "kubectl", "apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert done.returncode == 0, done.stderr
    assert run(cluster, "kubectl", "get", "configmap", "no-such").returncode == 1


def test_the_kubeconfig_leads_to_the_cluster(cluster):
    done = run(cluster, "kubeconfig")
    assert yaml.safe_load(done.stdout)["current-context"] == f"kind-{cluster.cluster}"
    path = run(cluster, "kubeconfig", "--path").stdout.strip()
    own_config = cluster.env["KUBECONFIG"]
    cluster.env["KUBECONFIG"] = path
    try:
        assert cluster.devenv("status", check=False).returncode == 0
    finally:
        cluster.env["KUBECONFIG"] = own_config


@pytest.mark.parametrize("code", [0, 3])
def test_exec_has_our_arguments_and_the_commands_exit_code(cluster, code):
    done = run(
        cluster,
        "exec",
        "redis",
        "--",
        "sh",
        "-c",
        f'cat; echo "$1"; exit {code}',
        "_",
        "a b",
        stdin="in\n",
    )
    assert (done.returncode, done.stdout.split("\n")[:2]) == (code, ["in", "a b"])


def test_an_image_without_a_shell_gets_a_container_beside_it_once(cluster):
    for _ in range(2):
        done = run(cluster, "exec", "gateway-plugins", "--", "ls", "/proc/1/root/")
        assert done.returncode == 0, done.stderr
        assert "proc" in done.stdout.split()
    field = "-o=jsonpath={.items[*].spec.ephemeralContainers[*].name}"
    names = cluster.kubectl("get", "pods", "-n", "aibrix-system", field)
    assert set(names.split()) == {"devenv-shell-1"}
