"""`images build`: its JSON, and that a dry run builds nothing."""

import json

import pytest

from devenv.cli import app
from devenv.images.recipes.build_plan import BuildPlan
from devenv.wiring import World
from tests.unit.ui.test_builds import PLAN


class FakeBuilder:
    """A builder of one recipe without files, which notes what it is asked for."""

    def __init__(self, plan):
        self.next_plan, self.log = plan, []
        self.book = self
        self.recipes = {"redis": None}

    def get(self, _):
        return self

    spec, files = property(lambda self: self), ()

    def wait(self):
        self.log.append("wait")

    def plan(self, names, _files):
        self.log.append(f"plan {' '.join(names)}")
        return self.next_plan

    def build(self, _):
        self.log.append("build")


class NoGuard:
    def make(self, *_):
        """There is room."""


@pytest.fixture
def run(monkeypatch, capsys):
    def call(plan, *args):
        builder = FakeBuilder(plan)
        monkeypatch.setattr(World, "builder", builder)
        monkeypatch.setattr(World, "guard", lambda *_: NoGuard())
        assert app.run(["images", "build", *args, "-o", "json"]) == 0
        return json.loads(capsys.readouterr().out)["result"], builder.log

    return call


def test_a_build(run):
    result, log = run(PLAN)
    assert log == ["wait", "plan redis", "build"]
    assert [piece["name"] for piece in result["pieces"]] == ["kube/kubelet", "redis"]
    assert result["dry_run"] is False


def test_a_dry_run_builds_nothing(run):
    result, log = run(PLAN, "redis", "--dry-run")
    assert log == ["plan redis"]
    assert result["dry_run"] is True


def test_nothing_is_left_to_build(run):
    result, log = run(BuildPlan(()))
    assert "build" not in log
    assert result["pieces"] == []
