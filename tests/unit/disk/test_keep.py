"""Names have several spellings; what is needed under one stays under all."""

import pytest

from devenv.disk.keep import KeepRules, spellings

DIGEST = "sha256:" + "a" * 64
OLD = 10.0**9


@pytest.mark.parametrize(
    ("needed", "listed"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("docker.io/redis:7", "redis:7"),
        ("index.docker.io/library/redis:7", "redis:7"),
        (f"redis:7@{DIGEST}", f"docker.io/library/redis@{DIGEST}"),
        (f"redis:7@{DIGEST}", "redis:7"),
        (f"localhost:5000/a/b:1@{DIGEST}", f"localhost:5000/a/b@{DIGEST}"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
    ],
)
def test_what_a_workload_or_the_profile_needs_stays_however_it_is_spelt(needed, listed):
    for keep in (
        KeepRules(spellings([needed]), frozenset()),
        KeepRules(frozenset(), frozenset({needed})),
    ):
        assert keep.why_keep_in_node([listed], used=False, pinned=False, age=OLD)
        assert keep.why_keep_in_engine([listed], [], OLD)
        assert not keep.why_keep_in_engine(["other:1"], [], OLD)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("redis", "redis:7", True), ("redis:7", "docker.io/library/redis:7", True), ("redis:7", "redis:8", False),
        ("docker.io/redis:7", "redis:7", True), ("mycorp/app", "mycorp/app:dev", True), ("mycorp/*", "mycorp/a/b:1", True),
        ("registry:5000/app", "registry:5000/app:1", True), ("mycorp/app", f"mycorp/app@{DIGEST}", True),
        ("app", "mycorp/app:1", False), ("*:dev", "x/y:dev", True),
    ],
)  # fmt: skip
def test_patterns_are_read_as_people_write_names(pattern, name, fits):
    rules = KeepRules(frozenset(), frozenset(), (pattern,))
    assert bool(rules.why_keep_in_engine([name], [], OLD)) is fits


def test_who_keeps_nothing_for_being_new_keeps_nothing_that_came_this_moment():
    """It may have come after the look began."""
    rules = KeepRules(frozenset(), frozenset(), minimum_age=0)
    assert not rules.why_keep_in_engine(["a:1"], [], -0.5)
    assert KeepRules(frozenset(), frozenset()).why_keep_in_engine(["a:1"], [], -0.5)
