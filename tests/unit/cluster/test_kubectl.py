import pytest

from devenv.cluster.kubeconfig import ADMIN_CONFIG
from devenv.cluster.kubectl import Kubectl
from devenv.ports.processes import Completed
from tests.unit.cluster.test_kubeconfig import add_node, kubeconfig

__all__ = ["kubeconfig"]
ARGUMENTS = ["-n", "x", "get", "pods", "--", "-v", "a b"]
ENGINE = {"DOCKER_HOST": "unix:///there"}


@pytest.fixture
def kubectl(fakes, kubeconfig):
    add_node(fakes)
    return Kubectl(kubeconfig, fakes.host, fakes.engine, lambda: ENGINE, fakes.reporter.say)


def test_the_hosts_own_gets_the_arguments_and_the_clusters_kubeconfig(fakes, kubectl, kubeconfig):
    fakes.host.programs.add("kubectl")
    fakes.host.attached_code = 7
    assert kubectl.attach(ARGUMENTS, has_terminal=True) == 7
    assert fakes.log == ["attach /usr/bin/kubectl -n x get pods -- -v a b"]
    (path,) = fakes.host.attached_env.values()
    assert path == str(kubeconfig.write())
    assert list(fakes.host.attached_env) == ["KUBECONFIG"]


@pytest.mark.parametrize("has_terminal", [True, False])
def test_otherwise_the_nodes(fakes, kubectl, has_terminal):
    fakes.host.attached_code = 7
    assert kubectl.attach(ARGUMENTS, has_terminal=has_terminal) == 7
    tty = " --tty" if has_terminal else ""
    docker = f"docker exec --interactive{tty} --env KUBECONFIG={ADMIN_CONFIG} c-control-plane"
    assert fakes.log == [f"attach {docker} kubectl -n x get pods -- -v a b"]
    assert fakes.host.attached_env == ENGINE


@pytest.mark.parametrize("form", ["{}", "--filename={}"])
def test_a_file_that_the_node_does_not_have_is_explained_after_a_failure(
    fakes, kubectl, tmp_path, form
):
    file = tmp_path / "my.yaml"
    file.touch()
    arguments = ["apply", "-f", form.format(file)]
    kubectl.attach(arguments, has_terminal=False)
    assert fakes.reporter.said == []
    fakes.host.attached_code = 1
    kubectl.attach(["apply", "-f", "-"], has_terminal=False)
    assert fakes.reporter.said == []
    kubectl.attach(arguments, has_terminal=False)
    (said,) = fakes.reporter.said
    assert str(file) in said


def test_a_run_gives_the_output(fakes, kubectl, monkeypatch):
    calls = []

    def run(container, argv, stdin=None):
        calls.append((container, argv))
        return Completed(0, "pods")

    monkeypatch.setattr(fakes.engine, "exec", run)
    assert kubectl.run(["get", "pods"]).output == "pods"
    assert calls == [
        ("c-control-plane", ["kubectl", f"--kubeconfig={ADMIN_CONFIG}", "get", "pods"])
    ]
    fakes.host.programs.add("kubectl")
    kubectl.run(["get", "pods"])
    assert "run /usr/bin/kubectl get pods" in fakes.log
