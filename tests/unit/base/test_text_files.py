import os
import threading
from pathlib import Path

import pytest

from devenv.base import text_files
from devenv.base.errors import DevenvError, Exit
from devenv.base.text_files import read_text
from devenv.base.userfiles import read_yaml
from tests.unit.base.test_userfiles import refused


def test_a_file_that_never_ends_is_read_no_further_than_its_limit():
    with pytest.raises(DevenvError) as caught:
        read_text(Path("/dev/zero"), 1 << 20)
    assert caught.value.exit_code == Exit.USAGE


def test_a_folder_is_no_file(tmp_path):
    refused(tmp_path)


def test_a_pipe_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a: 1\n",))
    writer.start()
    assert read_yaml(tmp_path / "pipe").content == {"a": 1}
    writer.join()


def test_a_pipe_that_has_no_writer_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_files, "_PIPE_PATIENCE", 0.01)
    os.mkfifo(tmp_path / "pipe")
    assert str(tmp_path / "pipe") in refused(tmp_path / "pipe").what
