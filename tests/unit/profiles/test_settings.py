"""The user's own settings on top of a profile."""

import pytest

from devenv import data
from devenv.base.errors import DevenvError
from devenv.profiles.load import load
from devenv.profiles.settings import applied, read

OFFLINE = load("offline", data.root() / "profiles")


def test_no_file_changes_nothing(tmp_path):
    assert applied(OFFLINE, read(tmp_path / "config.yaml")) == OFFLINE


def test_what_is_said_counts_and_the_rest_is_the_profiles(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "budgets: {engine: {max_use: 40Gi}}\nauto_prune: yes\nprotect: [mine/*]\nkeep_newer: 2\n"
    )
    found = applied(OFFLINE, read(path))
    assert (found.budgets.engine.max_use, found.budgets.engine.keep_free) == (
        "40Gi",
        OFFLINE.budgets.engine.keep_free,
    )
    assert found.budgets.host == OFFLINE.budgets.host
    assert (found.auto_prune, found.protect, found.keep_newer) == ("yes", ("mine/*",), 2)


def test_all_that_is_wrong_is_told_with_its_place(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("budgets:\n  engine: {keep_free: lots}\nauto_prune: maybe\ncolour: red\n")
    with pytest.raises(DevenvError) as told:
        read(path)
    for line, key in ((2, "budgets.engine.keep_free"), (3, "auto_prune"), (4, "colour")):
        assert f"{path}:{line}: {key}: " in told.value.why
    path.write_text("a: [")
    with pytest.raises(DevenvError, match=r":1:"):
        read(path)
