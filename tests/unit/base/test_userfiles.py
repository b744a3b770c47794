"""Files that users give are read within limits; what is wrong with them is said with file and line."""

from pathlib import Path

import pytest

from devenv.base import userfiles
from devenv.base.errors import DevenvError, Exit
from devenv.base.userfiles import read_manifests, read_yaml


def refused(path: Path, read=read_yaml) -> DevenvError:
    with pytest.raises(DevenvError) as caught:
        read(path)
    assert caught.value.exit_code == Exit.USAGE
    return caught.value


@pytest.mark.parametrize(("content", "line"), [
    (b"a: 1\na: 2\n", 2), (b"a:\n  b: {c: 1, c: 2}\n", 2), (b"a: 1\n---\nb: 2\n", 3), (b"a: [1\n", 2), (b"a: 1\nb: \xff\n", 2),
    (b"a: 1\nb: \x00\n", 2), (b"a: 1\n\tb: 2\n", 2), (b"a: 1\nb: 2026-13-45\n", 2), (b"a: !!int x\n", 1),
    (b"a: !!python/object:os.system x\n", 1), (b"a: *b\n", 1), (b"a:\n  ? [b]\n  : c\n", 2),
])  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, content, line):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert f"{path}:{line}" in refused(path).why


def test_numbers_to_the_base_of_sixty_are_texts(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1:30\nb: 90\nc: 1.5\nd: 0x10\ne: 2026-01-01\n")
    content = read_yaml(tmp_path / "a.yaml").content
    assert [content[key] for key in "abcd"] == ["1:30", 90, 1.5, 16]
    (manifest,) = read_manifests(tmp_path / "a.yaml")
    assert manifest["e"] == "2026-01-01"


def test_a_manifest_may_have_a_key_twice_as_upstreams_have(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n")
    assert read_manifests(tmp_path / "a.yaml") == [{"a": 2}]


def test_very_many_errors_are_counted():
    lines = userfiles.told(f"error {n}" for n in range(10_000)).splitlines()
    assert len(lines) < 30
    assert "9980" in lines[-1]
