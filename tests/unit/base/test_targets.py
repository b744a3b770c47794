"""Files that a user names: through links, into pipes, to standard output, and over files that can't be replaced."""

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from devenv.base import targets
from devenv.facts import files
from tests.paths import INCIDENTS

FACTS = INCIDENTS / "the-incident" / "facts.json"


def devenv(*args: str, **kwargs) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "devenv", *args]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, **kwargs)


@pytest.fixture
def to_stdout(tmp_path) -> Path:
    """What /dev/stdout is. Code that replaces it must not do so on the machine that runs the tests."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    return tmp_path / "stdout"


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("before")
    (tmp_path / "link").symlink_to("real/file")
    targets.write(tmp_path / "link", "✓")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == "✓".encode()
    assert list((tmp_path / "real").iterdir()) == [tmp_path / "real" / "file"]


def test_a_link_that_leads_nowhere_yet_makes_the_file(tmp_path):
    (tmp_path / "link").symlink_to("file")
    targets.write(tmp_path / "link", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def read_pipe(pipe: Path) -> tuple[threading.Thread, list[str]]:
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    return reader, read


def test_a_pipe_is_written_into_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader, read = read_pipe(tmp_path / "pipe")
    targets.write(tmp_path / "pipe", "x" * 1_000_000)
    reader.join(30)
    assert read == ["x" * 1_000_000]
    assert not (tmp_path / "pipe").is_file()


def test_a_file_that_can_t_be_replaced_is_written_in_place(tmp_path, monkeypatch):
    """As one that is mounted into a container."""
    (tmp_path / "file").write_text("before")
    number = (tmp_path / "file").stat().st_ino

    def refuse(self, target):
        raise OSError(16, "Device or resource busy", str(target))

    monkeypatch.setattr(Path, "replace", refuse)
    targets.write(tmp_path / "file", "after")
    assert (tmp_path / "file").read_text() == "after"
    assert (tmp_path / "file").stat().st_ino == number
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("before")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OSError, match="full"):
        targets.write(tmp_path / "file", "after")
    assert (tmp_path / "file").read_text() == "before"


@pytest.mark.parametrize("name", ["-", "link"])
def test_facts_that_go_to_standard_output_are_alone_there(to_stdout, name):
    target = "-" if name == "-" else str(to_stdout)
    done = devenv("doctor", "--from", str(FACTS), "--save", target)
    assert done.returncode == 1
    assert done.stdout == files.dump(files.read(FACTS))
    assert "DE" in done.stderr, "the report"
    assert to_stdout.is_symlink()


@pytest.mark.parametrize("form", ["json", "html", "junit"])
def test_a_result_that_goes_to_standard_output_is_alone_there(to_stdout, form):
    plain = devenv("doctor", "--from", str(FACTS), "-o", form)
    for target in ("-", str(to_stdout)):
        done = devenv("doctor", "--from", str(FACTS), "-o", form, "--to", target)
        assert (done.returncode, done.stdout.strip()) == (plain.returncode, plain.stdout.strip())
        # On a busy machine, a command of over 2 s says how long it took.
        assert len(done.stderr.splitlines()) <= 1
        assert not Path(target).name.strip("-") or Path(target).name not in done.stderr


def test_where_standard_output_is_a_file_nothing_of_it_is_lost(to_stdout, tmp_path):
    with (tmp_path / "out").open("w") as out:
        argv = [
            sys.executable,
            "-m",
            "devenv",
            "doctor",
            "--from",
            str(FACTS),
            "--to",
            str(to_stdout),
            "-o",
            "json",
        ]
        subprocess.run(argv, stdout=out, check=False, timeout=60)
    assert json.loads((tmp_path / "out").read_text())["kind"] == "doctor"


def test_only_one_file_can_go_to_standard_output():
    assert devenv("doctor", "--from", str(FACTS), "--save", "-", "--to", "-").returncode == 2


def test_a_saved_file_is_the_same_in_every_encoding(tmp_path):
    for name, more in (
        ("a", {}),
        (
            "b",
            {
                "PYTHONIOENCODING": "ascii",
                "LC_ALL": "C",
                "PYTHONUTF8": "0",
                "PYTHONCOERCECLOCALE": "0",
            },
        ),
    ):
        done = devenv(
            "doctor", "--from", str(FACTS), "--to", str(tmp_path / name), env={**os.environ, **more}
        )
        assert done.returncode == 1, done.stderr
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_profile_goes_to_standard_output(tmp_path, to_stdout):
    for target in ("-", str(to_stdout)):
        done = devenv("profile", "init", target, "--host-port", "9999", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout) == {
            "extends": "offline",
            "name": "mine",
            "gateway": {"host_port": 9999},
        }
    assert list(tmp_path.iterdir()) == [to_stdout]


def test_a_profile_is_written_through_a_link_and_into_a_pipe(tmp_path):
    (tmp_path / "mine.yaml").symlink_to("real.yaml")
    assert devenv("profile", "init", str(tmp_path / "mine.yaml")).returncode == 0
    assert (tmp_path / "mine.yaml").is_symlink()
    assert yaml.safe_load((tmp_path / "real.yaml").read_text())["name"] == "mine"
    os.mkfifo(tmp_path / "pipe")
    reader, read = read_pipe(tmp_path / "pipe")
    assert devenv("profile", "init", str(tmp_path / "pipe")).returncode == 0
    reader.join(30)
    assert yaml.safe_load(read[0])["extends"] == "offline"


def test_a_profile_that_would_be_wrong_leaves_what_was_there(tmp_path):
    (tmp_path / "mine.yaml").write_text("before")
    refused = devenv(
        "profile", "init", str(tmp_path / "mine.yaml"), "--force", "--extends", "unknown"
    )
    assert refused.returncode == 2
    assert (tmp_path / "mine.yaml").read_text() == "before"
    assert devenv("profile", "init", str(tmp_path / "none" / "mine.yaml")).returncode == 1
