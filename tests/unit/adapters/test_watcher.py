"""Changes of files, from the real operating system."""

import threading
from pathlib import Path

from devenv.adapters.watcher import FileWatcher


def first_change(watched: Path, write) -> list[str]:
    """Return what is reported first; `write` is done again and again until something is."""
    done = threading.Event()

    def again() -> None:
        while not done.wait(0.2):
            write()

    writer = threading.Thread(target=again)
    writer.start()
    try:
        return next(iter(FileWatcher().changes([watched])))
    finally:
        done.set()
        writer.join()


def test_a_file_that_is_replaced_as_editors_do_is_seen_and_others_beside_it_are_not(tmp_path):
    source, other = tmp_path / "main.go", tmp_path / "built"
    source.write_text("")
    count = 0

    def write() -> None:
        nonlocal count
        count += 1
        other.write_text(str(count))
        if count > 5:
            (tmp_path / "new").write_text(str(count))
            (tmp_path / "new").replace(source)

    assert first_change(source, write) == [str(source)]


def test_a_folder_is_watched_with_all_that_is_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    assert first_change(tmp_path, lambda: (tmp_path / "deep" / "a.txt").write_text("x")) == [str(tmp_path / "deep" / "a.txt")]
