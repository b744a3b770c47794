"""Files that users give are read within limits; what is wrong with them is said with file and line."""

import os
import threading
from pathlib import Path

import pytest

from devenv import data, userfiles
from devenv.errors import DevenvError, Exit
from devenv.userfiles import GENERATED, WRITTEN, Limits, read_manifests, read_text, read_yaml

NINE = ",".join(["*{}"] * 9)


def bomb(form: str) -> str:
    """Nine levels of nine aliases each: 0.4 kB that stand for 387 million values."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]" if form == "list" else "a: &a {k: x}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        inner = NINE.format(*[before] * 9)
        lines.append(
            f"{name}: &{name} [{inner}]" if form == "list" else f"{name}: &{name} {{<<: [{inner}]}}"
        )
    return "\n".join(lines)


BEYOND = {
    "aliases that multiply": (bomb("list"), 6),
    "merges that multiply": (bomb("map"), 6),
    "aliases that nest": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 900)),
        60,
    ),
    "many aliases": ("a: &a x\nb: [" + ", ".join(["*a"] * (WRITTEN.aliases + 1)) + "]\n", 2),
    "many values": ("".join(f"k{n}: x\n" for n in range(WRITTEN.nodes)), WRITTEN.nodes // 2),
    "deep": ("a: " + "[" * 100 + "]" * 100, 1),
    "very deep": ("a: " + "[" * 100_000, 1),
    "what holds itself": ("a: &a [*a]", 1),
}


def refused(path: Path, read=read_yaml) -> DevenvError:
    with pytest.raises(DevenvError) as caught:
        read(path)
    assert caught.value.exit_code == Exit.USAGE
    return caught.value


@pytest.mark.parametrize("what", BEYOND)
def test_what_is_beyond_a_limit_is_refused_with_its_line(tmp_path, what):
    text, line = BEYOND[what]
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert f"{path}:{line}" in refused(path).why


@pytest.mark.parametrize(
    "what", ["aliases that multiply", "merges that multiply", "what holds itself"]
)
def test_a_manifest_is_no_way_round_the_limits(tmp_path, what):
    (tmp_path / "a.yaml").write_text(BEYOND[what][0])
    refused(tmp_path / "a.yaml", read_manifests)


def test_nothing_is_built_of_what_is_beyond_a_limit(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(BEYOND["many values"][0])
    built = []
    monkeypatch.setattr(userfiles, "_constructed", lambda *args, **_: built.append(args))
    refused(tmp_path / "a.yaml")
    assert built == []


@pytest.mark.parametrize("name", ["offline", "aibrix"])
def test_the_limits_are_far_from_what_people_write(name):
    tenth = Limits(
        WRITTEN.size // 10,
        WRITTEN.nodes // 10,
        WRITTEN.expanded // 10,
        WRITTEN.depth // 3,
        WRITTEN.aliases // 10,
    )
    assert read_yaml(data.root() / "profiles" / f"{name}.yaml", tenth).content["name"] == name


def test_a_file_that_never_ends_is_read_no_further_than_its_limit():
    with pytest.raises(DevenvError) as caught:
        read_text(Path("/dev/zero"), 1 << 20)
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(("content", "line"), [
    (b"a: 1\na: 2\n", 2), (b"a:\n  b: {c: 1, c: 2}\n", 2), (b"a: 1\n---\nb: 2\n", 3), (b"a: [1\n", 2), (b"a: 1\nb: \xff\n", 2),
    (b"a: 1\nb: \x00\n", 2), (b"a: 1\n\tb: 2\n", 2), (b"a: 1\nb: 2026-13-45\n", 2), (b"a: !!int x\n", 1),
    (b"a: !!python/object:os.system x\n", 1), (b"a: *b\n", 1), (b"a:\n  ? [b]\n  : c\n", 2),
])  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, content, line):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert f"{path}:{line}" in refused(path).why


def test_a_folder_is_no_file(tmp_path):
    refused(tmp_path)


def test_numbers_to_the_base_of_sixty_are_texts(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1:30\nb: 90\nc: 1.5\nd: 0x10\ne: 2026-01-01\n")
    content = read_yaml(tmp_path / "a.yaml").content
    assert [content[key] for key in "abcd"] == ["1:30", 90, 1.5, 16]
    (manifest,) = read_manifests(tmp_path / "a.yaml")
    assert manifest["e"] == "2026-01-01"


def test_a_manifest_may_have_a_key_twice_as_upstreams_have(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\na: 2\n")
    assert read_manifests(tmp_path / "a.yaml") == [{"a": 2}]


def test_large_manifests_are_read(tmp_path):
    text = "".join(f"---\na{n}: {{b: [c, {{d: e}}]}}\n" for n in range(3000))
    (tmp_path / "a.yaml").write_text(text)
    assert len(read_manifests(tmp_path / "a.yaml")) == 3000
    assert GENERATED.nodes > 3000 * 6


def test_very_many_errors_are_counted():
    lines = userfiles.told(f"error {n}" for n in range(10_000)).splitlines()
    assert len(lines) < 30
    assert "9980" in lines[-1]


def test_a_pipe_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a: 1\n",))
    writer.start()
    assert read_yaml(tmp_path / "pipe").content == {"a": 1}
    writer.join()


def test_a_pipe_that_has_no_writer_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(userfiles, "_PATIENCE", 0.01)
    os.mkfifo(tmp_path / "pipe")
    assert str(tmp_path / "pipe") in refused(tmp_path / "pipe").what
