import pytest

from devenv import wiring
from devenv.base.errors import Exit
from devenv.cli import app


class World:
    """Notes what kubectl is called with."""

    def __init__(self) -> None:
        self.cluster, self.arguments = "", ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def kubectl(self, cluster):
        self.cluster = cluster
        return self

    def attach(self, arguments, *, has_terminal):
        self.arguments = arguments
        return 42


@pytest.fixture
def world(monkeypatch):
    monkeypatch.delenv("DEVENV_CLUSTER", raising=False)
    instance = World()
    monkeypatch.setattr(wiring, "world", lambda: instance)
    return instance


@pytest.mark.parametrize(
    "arguments",
    [
        ["get", "pods", "-n", "x", "--help"],
        ["--debug", "--name", "y", "-o", "json"],
        ["exec", "pod", "--", "sh", "-c", "exit 3"],
        ["--", "--"],
        [],
    ],
)
def test_arguments_are_passed_on_untouched_and_the_exit_code_too(world, arguments):
    assert app.run(["kubectl", *arguments]) == 42
    assert (world.cluster, list(world.arguments)) == ("devenv", arguments)


def test_the_cluster_comes_from_the_environment(world, monkeypatch):
    monkeypatch.setenv("DEVENV_CLUSTER", "other")
    app.run(["kubectl", "get", "pods"])
    assert world.cluster == "other"
    monkeypatch.setenv("DEVENV_CLUSTER", "../x")
    assert app.run(["kubectl", "get", "pods"]) == Exit.USAGE


def test_the_cluster_named_before_the_command_comes_first(world, monkeypatch):
    monkeypatch.setenv("DEVENV_CLUSTER", "other")
    app.app.main(
        ["kubectl", "get"], prog_name="devenv", standalone_mode=False, obj={"cluster": "first"}
    )
    assert world.cluster == "first"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_devenvs_own_where_it_comes_first(world, capsys, option):
    assert app.run(["kubectl", option, "get"]) == Exit.OK
    assert capsys.readouterr().out.split()[:3] == ["Usage:", "devenv", "kubectl"]
    assert world.arguments == ()
