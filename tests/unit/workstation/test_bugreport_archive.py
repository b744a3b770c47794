import os
import stat
import tarfile
from pathlib import Path

import pytest

from devenv.base.errors import Exit
from devenv.workstation.bugreport import Collected, MissingPart
from devenv.workstation.bugreport_archive import default_path, refuse_existing, write

COLLECTED = Collected(
    "c", 1.8e9, {"b.txt": "text", "a/é.txt": "é"}, (MissingPart("x", "no answer"),)
)


def test_the_archive_has_all_files_in_one_folder_for_its_owner_alone(tmp_path):
    path = tmp_path / "report.tar.gz"
    size = write(COLLECTED, "contents", path)
    assert path.stat().st_size == size
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as archive:
        texts = {entry.name: archive.extractfile(entry).read().decode() for entry in archive}
        owners = {(entry.uid, entry.uname, entry.mode) for entry in archive}
    assert texts == {
        "report/a/é.txt": "é",
        "report/b.txt": "text",
        "report/contents.json": "contents",
    }
    assert owners == {(0, "", 0o600)}


def test_its_name_has_the_cluster_and_the_time_of_utc():
    assert str(default_path("c", 0)) == "devenv-bugreport-c-19700101T000000Z.tar.gz"


@pytest.mark.parametrize("refuse", [refuse_existing, lambda path: write(COLLECTED, "", path)])
def test_nothing_is_overwritten(tmp_path, refuse, expect_error):
    path = tmp_path / "report.tar.gz"
    path.write_text("mine")
    with expect_error(Exit.USAGE):
        refuse(path)
    assert path.read_text() == "mine"


def test_standard_output_is_refused(tmp_path, monkeypatch, expect_error):
    monkeypatch.chdir(tmp_path)
    with expect_error(Exit.USAGE):
        refuse_existing(Path("-"))


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path, expect_error):
    path = tmp_path / "report.tar.gz"
    path.symlink_to(tmp_path / "elsewhere")
    with expect_error(Exit.USAGE):
        refuse_existing(path)
    with expect_error(Exit.USAGE):
        write(COLLECTED, "", path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_missing_is_told_before_anything_is_collected(tmp_path, expect_error):
    with expect_error(Exit.USAGE):
        refuse_existing(tmp_path / "missing" / "report.tar.gz")
    with expect_error(Exit.FAILED):
        write(COLLECTED, "", tmp_path / "missing" / "report.tar.gz")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, expect_error):
    def full(number, mode):
        os.close(number)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdopen", full)
    with expect_error(Exit.FAILED):
        write(COLLECTED, "", tmp_path / "report.tar.gz")
    assert list(tmp_path.iterdir()) == []
