"""`make clean` leaves a checkout as git has it."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from tests.paths import ROOT

MADE = (
    ".venv/ready", "dist/a.whl", "build/lib/a", "aibrix_devenv.egg-info/PKG-INFO", ".coverage", ".hypothesis/a",
    ".mypy_cache/a", ".ruff_cache/a", ".pytest_cache/a", ".import_linter_cache/a", "devenv/__pycache__/a.pyc",
    "tests/unit/__pycache__/a.pyc",
)  # fmt: skip
# What stands in for `make check`, `make test` and a release: each kind of program once, on little.
PROGRAMS = (
    ("build", "--wheel", "--no-isolation"),
    ("ruff", "check", "bench"),
    ("pytest", "-q", "--noconftest", "tests/unit/base/test_network.py"),
    ("coverage", "run", "-m", "tests.paths"),
    ("compileall", "-q", "bench"),
)


def output(*argv, folder, check=True):
    """Run a program in the folder, where it finds only the folder's own code, and return what it prints."""
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def ignored(folder):
    return output("git", "status", "--porcelain", "--ignored", folder=folder)


@pytest.fixture
def small(tmp_path):
    """A repository with the Makefile, one file, and something for each line of .gitignore."""
    for file in (".gitignore", "Makefile"):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "own").touch()
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@localhost")
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "as it was"]):
        output(*git, *argv, folder=tmp_path)
    for file in MADE:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    return tmp_path


def test_clean_removes_all_that_is_ignored_and_nothing_else(small):
    assert ignored(small)
    output("make", "clean", folder=small)
    assert ignored(small) == ""
    assert (small / "own").exists()


def test_each_line_of_gitignore_is_tried(small):
    reasons = output("git", "check-ignore", "-v", "--no-index", *MADE, folder=small).splitlines()
    patterns = {reason.partition("\t")[0].rpartition(":")[2] for reason in reasons}
    assert patterns == set((small / ".gitignore").read_text().splitlines())


def test_what_the_programs_make_is_ignored_and_goes(tmp_path, repository):
    folder = tmp_path / "clone"
    output("git", "clone", "-q", str(repository), str(folder), folder=tmp_path)
    for program in PROGRAMS:
        output(sys.executable, "-m", *program, folder=folder)
    assert output("git", "status", "--porcelain", folder=folder) == ""
    made = set(ignored(folder).split())
    assert {"dist/", ".coverage", ".ruff_cache/", ".pytest_cache/", "bench/__pycache__/"} <= made
    output("make", "clean", folder=folder)
    assert ignored(folder) == ""


# What stands in for pip: it writes what pip writes, and ends as it is told.
PIP = """
import importlib.util
import os
import sys

print("Collecting click==8.1", "  Downloading click.whl", "Collecting rich==14.0", sep="\\n")
print("Requirement already satisfied: pip in here")
print("Installing collected packages: click, rich")
sys.exit(int(os.environ["PIP_ENDS"]))
"""
LOCK = "click==8.1 \\\n    --hash=sha256:00\nrich==14.0 \\\n    --hash=sha256:01\npip==25.0\n"


@pytest.mark.parametrize("code", [0, 1])
def test_an_installation_shows_how_far_it_is_and_how_it_failed(tmp_path, code):
    (tmp_path / "pip.py").write_text(PIP)
    (tmp_path / "requirements.lock").write_text(LOCK)
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "install.py", "requirements.lock"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PIP_ENDS": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert ("Collecting" in done.stderr) is (code == 1)


def test_each_package_is_counted():
    spec = importlib.util.spec_from_file_location("install", ROOT / ".ci" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    lines = ["Collecting click==8.1\n", "  Using cached x\n", "Collecting rich>=1\n"]
    last = ["Installing collected packages: click, rich\n"]
    *counted, unpacking = install.states(iter([*lines, *last]), 7)
    assert counted == [(1, "[1/7] click"), (2, "[2/7] rich")]
    assert unpacking[0] == 0
    assert "2" in unpacking[1]
