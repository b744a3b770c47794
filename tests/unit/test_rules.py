"""Rules of the house that no linter knows."""

import re

from devenv import data

SOURCES = sorted((data.root() / "devenv").rglob("*.py"))


def test_nothing_prints_but_the_console():
    for path in SOURCES:
        found = [line for line in path.read_text().splitlines() if re.search(r"(?<![\w.])print\(", line) and "file=" not in line]
        assert not found, (path, found)


def test_no_engine_wide_prune_and_no_shell():
    forbidden = re.compile(r"\.prune\(|prune_(images|containers|volumes|networks)|system prune|shell=True")
    for path in SOURCES:
        assert not forbidden.search(path.read_text()), path


def test_commands_stay_short():
    for path in (data.root() / "devenv" / "cli").glob("*.py"):
        assert len(path.read_text().splitlines()) < 120, path
