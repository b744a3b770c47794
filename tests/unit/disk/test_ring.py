"""A log that needs no space and survives being cut short."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.disk.ring import Ring


def test_what_is_written_is_read_in_its_order(tmp_path):
    ring = Ring(tmp_path, "log")
    for at in range(5):
        ring.append({"at": at, "text": "ü" * at})
    assert [e["at"] for e in ring.read()] == [0, 1, 2, 3, 4]


def test_it_takes_its_space_once_and_no_more(tmp_path):
    ring = Ring(tmp_path, "log", 4096)
    ring.prepare()
    before = {p.name: (p.stat().st_size, p.stat().st_blocks) for p in tmp_path.iterdir()}
    for at in range(500):
        ring.append({"at": at})
    assert {p.name: (p.stat().st_size, p.stat().st_blocks) for p in tmp_path.iterdir()} == before
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in tmp_path.iterdir())


def test_the_newest_half_is_always_there(tmp_path):
    ring = Ring(tmp_path, "log", 1024)
    for at in range(200):
        ring.append({"at": at})
        found = [e["at"] for e in ring.read()]
        assert found == list(range(found[0], at + 1))
        assert len(found) >= min(at + 1, 1024 // len('{"at": 199}\n') // 2)


@given(cut=st.integers(0, 60))
def test_an_entry_that_was_cut_short_is_left_out_and_the_rest_stays(tmp_path_factory, cut):
    ring = Ring(tmp_path_factory.mktemp("ring"), "log", 512)
    ring.append({"at": 1, "text": "whole"})
    ring.append({"at": 2, "text": "cut"})
    path = ring.folder / "log.0"
    content = path.read_bytes()
    end = len(content.rstrip(b"\0"))
    first = content.index(b"\n") + 1
    keep = min(first + cut, end)
    path.write_bytes(content[:keep] + b"\0" * (len(content) - keep))
    ring.append({"at": 3, "text": "after"})
    found = [e["at"] for e in ring.read()]
    assert found == ([1, 2, 3] if keep >= end - 1 else [1, 3])


def test_a_clock_that_goes_back_loses_nothing(tmp_path):
    ring = Ring(tmp_path, "log", 1024)
    for number in range(60):
        ring.append({"at": 1e9 if number < 30 else 5, "number": number})
    found = [e["number"] for e in ring.read()]
    assert found == list(range(found[0], 60))
    assert len(found) >= 12


def test_what_is_no_entry_is_passed_over(tmp_path):
    ring = Ring(tmp_path, "log", 512)
    ring.append({"at": 1})
    path = tmp_path / "log.0"
    path.write_bytes((b'[1]\n"x"\n\xff\n{"n": "x"}\n' + path.read_bytes())[:512])
    assert [e.get("at") for e in ring.read()] == [None, 1]


def test_an_entry_that_never_fits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="entry"):
        Ring(tmp_path, "log", 512).append({"at": 1, "text": "x" * 600})


def test_an_endless_file_in_its_place_ends(tmp_path):
    (tmp_path / "log.0").symlink_to("/dev/zero")
    assert Ring(tmp_path, "log", 4096).read() == []
