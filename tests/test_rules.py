"""Rules of the house that no linter knows."""

import re
import subprocess

from devenv import data

LARGEST = 1 << 20  # bytes of a tracked file
SOURCES = sorted((data.root() / "devenv").rglob("*.py"))


def test_nothing_prints_but_the_console():
    for path in SOURCES:
        found = [
            line
            for line in path.read_text().splitlines()
            if re.search(r"(?<![\w.])(?<!def )print\(", line) and "file=" not in line
        ]
        assert not found, (path, found)


def test_no_engine_wide_prune_and_no_shell():
    forbidden = re.compile(
        r"\.prune\(|prune_(images|containers|volumes|networks)|system prune|shell=True"
    )
    for path in SOURCES:
        assert not forbidden.search(path.read_text()), path


def test_commands_stay_short():
    for path in (data.root() / "devenv" / "cli").glob("*.py"):
        assert len(path.read_text().splitlines()) < 160, path


def oversized(root):
    """Tracked and staged files of a git repository that are larger than LARGEST, as paths below it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    paths = [root / name for name in listed.split("\0") if name]
    return [str(p.relative_to(root)) for p in paths if p.is_file() and p.stat().st_size > LARGEST]


def test_no_tracked_file_is_oversized(repository):
    assert oversized(repository) == []


def test_a_staged_file_over_the_limit_is_found(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "small").write_bytes(bytes(LARGEST))
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    assert oversized(tmp_path) == ["large"]


def strays(tests, package):
    """Test files whose name begins with that of no module of the package in the same place, as paths below `tests`."""
    return [
        str(test.relative_to(tests))
        for test in sorted(tests.rglob("test_*.py"))
        if not _has_subject(
            test.stem.removeprefix("test_"), package / test.parent.relative_to(tests)
        )
    ]


def _has_subject(name, folder):
    words = name.split("_")
    prefixes = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
    modules = {module.stem.strip("_") for module in folder.glob("*")}
    return not modules.isdisjoint(prefixes)


def test_unit_tests_mirror_the_package():
    assert strays(data.root() / "tests" / "unit", data.root() / "devenv") == []


def test_a_stray_test_is_found(tmp_path):
    for file in (
        "package/a/b_c.py",
        "tests/a/test_b_c_again.py",
        "tests/a/test_b.py",
        "tests/test_b_c.py",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert strays(tmp_path / "tests", tmp_path / "package") == ["a/test_b.py", "test_b_c.py"]
