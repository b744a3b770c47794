from pathlib import Path

import pytest

from devenv import data
from devenv.base.errors import DevenvError, Exit
from devenv.images.recipes import recipe as recipes

BASE = """
description: base
version: "1"
files: {rootfs.tar: {debootstrap: {suite: bookworm, include: [bash]}, seconds: 1, disk: 1Mi}}
image: {rootfs: rootfs.tar, seconds: 1, disk: 1Mi}
"""
APP = """
description: app
version: "1"
files:
  app: {go: {package: .}, seconds: 1, disk: 1Mi}
  tool: {go: {package: ./tool, run: true}, seconds: 1, disk: 1Mi}
image: {from: {BASE: base}, files: [app], context: [extra.conf], seconds: 1, disk: 1Mi}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("base", BASE), ("app", APP)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(text)
    for file in ("main.go", "go.mod", "go.sum", "Dockerfile", "extra.conf"):
        (tmp_path / "app" / file).write_text(f"// {file}\n")
    return tmp_path


def keys(folder: Path, toolchain: str = "go1", architecture: str = "amd64") -> dict[str, str]:
    book = recipes.load(folder, architecture, toolchain)
    app, base = book.get("app"), book.get("base")
    return {
        "base": book.image_key(base),
        "app": book.image_key(app),
        "file": book.file_key(app, "app"),
    }


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_the_same_content_has_the_same_key(folder: Path):
    assert keys(folder) == keys(folder)


@pytest.mark.parametrize("file", ["main.go", "go.sum", "go.mod"])
def test_a_changed_source_changes_the_file_and_what_is_made_of_it(folder: Path, file: str):
    before = keys(folder)
    (folder / "app" / file).write_text("changed")
    assert changed(before, keys(folder)) == {"app", "file"}


@pytest.mark.parametrize("file", ["Dockerfile", "extra.conf"])
def test_a_changed_dockerfile_or_context_changes_the_image_alone(folder: Path, file: str):
    before = keys(folder)
    (folder / "app" / file).write_text("changed")
    assert changed(before, keys(folder)) == {"app"}


def test_a_changed_base_changes_what_stands_on_it(folder: Path):
    before = keys(folder)
    (folder / "base" / "recipe.yaml").write_text(BASE.replace("bash", "dash"))
    assert changed(before, keys(folder)) == {"app", "base"}


def test_how_long_it_takes_is_no_content(folder: Path):
    before = keys(folder)
    (folder / "app" / "recipe.yaml").write_text(APP.replace("seconds: 1", "seconds: 99"))
    assert changed(before, keys(folder)) == set()


def test_another_compiler_or_architecture_changes_what_is_compiled(folder: Path):
    before = keys(folder)
    assert changed(before, keys(folder, toolchain="go2")) == {"app", "file"}
    assert changed(before, keys(folder, architecture="arm64")) == {"app", "base", "file"}


def test_all_broken_recipes_are_told_at_once(folder: Path):
    (folder / "app" / "recipe.yaml").write_text(APP.replace("seconds: 1", "second: 1"))
    (folder / "base" / "recipe.yaml").write_text("a: [")
    with pytest.raises(DevenvError) as caught:
        recipes.load(folder, "amd64", "go1")
    assert "app/recipe.yaml" in caught.value.why
    assert "base/recipe.yaml" in caught.value.why


def test_recipes_in_a_circle_are_refused(folder: Path):
    (folder / "base" / "recipe.yaml").write_text(
        BASE.replace("rootfs: rootfs.tar", "from: {X: app}")
    )
    with pytest.raises(DevenvError, match="app → base → app"):
        recipes.load(folder, "amd64", "go1").closure(["app"])


def test_an_unknown_recipe_names_those_there_are(folder: Path, expect_error):
    with expect_error(Exit.USAGE):
        recipes.load(folder, "amd64", "go1").get("nothing")


def test_the_recipes_that_come_with_devenv_are_right():
    book = recipes.load(data.root() / "images", "amd64", "go1")
    node = book.get("node")
    assert [r.name for r in book.closure(["node"])][-1] == "node"
    assert {"kube", "etcd", "coredns", "pause", "node-rootfs"} <= set(node.needs)
    for recipe in book.recipes.values():
        for step in recipe.spec.files.values():
            if step.go:
                assert (recipe.folder / step.go.dir / "go.sum").exists() or not (
                    recipe.folder / step.go.dir / "go.mod"
                ).read_text().count("require")
        if recipe.spec.image:
            assert book.tag(recipe).startswith("devenv.local/")
