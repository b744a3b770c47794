"""Whoever is about to write looks first: above a budget nothing is built and nothing made, on the real engine."""

import subprocess

import pytest

from tests.cluster.lab import Lab

TOO_MUCH = "budgets: {engine: {keep_free: 99%}}\nauto_prune: no\n"
RECIPE = 'description: never built\nversion: "1"\nimage: {from: {}, seconds: 1, disk: 1Mi}\n'


@pytest.fixture
def lab(at_hand, tmp_path):
    """A lab whose user keeps nearly the whole disk free: no disk need be filled for it."""
    made = Lab(tmp_path, "devenv-test-budget")
    (tmp_path / "config" / "devenv").mkdir(parents=True)
    (tmp_path / "config" / "devenv" / "config.yaml").write_text(TOO_MUCH)
    return made


def test_a_new_cluster_above_the_budget_is_not_begun(lab):
    done = lab.devenv("up", "--profile", str(lab.profile), check=False)
    assert done.returncode == 3, done.stderr
    assert "budget" in done.stderr
    assert "`devenv prune`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not lab.docker("ps", "-aq", "--filter", f"name={lab.node}")
    assert not (lab.folder / "kubeconfig").exists()


def test_an_image_above_the_budget_is_not_built(lab):
    folder = lab.folder / "recipes" / "devenv-test-never"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    build = lab.argv("images", "build", "--folder", str(folder.parent))
    done = subprocess.run(
        build, env=lab.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "budget" in done.stderr
    assert not lab.docker("images", "-q", "--filter", "label=devenv.recipe.name=devenv-test-never")
