"""What marks an image as one of a checkout, with real git and without."""

import subprocess

import pytest

from devenv.adapters.host import LocalHost
from devenv.images.sources.stamp import Stamp, of_labels, own_ref, read
from devenv.profiles.model import GoProgram, ProfileImage

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "main.go").write_text("package main\n")
    return tmp_path / "checkout"


@pytest.fixture
def repository(folder):
    for argv in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run([*GIT, *argv], cwd=folder, check=True)
    return folder


def state(folder) -> Stamp:
    return read(LocalHost(), str(folder))


def test_what_is_committed_has_a_commit_and_no_changes(repository):
    found = state(repository)
    assert (found.folder, len(found.commit), found.changes) == (str(repository), 40, "")


@pytest.mark.parametrize("name", ["main.go", "new file ü.go"])
def test_a_changed_or_a_new_file_is_a_change_and_no_longer_once_it_is_undone(repository, name):
    before, clean = (repository / "main.go").read_text(), state(repository)
    (repository / name).write_text("one\n")
    one = state(repository)
    (repository / name).write_text("two\n")
    two = state(repository)
    assert len({clean.changes, one.changes, two.changes}) == 3
    assert {clean.commit, one.commit, two.commit} == {clean.commit}
    (repository / name).unlink() if name != "main.go" else (repository / name).write_text(before)
    assert state(repository) == clean


def test_a_file_that_is_gone_is_a_change(repository):
    (repository / "main.go").unlink()
    assert state(repository).changes


def test_what_git_ignores_is_none(repository):
    (repository / ".git" / "info" / "exclude").write_text("built\n")
    (repository / "built").write_text("x")
    assert state(repository).changes == ""


def test_without_git_all_files_count(folder):
    one = state(folder)
    assert (one.commit, bool(one.changes)) == ("", True)
    (folder / "main.go").write_text("package other\n")
    assert state(folder) != one


def test_a_folder_in_another_projects_repository_is_none_of_its(repository):
    inner = repository / "inner"
    inner.mkdir()
    (inner / "main.go").write_text("package main\n")
    assert state(inner).commit == ""


def test_labels_say_the_same(repository):
    (repository / "main.go").write_text("changed\n")
    found = state(repository)
    assert of_labels(found.labels) == found
    assert of_labels({}) is None


def test_two_checkouts_never_share_a_name():
    def image(folder: str) -> ProfileImage:
        program = GoProgram(package="./cmd/p", entrypoint="/p")
        return ProfileImage(
            name="p", ref="aibrix/p:nightly", build_in=folder, go=program, from_checkout=True
        )

    assert own_ref(image("/a")) != own_ref(image("/b"))
    assert own_ref(image("/a")) == own_ref(image("/a"))
    assert own_ref(image("")) == "", "a release has none"
