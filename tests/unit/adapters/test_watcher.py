"""Changes of files, from the real operating system."""

from devenv.adapters.watcher import FileWatcher


def test_a_file_that_is_replaced_as_editors_do_is_seen_and_others_beside_it_are_not(tmp_path):
    source, other = tmp_path / "main.go", tmp_path / "built"
    source.write_text("")
    changes = FileWatcher().changes([source])
    assert next(changes) == []
    other.write_text("1")
    (tmp_path / "new").write_text("1")
    (tmp_path / "new").replace(source)
    assert next(changes) == [str(source)]


def test_a_folder_is_watched_with_all_that_is_in_it(tmp_path):
    (tmp_path / "deep").mkdir()
    changes = FileWatcher().changes([tmp_path])
    assert next(changes) == []
    (tmp_path / "deep" / "a.txt").write_text("x")
    assert next(changes) == [str(tmp_path / "deep" / "a.txt")]


def test_what_changes_while_nobody_waits_is_told_next(tmp_path):
    source = tmp_path / "main.go"
    source.write_text("")
    changes = FileWatcher().changes([source])
    next(changes)
    source.write_text("1")
    assert next(changes) == [str(source)]
    source.write_text("2")
    assert next(changes) == [str(source)]


def test_where_no_more_watches_are_to_be_had_it_looks_by_itself(tmp_path, monkeypatch):
    from watchfiles import _rust_notify

    real = _rust_notify.RustNotify

    def scarce(paths, debug, force_polling, *rest):
        if not force_polling:
            raise _rust_notify.WatchfilesRustInternalError("Too many open files (os error 24)")
        return real(paths, debug, force_polling, *rest)

    monkeypatch.setattr("watchfiles.main.RustNotify", scarce)
    seen = FileWatcher().changes([tmp_path])
    assert next(seen) == []
    (tmp_path / "file").write_text("changed")
    assert str(tmp_path / "file") in next(seen), (
        "beside it its folder may be told, which has changed, too"
    )
    seen.close()
