"""Any cluster, by its context: with exactly the rights that docs/doctor-role.yaml gives, and nothing assumed of its names."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from devenv import data

ROLE = yaml.safe_load((data.root() / "docs" / "doctor-role.yaml").read_text())
WHO = ("-n", "kube-system", "devenv-test-reader")


@pytest.fixture(scope="module")
def reader(cluster, tmp_path_factory):
    """A kubeconfig of somebody who may read, as the context `theirs`."""
    cluster.kubectl("-n", "kube-system", "create", "serviceaccount", "devenv-test-reader")
    cluster.kubectl_in(yaml.safe_dump(ROLE), "apply", "-f", "-")
    account = "--serviceaccount=kube-system:devenv-test-reader"
    cluster.kubectl(
        "create", "clusterrolebinding", "devenv-test-reader", "--clusterrole=devenv-doctor", account
    )
    token = cluster.kubectl("-n", "kube-system", "create", "token", "devenv-test-reader").strip()
    config = yaml.safe_load(Path(cluster.env["KUBECONFIG"]).read_text())
    (own,) = [c["cluster"] for c in config["clusters"] if c["name"] == f"kind-{cluster.cluster}"]
    file = tmp_path_factory.mktemp("reader") / "kubeconfig"
    file.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "clusters": [{"name": "far", "cluster": own}],
        "users": [{"name": "reader", "user": {"token": token}}],
        "contexts": [{"name": "theirs", "context": {"cluster": "far", "user": "reader"}}],
    }))  # fmt: skip
    yield file
    cluster.kubectl("delete", "clusterrolebinding", "devenv-test-reader")
    cluster.kubectl("delete", "clusterrole", "devenv-doctor")
    cluster.kubectl("-n", "kube-system", "delete", "serviceaccount", "devenv-test-reader")


def doctor(cluster, kubeconfig, *args, code=0):
    env = {**cluster.env, "KUBECONFIG": str(kubeconfig), "DOCKER_HOST": "unix:///nowhere"}
    argv = cluster.argv("doctor", "--context", "theirs", *args)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_cluster_that_is_healthy_is_read_with_the_rights_of_the_role_and_without_an_engine(
    cluster, reader
):
    found = json.loads(doctor(cluster, reader, "-o", "json"))["result"]
    assert found["healthy"]
    assert found["unknown"] == []
    assert "no live request was sent, and Envoy was not asked" in doctor(cluster, reader)


def test_what_may_not_be_read_is_said(cluster, reader):
    less = {**ROLE, "rules": [r for r in ROLE["rules"] if "nodes/proxy" not in r["resources"]]}
    cluster.kubectl_in(yaml.safe_dump(less), "apply", "-f", "-")
    try:
        found = json.loads(doctor(cluster, reader, "-o", "json", code=4))["result"]
        assert f"disk of {cluster.node}" in [u["what"] for u in found["unknown"]]
        assert all("forbidden" in u["why"] for u in found["unknown"]), found["unknown"]
    finally:
        cluster.kubectl_in(yaml.safe_dump(ROLE), "apply", "-f", "-")


def test_a_fault_is_found_and_its_owner_is_not_sent_to_devenv(cluster, reader):
    cluster.kubectl(
        "-n", "aibrix-system", "scale", "deployment", "aibrix-gateway-plugins", "--replicas=0"
    )
    try:
        cluster.eventually(
            "the diagnosis", lambda: "" if "DE305" in subprocess_text(cluster, reader) else "DE305"
        )
        found = json.loads(doctor(cluster, reader, "-o", "json", code=1))["result"]
        (cause,) = found["causes"]
        assert (cause["code"], cause["fix"]) == ("DE305", ["devenv doctor --explain DE305"])
        page = doctor(cluster, reader, "-o", "html", code=1)
        assert "aibrix-gateway-plugins is scaled to zero" in page
    finally:
        cluster.kubectl(
            "-n", "aibrix-system", "scale", "deployment", "aibrix-gateway-plugins", "--replicas=1"
        )
        cluster.eventually("health", lambda: "" if cluster.doctor()["healthy"] else "health")


def subprocess_text(cluster, reader) -> str:
    env = {**cluster.env, "KUBECONFIG": str(reader)}
    argv = cluster.argv("doctor", "--context", "theirs")
    return subprocess.run(
        argv, env=env, capture_output=True, text=True, timeout=120, check=False
    ).stdout


def test_a_context_that_is_not_there_is_a_wrong_call(cluster, reader):
    env = {**cluster.env, "KUBECONFIG": str(reader)}
    argv = cluster.argv("doctor", "--context", "nosuch")
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "nosuch" in done.stderr
