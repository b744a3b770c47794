import pytest

from devenv import data
from devenv.base.errors import Exit
from devenv.cluster.pod_exec import PodExec
from devenv.ports.processes import Completed
from devenv.profiles.load import load

SYSTEM = "aibrix-system"
BUSYBOX = "docker.io/library/busybox:stable"
NO_SHELL = Completed(
    1, 'error: exec failed: unable to start container process: exec: "sh": executable file not found in $PATH'
)  # fmt: skip
# How a Deployment's pods name it.
MADE_BY = {
    "labels": {"pod-template-hash": "1"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "aibrix-redis-master-1"}],
}


class FakeKubectl:
    """Notes what it is called with. `busybox`: the programs of the ephemeral container."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.shell = Completed(0, "")
        self.debug = Completed(0, "")
        self.busybox = {"ls", "cat"}

    def run(self, arguments):
        self.log.append(f"kubectl {' '.join(arguments)}")
        if arguments[0] == "debug":
            return self.debug
        if "command -v" in " ".join(arguments):
            return Completed(0 if arguments[-1] in self.busybox else 127, "")
        return self.shell

    def attach(self, arguments, *, has_terminal):
        self.log.append(f"attach {' '.join(arguments)}")
        return 42


def pod_of(name="redis-1", phase="Running", containers=("redis",), **metadata):
    return {
        "metadata": {"name": name, "namespace": SYSTEM, **MADE_BY, **metadata},
        "spec": {"containers": [{"name": container} for container in containers]},
        "status": {"phase": phase},
    }


def with_ephemeral(pod, *states):
    """The pod with devenv's ephemeral containers in these states."""
    names = [f"devenv-shell-{number}" for number, _ in enumerate(states, 1)]
    pod["spec"]["ephemeralContainers"] = [{"name": name} for name in names]
    pod["status"]["ephemeralContainerStatuses"] = [
        {"name": name, "state": state} for name, state in zip(names, states, strict=True)
    ]
    return pod


@pytest.fixture
def pods(fakes, monkeypatch):
    """The pods of redis; a container that was added runs at once."""
    listed = [pod_of()]
    deployment = {"metadata": {"name": "aibrix-redis-master", "namespace": SYSTEM}}

    def select(version, kind, namespace="", selector=""):
        return {"Deployment": [deployment], "Pod": listed}[kind]

    monkeypatch.setattr(fakes.kube, "select", select)
    monkeypatch.setattr(
        fakes.kube, "get", lambda *_: with_ephemeral(pod_of(), {"running": {}}, {"running": {}})
    )
    return listed


@pytest.fixture
def kubectl(fakes):
    return FakeKubectl(fakes.log)


@pytest.fixture
def pod_exec(fakes, pods, kubectl):
    profile = load("offline", data.root() / "profiles")
    return PodExec(fakes.session("c", profile), kubectl)


def attached(fakes):
    return [entry for entry in fakes.log if entry.startswith("attach")]


def debugs(fakes):
    return [entry for entry in fakes.log if entry.startswith("kubectl debug")]


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_command_runs_in_the_components_container(fakes, pod_exec, has_terminal):
    assert pod_exec.run("redis", ("redis-cli", "--", "-x"), has_terminal=has_terminal) == 42
    tty = " --tty" if has_terminal else ""
    start = f"attach exec --namespace {SYSTEM} redis-1 --container redis --stdin{tty}"
    assert attached(fakes) == [f"{start} -- redis-cli -- -x"]
    assert (debugs(fakes), fakes.reporter.said) == ([], [])


def test_without_a_command_it_is_a_shell(fakes, pod_exec):
    pod_exec.run("redis", (), has_terminal=True)
    assert attached(fakes)[0].endswith(" --tty -- sh")


def test_without_a_shell_a_container_joins_the_pod(fakes, pod_exec, kubectl):
    kubectl.shell = NO_SHELL
    pod_exec.run("redis", ("ls", "/"), has_terminal=False)
    (debug,) = debugs(fakes)
    assert f"--image={BUSYBOX} " in debug
    assert " --target=redis --container=devenv-shell-1 " in debug
    assert " --container devenv-shell-1 --stdin -- ls /" in attached(fakes)[0]
    assert len(fakes.reporter.said) == 1


def test_a_container_that_joined_before_is_used_again(fakes, pod_exec, pods, kubectl):
    kubectl.shell = NO_SHELL
    with_ephemeral(pods[0], {"terminated": {}}, {"running": {}})
    pod_exec.run("redis", (), has_terminal=False)
    assert debugs(fakes) == []
    assert " --container devenv-shell-2 " in attached(fakes)[0]


def test_one_that_ended_is_replaced(fakes, pod_exec, pods, kubectl):
    kubectl.shell = NO_SHELL
    with_ephemeral(pods[0], {"terminated": {}})
    pod_exec.run("redis", (), has_terminal=False)
    assert " --container=devenv-shell-2 " in debugs(fakes)[0]


def test_a_program_that_only_the_image_has_runs_there(fakes, pod_exec, kubectl):
    kubectl.shell = NO_SHELL
    pod_exec.run("redis", ("redis-server", "--version"), has_terminal=False)
    assert " --container redis --stdin -- redis-server --version" in attached(fakes)[0]
    assert fakes.reporter.said == []


def test_a_container_that_does_not_start_is_an_error(
    fakes, pod_exec, kubectl, monkeypatch, expect_error
):
    kubectl.shell = NO_SHELL
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "no registry"}}
    monkeypatch.setattr(fakes.kube, "get", lambda *_: with_ephemeral(pod_of(), waiting))
    with expect_error(Exit.FAILED):
        pod_exec.run("redis", (), has_terminal=False)


def test_a_pod_that_refuses_the_container_is_an_error(pod_exec, kubectl, expect_error):
    kubectl.shell = NO_SHELL
    kubectl.debug = Completed(1, "error: forbidden")
    with expect_error(Exit.FAILED):
        pod_exec.run("redis", (), has_terminal=False)


def test_a_container_that_can_run_nothing_is_an_error(pod_exec, kubectl, expect_error):
    kubectl.shell = Completed(1, "error: unable to upgrade connection")
    with expect_error(Exit.FAILED):
        pod_exec.run("redis", (), has_terminal=False)


def test_an_unknown_component_is_a_wrong_call(pod_exec, expect_error):
    with expect_error(Exit.USAGE):
        pod_exec.run("nothing", (), has_terminal=False)


def test_a_component_without_a_running_pod_is_an_error(pod_exec, pods, expect_error):
    pods[:] = [pod_of(phase="Pending")]
    with expect_error(Exit.FAILED):
        pod_exec.run("redis", (), has_terminal=False)


def test_a_ready_pod_comes_first(fakes, pod_exec, pods):
    ready = pod_of("redis-2")
    ready["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    pods.append(ready)
    pod_exec.run("redis", (), has_terminal=False)
    assert " redis-2 " in attached(fakes)[0]


def test_the_pods_default_container_is_chosen(fakes, pod_exec, pods):
    note = {"kubectl.kubernetes.io/default-container": "main"}
    pods[:] = [pod_of(containers=("sidecar", "main"), annotations=note)]
    pod_exec.run("redis", (), has_terminal=False)
    assert " --container main " in attached(fakes)[0]
