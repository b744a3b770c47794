"""Recipes built for real, in a folder of the test's own, so that nothing of the user's is rebuilt."""

import os
import shutil
import subprocess
import sys

import pytest

from devenv import data


@pytest.fixture
def recipes(at_hand, tmp_path):
    shutil.copytree(data.root() / "images" / "pause", tmp_path / "devenv-test-pause")
    (tmp_path / "devenv-test-on-top").mkdir()
    (tmp_path / "devenv-test-on-top" / "recipe.yaml").write_text(
        'description: stands on another\nversion: "1"\nimage: {from: {BASE: devenv-test-pause}, seconds: 1, disk: 1Mi}\n'
    )
    (tmp_path / "devenv-test-on-top" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nENV A=b\n")
    yield tmp_path
    refs = docker(
        "images", "-q", "--no-trunc", "--filter", "label=devenv.recipe.name=devenv-test-pause"
    ).split()
    refs += docker(
        "images", "-q", "--no-trunc", "--filter", "label=devenv.recipe.name=devenv-test-on-top"
    ).split()
    subprocess.run(["docker", "rmi", "-f", *dict.fromkeys(refs)], capture_output=True, check=False)


def docker(*args: str) -> str:
    return subprocess.run(["docker", *args], capture_output=True, text=True, check=True).stdout


def build(recipes, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "XDG_CACHE_HOME": str(recipes / "cache")}
    argv = [sys.executable, "-m", "devenv", "images", "build", "--folder", str(recipes), *args]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, env=env)
    assert not check or done.returncode == 0, done.stderr
    return done


def test_a_recipe_is_built_once_and_again_when_it_changes(recipes):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    assert "Building 3 pieces" in build(recipes).stderr
    assert "Nothing to do" in build(recipes).stdout
    source = recipes / "devenv-test-pause" / "pause.c"
    source.write_text(source.read_text() + "/* changed */\n")
    dry = build(recipes, "--dry-run")
    assert dry.stdout.split() == [
        "devenv-test-pause/pause",
        "devenv-test-pause",
        "devenv-test-on-top",
    ]
    build(recipes)
    assert "Nothing to do" in build(recipes).stdout


def test_a_failing_build_shows_the_compilers_words_and_where_the_log_is(recipes):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (recipes / "devenv-test-pause" / "pause.c").write_text("not C at all\n")
    done = build(recipes, check=False)
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "devenv-test-pause-pause.log" in done.stderr


def test_a_failing_dockerfile_shows_the_engines_words(recipes):
    (recipes / "devenv-test-on-top" / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    done = build(recipes, "devenv-test-on-top", check=False)
    assert done.returncode == 1
    assert "devenv-test-on-top's image could not be built" in done.stderr
    assert "nothing" in done.stderr
