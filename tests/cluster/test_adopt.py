"""A kind cluster that somebody else made: left alone, or adopted after its list was seen, and given back as it was."""

import subprocess

import pytest
import yaml

from devenv import data, wiring
from devenv.install.manifests import kind_config
from devenv.profiles.load import load
from tests.cluster.lab import Lab


@pytest.fixture
def by_hand(at_hand, built_refs, tmp_path):
    """A cluster made with kind alone, with an object in it, in a namespace that the profile wants too."""
    lab = Lab(tmp_path, "devenv-test-adopt")
    profile = load(str(lab.profile), data.root() / "profiles")
    (tmp_path / "kind.yaml").write_text(kind_config(profile))
    kind = kind_program()
    subprocess.run(
        [kind, "create", "cluster", "--name", lab.cluster, "--image", built_refs[0], "--config", tmp_path / "kind.yaml"],
        env=lab.env, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    yield lab
    subprocess.run(
        [kind, "delete", "cluster", "--name", lab.cluster],
        env=lab.env,
        check=True,
        capture_output=True,
        timeout=120,
    )
    lab.devenv("down")


def kind_program() -> str:
    with wiring.world() as world:
        return str(world.host.which("kind") or world.recipe_file("kind", "kind"))


def objects(lab: Lab) -> set[str]:
    """Everything that somebody would miss or not want to have."""
    kinds = "namespaces,crds,deployments,services,gatewayclasses,clusterroles,clusterrolebindings,validatingwebhookconfigurations"
    found = lab.kubectl("get", kinds.replace("gatewayclasses,", ""), "-A", "-o", "name")
    return set(found.split())


def test_adopted_and_given_back(by_hand):
    lab = by_hand
    refused = lab.devenv("up", "--profile", str(lab.profile), check=False)
    assert refused.returncode == 1
    assert f"`devenv up --adopt --name {lab.cluster}`" in refused.stderr
    assert lab.devenv("down", check=False).returncode == 1
    lab.kubectl("create", "namespace", "aibrix-system")
    lab.kubectl("create", "configmap", "theirs", "-n", "aibrix-system", "--from-literal=a=b")
    before = objects(lab)

    unanswered = lab.devenv("up", "--profile", str(lab.profile), "--adopt", check=False)
    assert unanswered.returncode == 2
    assert "Namespace: aibrix-system" in unanswered.stderr.partition("existing objects")[2]
    assert "CustomResourceDefinition: " in unanswered.stderr.partition("existing objects")[0]
    assert objects(lab) == before

    adopted = lab.json("up", "--profile", str(lab.profile), "--adopt", "--yes")
    assert all(r["ok"] for r in adopted["requests"])
    assert lab.json("up")["changed"] is False
    note = yaml.safe_load(
        lab.kubectl("get", "configmap", "devenv", "-n", "kube-system", "-o", "yaml")
    )
    assert note["data"]["made-by"] == "somebody else"

    listed = lab.json("down", "--dry-run")
    assert listed["nodes"] == []
    removed = lab.json("down")
    assert {o["name"] for o in removed["objects"]} == {o["name"] for o in listed["objects"]}
    assert removed["stayed"] == []
    assert objects(lab) == before
    assert "theirs" in lab.kubectl("get", "configmap", "-n", "aibrix-system", "-o", "name")
    assert "envoyproxy" not in lab.docker("exec", lab.node, "crictl", "images")
