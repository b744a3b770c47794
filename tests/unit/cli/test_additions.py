"""--quiet and --verbose, before and after a command's name."""

import pytest

from devenv.base.errors import Exit
from devenv.cli import app
from devenv.ui import verbosity
from devenv.ui.verbosity import Verbosity
from tests.unit.cli.test_options import ALL


@pytest.fixture(autouse=True)
def normal():
    yield
    verbosity.choose(Verbosity.NORMAL)


@pytest.mark.parametrize(
    "args",
    ["-q profile list", "profile list -q", "profile -q list", "--quiet profile list --quiet"],
)
def test_quiet_may_stand_anywhere(args):
    assert app.run(args.split()) == Exit.OK
    assert verbosity.is_quiet()


@pytest.mark.parametrize("args", ["-v profile list", "profile list -v", "profile --verbose list"])
def test_verbose_may_stand_anywhere(args):
    assert app.run(args.split()) == Exit.OK
    assert verbosity.is_verbose()


@pytest.mark.parametrize("args", ["-q profile list -v", "profile list -qv", "-v profile -q list"])
def test_both_contradict_each_other(args, capsys):
    assert app.run(args.split()) == Exit.USAGE
    assert capsys.readouterr().out == ""


def test_one_run_does_not_choose_for_the_next():
    app.run(["profile", "list", "-q"])
    app.run(["profile", "list"])
    assert not verbosity.is_quiet()


def test_what_follows_kubectl_is_not_devenvs(monkeypatch):
    passed = []
    monkeypatch.setattr(
        "devenv.cluster.kubectl.Kubectl.attach", lambda _, arguments, **__: passed.extend(arguments)
    )
    app.run(["kubectl", "-v", "get", "-q"])
    assert passed == ["-v", "get", "-q"]
    assert not verbosity.is_verbose()


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_them(name):
    options = [option for param in ALL[name].params for option in param.opts]
    for option in ("-q", "--quiet", "-v", "--verbose"):
        assert options.count(option) == 1
